"""Two examples of each magic: its manual begins with them, and so does who calls it with nothing."""

from __future__ import annotations

__all__ = ["EXAMPLES", "how_to", "usage"]

EXAMPLES = {
    "loop_prompt": """%%loop_prompt ptaas_demo --version 0.0.1 --out answer
topic: history
user_request: a story of the sea
---
Keep the answer brief.

%loop_prompt ptaas_demo -v 0.0.1 --var topic=history --var user_request="a poem\"""",
    "loop_compare": """%loop_compare classify_review -v 0.1.0 -v 0.2.0 --inputs reviews --map review=text \\
    --expect label --check equals --out cmp

%%loop_compare classify_review -v 0.1.0 -v 0.2.0 --grid review
review: [Great fun from start to end, Far too long]""",
    "loop_batch": """%loop_batch reviews --prompt classify_review -v 0.2.0 --map review=text --out labelled

%loop_batch reviews --prompt classify_review -v 0.2.0 --map review=text --sample 5""",
    "loop_define": """%%loop_define greeting --version 0.1.0 --message "the first one"
model: {temperature: 0.2}
---
@system
You greet people.
@user
Greet {{name}}.

%%loop_define greeting --bump minor --message "in rhyme"
---
@user
Greet {{name}} in two lines that rhyme.""",
}
"""By magic; where `reviews` is a table with the columns ``text`` and ``label``."""


def usage(magic: str) -> str:
    """Return a magic's examples as its parser's usage: IPython writes ``::`` and one % before them."""
    return _indented(EXAMPLES[magic]).lstrip()[1:].replace("%", "%%")


def how_to(magic: str) -> str:
    """Return a magic's examples, and where its manual is."""
    sign = "%%" if magic == "loop_define" else "%"
    return f"Two examples:\n\n{_indented(EXAMPLES[magic])}\n\n{sign}{magic}? shows all options."


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.split("\n"))
