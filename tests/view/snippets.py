"""Answers of every kind of Markdown, and what tests of its renderings share."""

from __future__ import annotations

from markdown_it import MarkdownIt

from cozeloop_magic.view.safe_markdown import safe
from tests.hostile import SCHEMES, faults, read

# A renderer as forgiving as a notebook's: raw HTML on, every scheme allowed, bare addresses made links.
PERMISSIVE = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PERMISSIVE.validateLink = lambda url: True  # type: ignore[method-assign]

SNIPPETS = [
    "# A heading\n",
    "A heading\n===\n",
    "Another\n---\n",
    "A paragraph of *words*, `code` and **more**\non two lines.\n",
    "概念：机器学习 🎉\n",
    "- one\n- two\n  - deeper\n",
    "- loose\n\n- list\n",
    "1. first\n2. second\n",
    "7. seventh\n\n   more of it\n",
    "* * *\n",
    "---\n",
    "> a quote\nthat is lazy\n",
    "```python\nx = 1  # <b>\n\nprint(x)\n```\n",
    "~~~\nplain\n~~~\n",
    "```unclosed\ntext\n",
    "    indented code\n",
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n",
    "| a | b |\n|---|---|\n| 1 | 2 | 3 | `x|y` |\n| 4 |\n",
    "> | a |\n> |---|\n> | 1 | 2 |\n",
    "| not | a table |\n| --- |\n",
    "- [ ] to do\n- [x] done\n",
    "1. [x] done\n\n   [ ] text\n",
    "text before\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    "$$\na - b\n- c\n# d\n$$\n",
    "$$\nnever closed\n",
    "$x$ begins and 5 ends it 5\n",
    "It costs $5 and $6.\n",
    "\\[\nx = 1\n\\]\n",
    "<div>\nraw\n</div>\n",
    "&amp; &#x202E; \\* a\\\nb  \nc\n",
    "![alt](https://example.org/a.png) [google.com](https://evil.example)\n",
    "~~gone~~\r\nand\rold line ends\r\n",
    "\n",
    " \n",
    "\t\n",
    "  ",
    "\n[defined]: https://example.org\n",
    "\n[titled]: https://example.org\n  'A title\non two lines'\n",
    '"a title\n===\nthat ends" (late)\n',
]


def text_of(html: str) -> str:
    return "".join(read(html).text.split())


def faults_of_markdown(answer: str) -> list[str]:
    """Name what could act in an answer made safe and rendered; relative links may stay in code."""
    attributes = {"href", "title", "class", "start", "style"}
    return faults(PERMISSIVE.render(safe(answer)), attributes, SCHEMES | {""})
