"""Every error this package raises, one tree.

::

    LoopError
    ├── ConfigurationError        the set-up is incomplete or contradicts itself; nothing was sent
    ├── InvalidRequest            the request cannot be sent as it is written; nothing was sent
    │   ├── VariableError         a variable is missing, unknown, of another type, or has no JSON form
    │   └── CellError             a cell body is neither variables nor messages
    ├── DraftConflict             a prompt has another draft, or a newer version
    ├── ClientClosed              the client was closed
    ├── LocalLoopError            the embedded Loop cannot start
    ├── StoreError                runs cannot be kept, or kept ones not be read
    ├── TapeError                 a tape cannot be read or written, or has no answer to this request
    ├── RequirementNotMet         a comparison did not show what it was required to
    ├── TransportError            the network, not the server, said no
    │   ├── ConnectFailed         the server was not reached, so it cannot have begun
    │   ├── DeadlineExceeded      a time limit passed
    │   ├── UnexpectedContent     an answer came that is no answer of a Loop server: an HTML page, say
    │   └── StreamInterrupted     an answer did not come to its end
    │       └── UnreadableEvent   an event of the stream cannot be read
    └── RemoteError               the server said no, with a code
        ├── AuthenticationFailed  the token is missing, wrong or expired
        ├── PermissionDenied      the token may not do this
        ├── BadRequest            a parameter or a variable's value was refused
        ├── PromptNotFound        no such prompt
        ├── VersionNotFound       no such version, or nothing committed yet
        ├── LabelNotFound         the label marks no version
        ├── TemplateFailed        the prompt's template cannot be parsed or rendered
        ├── AlreadyExists         the prompt key or version is taken
        ├── RateLimited           too many calls in a second
        ├── ContentRejected       the platform's content check refused it
        └── ServerFailed          the server failed

An error's text is for the person in front of the notebook: what happened, what to do next, and the log id to
quote to whoever runs the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cozeloop_magic.entities.authoring import DraftInfo
    from cozeloop_magic.entities.prompt import ExecuteResult

__all__ = [
    "AlreadyExists",
    "AuthError",
    "AuthInfoRequiredError",
    "AuthenticationFailed",
    "BadRequest",
    "CellError",
    "ClientClosed",
    "ClientClosedError",
    "ConfigurationError",
    "ConnectFailed",
    "ContentRejected",
    "DeadlineExceeded",
    "DraftConflict",
    "InvalidParamError",
    "InvalidRequest",
    "LabelNotFound",
    "LocalLoopError",
    "LoopError",
    "NetworkError",
    "ParsePrivateKeyError",
    "PermissionDenied",
    "PromptNotFound",
    "RateLimited",
    "RemoteError",
    "RemoteServiceError",
    "RequirementNotMet",
    "ServerFailed",
    "StoreError",
    "StreamInterrupted",
    "TapeError",
    "TemplateFailed",
    "TransportError",
    "UnexpectedContent",
    "UnreadableEvent",
    "VariableError",
    "VersionNotFound",
    "kind_of",
    "remote_error",
    "to_install",
]


class LoopError(Exception):
    """Something went wrong between a request and its answer.

    Parameters
    ----------
    message : str
        What happened, in one sentence.
    hint : str
        What to do next, in one sentence; may be empty.
    log_id : str or None
        The server's id of the call (response header ``x-tt-logid`` or ``X-Log-ID``).
    http_status : int or None
        The HTTP status of the answer, where one came.
    code : int or None
        The platform's error code, where one came.
    partial : ExecuteResult or None
        What had been received of the answer, where anything had.
    """

    hint = ""
    repeatable = False
    """Whether the same call may be made again at once: the server has not begun it, or asks to come again."""
    retry_after: float | None = None
    """Seconds the server asks to be left alone before that, where it names any."""
    result: object = None
    """What came of many calls before it ended them: a comparison or a table."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        log_id: str | None = None,
        http_status: int | None = None,
        code: int | None = None,
        partial: ExecuteResult | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        self.log_id = log_id
        self.http_status = http_status
        self.code = code
        self.partial = partial

    def __str__(self) -> str:
        text = f"{self.message} {self.hint}".strip()
        return f"{text} (log id {self.log_id})" if self.log_id else text


class ConfigurationError(LoopError):
    """The set-up is incomplete or contradicts itself; nothing was sent."""


class InvalidRequest(LoopError, ValueError):
    """The request cannot be sent as it is written; nothing was sent."""


class VariableError(InvalidRequest):
    """A variable is missing, unknown, of another type, or has no JSON form."""


class CellError(InvalidRequest):
    """A cell body is neither variables nor messages.

    Parameters
    ----------
    message : str
        What was expected.
    line, column : int
        Where, counted from 1 in the cell body (the line after ``%%loop_prompt`` is line 1).
    source : str
        The line itself.
    hint : str or None
        What to write instead.
    """

    def __init__(
        self, message: str, *, line: int = 1, column: int = 1, source: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column
        self.source = source

    def __str__(self) -> str:
        where = f"Line {self.line}, column {self.column}: {self.message}"
        shown = f"\n    {self.source}\n    {' ' * (self.column - 1)}^" if self.source else ""
        return f"{where} {self.hint}".strip() + shown


class DraftConflict(LoopError):
    """A prompt has another draft, which was not overwritten, or a newer version than what was to be saved.

    Parameters
    ----------
    message : str
        Whose draft or version it is.
    draft_info : DraftInfo or None
        The draft that is there.
    """

    hint = "Commit it or look at it first; passing its draft_info as `replaces` overwrites it."

    def __init__(self, message: str, *, draft_info: DraftInfo | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.draft_info = draft_info


class ClientClosed(LoopError):
    """The client was closed."""

    hint = "Make a new one with new_client()."


class LocalLoopError(LoopError):
    """The embedded Loop cannot start."""


class StoreError(LoopError):
    """Runs cannot be kept, or kept ones cannot be read."""


class TapeError(LoopError):
    """A tape cannot be read or written, or has no answer to this request."""


class RequirementNotMet(LoopError):
    """A comparison did not show what it was required to, or too many rows of a table failed."""


class TransportError(LoopError):
    """The network, not the server, said no."""


class ConnectFailed(TransportError):
    """The server was not reached, so it cannot have begun."""


class DeadlineExceeded(TransportError, TimeoutError):
    """A time limit passed."""


class UnexpectedContent(TransportError):
    """An answer came that is no answer of a Loop server: an HTML page, say."""


class StreamInterrupted(TransportError):
    """An answer did not come to its end; ``partial`` holds what came, where anything did."""

    hint = "The text so far is kept; run it again for a complete answer."


class UnreadableEvent(StreamInterrupted):
    """An event of the stream cannot be read."""


class RemoteError(LoopError):
    """The server said no, with a code."""

    @property
    def http_code(self) -> int | None:
        """The official SDK's name of ``http_status``."""
        return self.http_status

    @property
    def error_code(self) -> int | None:
        """The official SDK's name of ``code``."""
        return self.code

    @property
    def error_message(self) -> str:
        """The official SDK's name of ``message``."""
        return self.message


class AuthenticationFailed(RemoteError):
    """The token is missing, wrong or expired."""


class PermissionDenied(RemoteError):
    """The token may not do this."""

    hint = "Check the workspace id, and the token's permissions (executePrompt to run, readPrompt to look)."


class BadRequest(RemoteError):
    """A parameter or a variable's value was refused."""

    hint = "Check the variables and messages against the prompt."


class PromptNotFound(RemoteError):
    """No such prompt."""

    hint = "Check the prompt key and the workspace."


class VersionNotFound(RemoteError):
    """No such version, or nothing committed yet."""

    hint = "Check the version, or commit the prompt first."


class LabelNotFound(RemoteError):
    """The label marks no version."""

    hint = "Set the label on a version, or name a version."


class TemplateFailed(RemoteError):
    """The prompt's template cannot be parsed or rendered."""

    hint = "Mend the prompt's template, or check the variables' types."


class AlreadyExists(RemoteError):
    """The prompt key or version is taken."""

    hint = "Choose another key or a higher version."


class RateLimited(RemoteError):
    """Too many calls in a second."""

    repeatable = True
    hint = "Wait a moment and run it again."


class ContentRejected(RemoteError):
    """The platform's content check refused it."""

    hint = "Change the wording."


class ServerFailed(RemoteError):
    """The server failed."""

    hint = "Run it again; if it stays, ask whoever runs the server."


# The official SDK's names: what is raised here where it raises that.
AuthError = AuthenticationFailed
AuthInfoRequiredError = InvalidParamError = ParsePrivateKeyError = ConfigurationError
ClientClosedError = ClientClosed
NetworkError = TransportError
RemoteServiceError = RemoteError


_CODES: dict[type[RemoteError], tuple[int, ...]] = {
    PermissionDenied: (600500101,),
    BadRequest: (600500201, 600500202, 600500203),
    PromptNotFound: (600501001,),
    VersionNotFound: (600501002, 600501003),
    TemplateFailed: (600501004, 600501005, 600501006),
    LabelNotFound: (600501007,),
    AlreadyExists: (600500204, 600501008, 600501009, 600501010),
    RateLimited: (600502001, 600502002),
    ContentRejected: (600505014,),
    ServerFailed: (1, 600500701, 600500702, 600500703, 600500801, 600500803),
}
_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}
_BY_STATUS: dict[int, type[RemoteError]] = {
    400: BadRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    429: RateLimited,
}


def kind_of(code: int | None, http_status: int | None) -> type[RemoteError]:
    """Tell which error a server's code, or failing that its HTTP status, stands for.

    HTTP 401 and 429 win over the code: gateways send them with codes of their own.
    """
    if http_status in (401, 429):
        return _BY_STATUS[http_status]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if http_status in _BY_STATUS:
        return _BY_STATUS[http_status]
    return ServerFailed if http_status is not None and http_status >= 500 else RemoteError


def remote_error(
    message: str,
    *,
    code: int | None = None,
    http_status: int | None = None,
    log_id: str | None = None,
    partial: ExecuteResult | None = None,
) -> RemoteError:
    """Make the error that a server's code, or failing that its HTTP status, stands for."""
    kind = kind_of(code, http_status)
    error = kind(message, code=code, http_status=http_status, log_id=log_id, partial=partial)
    error.repeatable = kind.repeatable or http_status == 503
    return error


def to_install(extra: str) -> str:
    """Give the hint for an optional part that is not installed."""
    return f'Install it in the checkout: pip install ".[{extra}]"'
