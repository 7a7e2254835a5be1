"""A listing: rows as a value that shows itself wherever it stands."""

from __future__ import annotations

from datetime import datetime, timezone

from cozeloop_magic.view.listing import Listing

ROWS = [
    {"key": "greet", "versions": 1200, "said": "<b>hi</b>\x1b[31m"},
    {"key": "问候", "versions": None, "at": datetime(2026, 11, 12, 14, 3, tzinfo=timezone.utc)},
]
COLUMNS = ("key", "versions", "said")


def test_it_reads_as_a_list_of_mappings_and_as_a_data_frame() -> None:
    listing = Listing(ROWS, COLUMNS)
    assert len(listing) == 2 and listing[0]["key"] == "greet" and [row["key"] for row in listing] == ["greet", "问候"]
    assert list(listing.to_pandas()["key"]) == ["greet", "问候"]
    assert list(Listing([], COLUMNS).to_pandas().columns) == list(COLUMNS)


def test_a_terminal_shows_columns_aligned_also_beside_wide_characters() -> None:
    head, rule, first, second = str(Listing(ROWS, ("key", "versions"))).split("\n")
    assert head.split() == ["key", "versions"] and set(rule) == {"-", " "}
    assert first.endswith("1,200") and first.startswith("greet")
    assert second.startswith("问候")


def test_nothing_of_it_becomes_markup_or_moves_a_terminal() -> None:
    kept = Listing(ROWS, COLUMNS, title="<i>", note="a\x1b[2J")._repr_mimebundle_()
    assert "&lt;b&gt;hi&lt;/b&gt;␛[31m" in kept["text/html"] and "<i>" not in kept["text/html"]
    assert kept["text/markdown"].startswith("```text\n") and kept["text/markdown"].endswith("\n```")
    assert "\x1b" not in "".join(kept.values())


def test_a_fence_in_a_value_does_not_end_the_fence_around_it() -> None:
    kept = Listing([{"said": "````\n<script>"}], ("said",))._repr_mimebundle_()["text/markdown"]
    assert kept.startswith("`````text\n") and kept.endswith("\n`````")


def test_an_empty_one_still_shows_its_columns_and_what_it_says() -> None:
    assert str(Listing([], ("key",), note="There is none.")).split() == ["key", "-----", "There", "is", "none."]
