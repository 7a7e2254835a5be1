"""Completion of ``%loop`` and its kin, as a matcher of IPython's completer, which every front end asks."""

from __future__ import annotations

from argparse import ArgumentParser
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from cozeloop_magic.notebook.known import KnownPrompts

if TYPE_CHECKING:
    from cozeloop_magic.notebook.magics import LoopMagics

__all__ = ["Completion"]

_MAGICS = ("loop_prompt", "loop_compare", "loop_batch", "loop_define")
_MOST = 200  # candidates: no list is read further
_ABOUT = 60  # characters


class Completion:
    """Completes in one shell, from what is known of the server; whatever goes wrong is silent."""

    def __init__(self, magics: LoopMagics) -> None:
        self._magics = magics
        shell = magics.shell
        assert shell is not None
        self._shell: Any = shell
        self._known = KnownPrompts(self._place)
        self._shell.Completer.custom_matchers.insert(0, self._matched)
        self._shell.events.register("post_run_cell", self._doubt)

    def close(self) -> None:
        """Complete no more."""
        self._shell.Completer.custom_matchers.remove(self._matched)
        self._shell.events.unregister("post_run_cell", self._doubt)
        self._known.close()

    def _place(self) -> tuple[dict[str, str], dict[str, str]]:
        session = vars(self._magics).get("_session")  # made by the first magic that runs
        return (session.arguments if session else {}), self._magics._config

    def _doubt(self, result: Any) -> None:
        """Doubt what is known after a cell of ours, which may have changed it."""
        code = getattr(getattr(result, "info", None), "raw_cell", "") or ""
        if "%loop" in code:
            self._known.doubt()

    @context_matcher(identifier="cozeloop_magic")
    def _matched(self, context: CompletionContext) -> Any:
        nothing = {"completions": [], "suppress": False}
        if "%loop" not in context.full_text:
            return nothing
        try:
            return self._complete(context) or nothing
        except Exception:  # a completion that fails is one that is not offered
            return nothing

    def _complete(self, context: CompletionContext) -> Any:
        from cozeloop_magic.notebook.candidates import Place, candidates

        lines = context.full_text.split("\n")
        line, column = context.cursor_line, context.cursor_position
        found = candidates(
            Place(lines, line, column, self._parsers, self._summaries, self._known, self._shell.user_ns)
        )
        if found is None:
            return None
        fragment, offered = found
        after = _rest_of_word(lines[line][column:])
        texts: dict[str, str] = {}
        for each in offered:
            if each.text.startswith(fragment) and len(texts) < _MOST:
                whole = each.text
                cut = whole.removesuffix(after) if after and len(whole) - len(after) >= len(fragment) else whole
                texts[cut] = " ".join(each.about.split())[:_ABOUT]
        texts = texts or {fragment: ""}  # nothing else may stand here, and IPython heeds no matcher without a match
        completions = [SimpleCompletion(text=text, type=about) for text, about in texts.items()]
        return {"completions": completions, "matched_fragment": fragment, "suppress": True, "ordered": True}

    @cached_property
    def _parsers(self) -> dict[str, ArgumentParser]:
        from cozeloop_magic.notebook.verbs import verbs

        own = {name: getattr(type(self._magics), name).parser for name in _MAGICS}
        return own | {f"loop {name}": each.parser for name, each in verbs().items()}

    @cached_property
    def _summaries(self) -> dict[str, str]:
        from cozeloop_magic.notebook.verbs import verbs

        return {name: each.summary for name, each in verbs().items()}


def _rest_of_word(text: str) -> str:
    """Give what of a word stands behind the cursor: it is not inserted twice."""
    return text.split(" ")[0] if text[:1].strip() else ""
