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

from cozeloop_magic.endpoint import Endpoint
from cozeloop_magic.errors import AuthenticationFailed, LoopError, UnexpectedContent, remote_error

__all__ = ["no_answer", "parsed", "refusal"]

_CHECK_ADDRESS = "Check COZELOOP_API_BASE_URL, and any proxy or login page in between."
_HINTS = {
    400: _CHECK_ADDRESS,  # a Loop server says what is wrong with a parameter
    405: "A self-hosted Loop's API has a port of its own; this looks like the web page's.",
    407: "Check HTTP_PROXY: the proxy on the way wants a user and a password.",
    413: "Make the request smaller.",
}


def parsed(content: bytes | str) -> Any:
    """Read JSON; None where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def no_answer(
    content: bytes, endpoint: Endpoint, *, http_status: int, headers: Mapping[str, str], log_id: str | None
) -> LoopError:
    """Make the error for a body that is no answer: JSON that says why there is none, or something else altogether."""
    body = parsed(content)
    if isinstance(body, dict) and (body.get("code") or http_status >= 400):
        return refusal(body, endpoint, http_status=http_status, log_id=log_id)
    return _unexpected(http_status, headers, content, endpoint, log_id)


def refusal(body: Mapping[str, Any], endpoint: Endpoint, *, http_status: int, log_id: str | None) -> LoopError:
    """Make the error for an answer ``{code, msg}``, or an OAuth one ``{error, error_code, error_message}``."""
    code = body.get("code")
    said = body.get("msg") or body.get("message") or body.get("error_message") or body.get("error")
    said = said or {name: value for name, value in body.items() if value} or "it gave no reason"
    said = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    number = code if isinstance(code, int) and not isinstance(code, bool) else None
    what = _sentence(f"{endpoint.origin} refused: {_quote(said, endpoint)}")
    if code not in (None, 0):
        what += f" [code {code}]"
    error = remote_error(what, code=number, http_status=http_status, log_id=log_id)
    if endpoint.local:
        error.hint = ""  # it says itself what to do
    elif isinstance(error, AuthenticationFailed):
        error.hint = endpoint.auth.hint
    elif not error.hint:
        error.hint = "If that does not say enough, ask whoever runs the server."
    return error


def _unexpected(
    status: int, headers: Mapping[str, str], content: bytes, endpoint: Endpoint, log_id: str | None
) -> LoopError:
    """Make the error for an answer that is no Loop server's: a redirect, a web page, an empty body."""
    if 300 <= status < 400:
        where = _quote(_site(headers.get("Location", "")), endpoint) or "nowhere"
        what = f"{endpoint.origin} redirects to {where}; a call with a token is not sent on."
        hint = "Set COZELOOP_API_BASE_URL to the API's own address."
        return UnexpectedContent(what, hint=hint, http_status=status, log_id=log_id)
    excerpt = _quote(_readable(content, headers), endpoint)
    with_what = f"with no Loop answer but: {excerpt}" if excerpt else "without a word"
    what = _sentence(f"{endpoint.origin} answered HTTP {status} {with_what}")
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
    return f"{target.scheme}://{target.netloc}".removeprefix(":") if target.netloc else location


def _sentence(text: str) -> str:
    return text if text.endswith((".", "。", "!", "?", "…")) else f"{text}."


def _readable(content: bytes, headers: Mapping[str, str]) -> str:
    text = content[:4000].decode("utf-8", "replace")
    kind = headers.get("Content-Type", "")
    if "html" in kind or text.lstrip()[:1] == "<":
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
        text = "an HTML page, " + repr(html.unescape(title[1] if title else re.sub(r"<[^>]*>", " ", text)).strip())
    elif "event-stream" in kind:
        text = "a stream of events, where one whole answer was asked for"
    return text


def _quote(text: str, endpoint: Endpoint) -> str:
    """Make a server's words safe to show: one line, not long, no control characters, no credentials."""
    text = " ".join(endpoint.auth().hidden_in(text).split())
    text = "".join(c if c.isprintable() else "�" for c in text)
    return text if len(text) <= 300 else text[:300] + "…"
