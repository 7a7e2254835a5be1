"""What is shown of many runs, and of prompts: nothing from outside acts there either, shown or exported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pytest

from cozeloop_magic.authoring.changes import word_changes
from cozeloop_magic.entities.authoring import PromptRecord
from cozeloop_magic.errors import ContentRejected
from cozeloop_magic.lab.events import Told
from cozeloop_magic.lab.judge import Judgement
from cozeloop_magic.lab.plan import Trial
from cozeloop_magic.lab.progress import BatchProgress
from cozeloop_magic.lab.state import Judged, fold
from cozeloop_magic.run.state import Failed, Phase
from cozeloop_magic.view import batch
from cozeloop_magic.view.changes import Changes
from cozeloop_magic.view.comparison import bundle
from cozeloop_magic.view.listing import Listing
from cozeloop_magic.view.prompt import ShownPrompt
from tests.hostile import ATTRIBUTES, faults
from tests.payloads import PAYLOADS
from tests.view.snippets import PERMISSIVE
from tests.view.test_comparison import answered, plan

Bundle = Mapping[str, str]

OWN = {"title", "data-type", "name", "open", "hidden"}  # beside those that an answer may have
FRAME = {"details", "summary", "dl", "dt", "dd", "strong", "ins", "del", "wbr", "mark", "b"}


def comparison(text: str) -> Bundle:
    state = answered(plan(2, text=text), lambda trial: f"{trial.variant} {text}" * 9)
    state = fold(
        state, Told(Trial(1, 1), Failed(1.0, ContentRejected(text))), Judged(0, 1, Judgement(None, error=text))
    )
    return bundle(state, diff=True)


def listing(text: str) -> Bundle:
    return Listing([{text: text}], (text,), title=text, note=text)._repr_mimebundle_()


def changes(text: str) -> Bundle:
    return Changes(word_changes(f"a {text} b", f"{text} c\n\n{text}"), text, [text])._repr_mimebundle_()


def prompt(text: str) -> Bundle:
    template = {
        "template_type": "normal",
        "messages": [{"role": "user", "content": f"{text}{{{{x}}}}{{{{ y }}}}"}, {"role": text, "content": text}],
        "variable_defs": [{"key": "x", "type": text, "desc": text}, {"key": text, "type": "string"}],
    }
    info = {"version": text, "committed_by": text, "description": text}
    detail = {"prompt_template": template, "model_config": {"model_name": text, text: text}}
    record = {
        "prompt_key": text,
        "prompt_basic": {"display_name": text, "description": text},
        "prompt_commit": {"commit_info": info, "detail": detail},
    }
    return ShownPrompt(PromptRecord.from_json(record), {text: text})._repr_mimebundle_()


def table(text: str) -> Bundle:
    failed = BatchProgress(total=2, done=1, failed=1, last_error=text)
    return batch.bundle(Phase.FAILED, *batch.ending(failed, stopped=False))


@pytest.mark.parametrize("show", [comparison, listing, changes, prompt, table])
def test_nothing_from_outside_acts_in_what_is_shown_of_many_runs_and_of_prompts(
    show: Callable[[str], Bundle],
) -> None:
    for payload in PAYLOADS:
        kept = show(f"{payload}\n\n \n{payload}")
        html = re.sub(r"<style>.*?</style>", "", kept["text/html"], flags=re.DOTALL)
        found = set(faults(html, ATTRIBUTES | OWN)) - {f"element {tag}" for tag in FRAME}
        assert not found, payload
        assert all(line.strip() for line in html.split("\n")), "exported as Markdown, HTML ends at a blank line"
        assert not faults(PERMISSIVE.render(kept["text/markdown"]), ATTRIBUTES | {"title", "style"}), payload
