"""What works in the embedded Loop and not on the platform is told, by a run and by a dry run alike."""

from __future__ import annotations

from typing import Any

import pytest

from cozeloop_magic.local.choice import chosen_model
from cozeloop_magic.local.process import LocalLoop, RuntimeFile
from tests.local.conftest import TOKEN, Server

NULL = "a list that holds null is printed: works here, not on the platform"
BLANKS = "{{ a }} stays as it is: in a normal template, write {{a}} without blanks"


@pytest.fixture
def notebook(shell: Any, loop: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A notebook with nothing configured, which finds the embedded Loop that runs already."""
    for name in ("COZELOOP_API_BASE_URL", "COZELOOP_WORKSPACE_ID", "COZELOOP_API_TOKEN"):
        monkeypatch.delenv(name)
    RuntimeFile.of(chosen_model()).write(LocalLoop(loop.url, loop.workspace_id, TOKEN, "parrot"))
    for key, kind, content, name, type_ in (
        ("with_null", "jinja2", "Here: {{ o.l }}", "o", "object"),
        ("with_blanks", "normal", "Here: {{ a }} {{a}}", "a", "string"),
    ):
        made = loop.store.create_prompt(key, key)
        template = {
            "template_type": kind,
            "messages": [{"role": "user", "content": content}],
            "variable_defs": [{"key": name, "type": type_}],
        }
        loop.store.save_draft(made, {"prompt_template": template})
        loop.store.commit_draft(made, "0.1.0")
    return shell


@pytest.mark.parametrize(
    ("line", "body", "remark", "message"),
    [
        ("with_null", "o: {l: [1, null]}", NULL, "Here: [1.0, ]"),
        ("with_blanks", "a: x", BLANKS, "Here: {{ a }} x"),
    ],
)
class TestARemark:
    def test_is_in_the_dry_run(
        self, notebook: Any, capsys: Any, line: str, body: str, remark: str, message: str
    ) -> None:
        notebook.run_cell_magic("loop_prompt", f"{line} --dry-run", body)
        said = "".join(capsys.readouterr())
        assert message in said and remark in said

    def test_is_in_the_run(self, notebook: Any, capsys: Any, line: str, body: str, remark: str, message: str) -> None:
        notebook.run_cell_magic("loop_prompt", line, body)
        said = "".join(capsys.readouterr())
        assert message in said and remark in said
