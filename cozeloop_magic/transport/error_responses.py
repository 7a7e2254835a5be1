"""What a server says when it does not answer, as errors for a person.

What a server says is untrusted and may echo what it was sent: it is quoted in one line, without control characters,
and without the credentials.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cozeloop_magic.errors import (
    AuthenticationFailed,
    LoopError,
    ServerFailed,
    UnexpectedContent,
    kind_of,
    remote_error,
)
from cozeloop_magic.printable import replace_surrogates
from cozeloop_magic.transport.endpoint import Endpoint

__all__ = [
    "SURROGATE_ESCAPE",
    "as_sentence",
    "error_code",
    "error_from_body",
    "error_from_json",
    "error_message",
    "excerpt",
    "parse_json",
]

_CHECK_ADDRESS = "Check COZELOOP_API_BASE_URL, and any proxy or login page in between."
SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
"""What a lone surrogate, or half of a whole character, looks like in JSON."""
_EXAMINED = 1_000_000  # bytes of what is no answer that are looked at
_HINTS = {
    400: _CHECK_ADDRESS,  # a Loop server says what is wrong with a parameter
    403: "Check the token's permissions, and any proxy or login page in between.",
    404: _CHECK_ADDRESS,
    405: "Check COZELOOP_API_BASE_URL: this looks like a self-hosted Loop's web page; the API has a port of its own.",
    407: "Check HTTP_PROXY: it must name a user and a password.",
    413: "Make the request smaller.",
    501: _CHECK_ADDRESS,  # of a server of files, say
}


def parse_json(content: bytes | str) -> Any:
    """Read JSON, also where text in it holds bare line breaks, or halves of characters; None where it is none."""
    try:
        value = json.loads(content, strict=False)
        text = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
        return replace_surrogates(value) if SURROGATE_ESCAPE.search(text) else value
    except (ValueError, RecursionError):
        return None


def error_code(body: Mapping[str, Any]) -> int | str:
    """Give the code that an answer or event names, a number also where it is sent as text; 0 where it names none."""
    code = body.get("code") or 0
    if isinstance(code, str):
        return int(code) if re.fullmatch(r"[0-9]{1,12}", code) else code
    return code if isinstance(code, int) and not isinstance(code, bool) else json.dumps(code)


def error_message(body: Mapping[str, Any]) -> str:
    """Give what a JSON object says to a person, by the names that Loop servers, OAuth and gateways use for it."""
    for name in ("msg", "message", "error_message", "error_description", "error", "detail"):
        said = body.get(name)
        if isinstance(said, dict):  # a message without words of its own is an answer's
            said = error_message(said) or ("" if name == "message" else json.dumps(said, ensure_ascii=False))
        if isinstance(said, str) and said:
            return said
    return ""


def error_from_body(
    content: bytes, endpoint: Endpoint, *, http_status: int, headers: Mapping[str, str], log_id: str | None
) -> LoopError:
    """Make the error for a body that is no answer: JSON that says why there is none, or something else altogether."""
    body = parse_json(_first_event(content) if "event-stream" in headers.get("Content-Type", "") else content)
    if isinstance(body, dict) and (error_code(body) or http_status >= 400 or error_message(body)):
        return error_from_json(body, endpoint, http_status=http_status, log_id=log_id)
    return _unexpected(http_status, headers, content, endpoint, log_id)


def _first_event(content: bytes) -> bytes:
    """Give the data of the first event of a stream; all of it where it holds none."""
    found = re.search(rb"^data:(.*)$", content, re.M)
    return found[1] if found else content


def error_from_json(
    body: Mapping[str, Any], endpoint: Endpoint, *, http_status: int, log_id: str | None
) -> LoopError:
    """Make the error for an answer ``{code, msg}``, or an OAuth one ``{error, error_code, error_message}``."""
    code = error_code(body)
    known = code if isinstance(code, int) and "code" in body else None
    number = f"code {excerpt(str(code), endpoint)}" if code else f"HTTP {http_status}" if http_status >= 400 else ""
    what = _reason(body, endpoint)
    if not endpoint.local:  # whose words are sentences of their own
        what = f"{endpoint.origin} {'failed' if kind_of(known, http_status) is ServerFailed else 'refused'}: {what}"
    error = remote_error(as_sentence(what, number), code=known, http_status=http_status, log_id=log_id)
    if endpoint.local:
        error.hint = ""  # it says itself what to do
    elif isinstance(error, AuthenticationFailed):
        error.hint = endpoint.auth.hint
    elif not error.hint:
        error.hint = _HINTS.get(http_status, "If that does not say enough, ask whoever runs the server.")
    return error


def _reason(body: Mapping[str, Any], endpoint: Endpoint) -> str:
    """Give the words of a refusal, or failing them what else it holds."""
    rest = {name: value for name, value in body.items() if value and name != "code"}
    said = error_message(body) or (json.dumps(rest, ensure_ascii=False) if rest else "it gave no reason")
    return excerpt(said, endpoint)


def _unexpected(
    status: int, headers: Mapping[str, str], content: bytes, endpoint: Endpoint, log_id: str | None
) -> LoopError:
    """Make the error for an answer that is no Loop server's: a redirect, a web page, an empty body."""
    if 300 <= status < 400:
        where = excerpt(_site(headers.get("Location", "")), endpoint) or "nowhere"
        what = f"{endpoint.origin} redirects to {where}; a call with a token is not sent on."
        hint = "Set COZELOOP_API_BASE_URL to the API's own address."
        return UnexpectedContent(what, hint=hint, http_status=status, log_id=log_id)
    shown = excerpt(_readable(content, headers), endpoint)
    with_what = f"with what is no Loop answer: {shown}" if shown else "without a word"
    who = f"The proxy on the way to {endpoint.origin}" if status == 407 else endpoint.origin
    what = as_sentence(f"{who} answered HTTP {status} {with_what}")
    if status >= 400:
        error: LoopError = remote_error(what, http_status=status, log_id=log_id)
    else:
        error = UnexpectedContent(what, http_status=status, log_id=log_id)
    hint = endpoint.auth.hint if status == 401 else _HINTS.get(status, error.hint)
    error.hint = hint or _CHECK_ADDRESS
    return error


def _site(location: str) -> str:
    """Give where a redirect leads without what may be secret in it; all of it where it names no host."""
    try:
        target = urlsplit(location)
    except ValueError:
        return location
    host = target.netloc.rpartition("@")[2]
    return f"{target.scheme}://{host}".removeprefix(":") if host else location


def as_sentence(text: str, number: str = "") -> str:
    """End a text that others wrote as a sentence ends; `number` comes before its full stop."""
    if number:
        return f"{text.rstrip('.。')} [{number}]."
    return text if text.endswith((".", "。", "!", "?", "…")) else f"{text}."


def _readable(content: bytes, headers: Mapping[str, str]) -> str:
    text = content[:_EXAMINED].decode("utf-8", "replace")
    kind = headers.get("Content-Type", "")
    if "html" in kind or text.lstrip()[:1] == "<":
        title = re.search(r"<title[^<>]*>([^<]*)</title>", text, re.I)  # each step is linear, whatever the page is
        words = html.unescape(title[1] if title else re.sub(r"<[^<>]*>", " ", text))
        text = f"an HTML page, {' '.join(words.split())!r}"
    elif "event-stream" in kind and b"data:" in content:
        text = "a stream of events, where one whole answer was asked for"
    return text


def excerpt(text: str, endpoint: Endpoint) -> str:
    """Make a server's words safe to show: one line, not long, no control characters, no credentials."""
    for secret in endpoint.secrets():
        text = secret.hidden_in(text)
    text = "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))
    return text if len(text) <= 300 else text[:300] + "…"
