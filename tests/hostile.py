"""A reader of HTML that finds out whether an answer got more than to be read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

ELEMENTS = set(
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a table thead tbody tr th td span div".split()
)
ATTRIBUTES = {"href", "rel", "target", "class", "start", "dir"}
MATHML = set(
    "math menclose mfrac mi mmultiscripts mn mo mover mpadded mphantom mprescripts mroot mrow mspace msqrt mstyle "
    "msub msubsup msup mtable mtd mtext mtr munder munderover b i".split()
)
"""The elements of formulas; their attributes hold a word, a number or a length, or how a cell is ruled."""
HARMLESS_VALUE = re.compile(r"[\w. +%-]*")
HARMLESS_STYLE = re.compile(r"((width|text-align|justify-items|padding-\w+|border-\w+): ?[\w. %]+;?)*")
SCHEMES = {"http", "https", "mailto"}


@dataclass
class Page(HTMLParser):
    """What a browser would find in a piece of HTML."""

    text: str = ""
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment", {}))

    def handle_decl(self, decl: str) -> None:
        self.elements.append(("declaration", {}))

    def handle_pi(self, data: str) -> None:
        self.elements.append(("instruction", {}))

    def unknown_decl(self, data: str) -> None:
        self.elements.append(("declaration", {}))


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def faults(html: str, attributes: set[str] = ATTRIBUTES, schemes: set[str] = SCHEMES) -> list[str]:
    """Name whatever in `html` could act."""
    found = []
    for tag, attrs in read(html).elements:
        if tag in MATHML or (tag == "span" and str(attrs.get("class")).startswith("math-core-")):
            found += [
                f"{tag} with {name}={value}" for name, value in attrs.items() if not _is_of_a_formula(name, value)
            ]
            continue
        if tag not in ELEMENTS and (tag, attrs) != ("rp", {}):
            found.append(f"element {tag}")
        hides = {"hidden"} if attrs == {"class": "cozeloop-mathml", "hidden": "hidden"} else set()
        found += [f"{tag} with {name}" for name in attrs.keys() - attributes - hides]
        addresses = [attrs[name] or "" for name in ("href", "src") if name in attrs]
        found += [f"{tag} to {address}" for address in addresses if urlsplit(address.strip()).scheme not in schemes]
    return found


def _is_of_a_formula(name: str, value: str | None) -> bool:
    allowed = HARMLESS_STYLE if name == "style" else HARMLESS_VALUE
    return not name.startswith("on") and name not in ("href", "src") and bool(allowed.fullmatch(value or ""))
