"""Two texts compared word by word."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cozeloop_magic.authoring.changes import Change, word_changes
from cozeloop_magic.view.changes import Changes
from tests.growth import c_grows_alike, growth

LINES = st.lists(st.text("ab .\n漢\u2028", max_size=8), max_size=8).map("\n".join)


@given(LINES, LINES)
def test_what_stayed_and_went_is_the_old_text_and_what_stayed_and_came_the_new(before: str, after: str) -> None:
    changes = list(word_changes(before, after))
    assert "".join(text for kind, text in changes if kind != "added") == before
    assert "".join(text for kind, text in changes if kind != "removed") == after
    assert all(one[0] != other[0] for one, other in pairwise(changes))


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("You greet.", "You greet warmly.", [("same", "You greet"), ("added", " warmly"), ("same", ".")]),
        ("a b c", "a x c", [("same", "a "), ("removed", "b"), ("added", "x"), ("same", " c")]),
        ("be a dog", "find a cat", [("removed", "be a dog"), ("added", "find a cat")]),
        ("one\ntwo\n", "one\n", [("same", "one\n"), ("removed", "two\n")]),
        ("same", "same", [("same", "same")]),
        ("", "new", [("added", "new")]),
    ],
)
def test_words_that_changed_are_told_and_no_crumbs_between_them(
    before: str, after: str, changes: list[Change]
) -> None:
    assert list(word_changes(before, after)) == changes


def test_four_times_the_text_takes_about_four_times() -> None:
    def change(lines: int) -> None:
        before = "\n".join(f"line {n} of many words that stay" for n in range(lines))
        assert len(list(word_changes(before, before.replace("many", "few")))) > lines / 5

    def rewrite(words: int) -> None:
        rewritten = list(word_changes("a b " * words, "c d " * words))
        assert rewritten == [("removed", "a b " * words), ("added", "c d " * words)]

    assert growth(change, 300) < 6 and c_grows_alike(change, 1_000)
    assert growth(rewrite, 1_000) < 6 and c_grows_alike(rewrite, 5_000)


class TestShown:
    BEFORE = "\n".join(f"line {n}" for n in range(20)) + "\n"

    def test_only_what_changed_and_its_neighbours(self) -> None:
        changes = Changes(word_changes(self.BEFORE, self.BEFORE.replace("line 9\n", "line nine\n")), "a → b")
        assert str(changes) == (
            "a → b\n\n⋯ 7 lines as before\nline 7\nline 8\nline [-9-]{+nine+}\nline 10\nline 11\n⋯ 8 lines as before"
        )
        assert "<del>9</del><ins>nine</ins>" in changes._repr_mimebundle_()["text/html"]

    def test_a_line_that_came_is_a_line(self) -> None:
        assert str(Changes(word_changes("a\nb\n", "a\nnew\nb\n"), "")) == "a\n{+new+}\nb"

    def test_a_line_break_alone_shows(self) -> None:
        assert "{+↵+}" in str(Changes(word_changes("a\nb\n", "a\n\nb\n"), ""))

    def test_nothing_that_differs_shows_nothing(self) -> None:
        assert not Changes(word_changes("a", "a"), "t") and str(Changes(word_changes("a", "a"), "t")) == "t"

    def test_nothing_becomes_markup(self) -> None:
        page = Changes(word_changes("<i>", "<b>\x1b"), "<u>", ["<s>"])._repr_mimebundle_()["text/html"]
        assert not any(tag in page for tag in ("<i>", "<b>", "<u>", "<s>", "\x1b", "\n"))
