"""Rendering a jinja2 template that is not trusted, within limits.

What bounds a jinja2 template: its text ends at 1 MB and its time at ten seconds. A small one that only shows,
compares and loops over what it is given cannot make anything vast, and is rendered here, the clock looked at in every
turn and filter. Anything more (calls, literals of lists, other filters, macros) is rendered in a process of its own,
which is killed when the time is over. On Linux that process also has a limit of memory; Windows has none for it, and
macOS does not keep to it. What is large goes there too: Python compiles a template, and reads JSON, in one go under
the interpreter's lock, and nothing else in this process would move meanwhile.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cozeloop_magic.errors import ConfigurationError, RemoteError, remote_error, to_install
from cozeloop_magic.template.values import decode_values

if TYPE_CHECKING:
    from jinja2.nodes import Node

__all__ = ["MAX_OUTPUT_BYTES", "MAX_SECONDS", "PARSE_FAILED", "is_quick", "renderer", "too_long"]

MAX_OUTPUT_BYTES = 1024 * 1024
MAX_SECONDS = 10.0
MAX_MEMORY_MB = 256
LONGEST_QUOTE = 300
# What keeps the interpreter's lock for about 20 ms at the most; more than that is rendered apart.
LONGEST_TEXT_HERE = 32 * 1024
LARGEST_VALUES_HERE = 128 * 1024
MOST_NODES_HERE = 1_000

PARSE_FAILED = 600501004
RENDER_FAILED = 600501005

_PLAIN_NODES = frozenset(
    "Template Output TemplateData Name Const If For Assign Getattr Getitem Compare Operand And Or Not CondExpr Add "
    "Sub Concat Test Filter Call".split()
)
_PLAIN_FILTERS = frozenset(
    "abs capitalize count d default e escape first float int join last length list lower reverse round safe sort "
    "string title tojson trim unique upper".split()
)
_SMALL = 10  # in characters, or as a number: a filter's argument that makes nothing vast
_CHILDREN = threading.BoundedSemaphore(4)
_CHILD = """
import json, sys
request = json.load(sys.stdin)
sys.path[:] = request["path"]
from cozeloop_magic.template.jinja import _answer_parent
_answer_parent(request)
"""


def renderer(
    types: Mapping[str, str], values: Mapping[str, str], remark: Callable[[str], object]
) -> Callable[[str], str]:
    """Give what renders one text with the values of its variables; all its texts share the time.

    The variables come with their declared types, and with their values as they were written. What works here and not
    on the platform is told to `remark`.

    Raises
    ------
    ConfigurationError
        If Jinja2 is not installed.
    RemoteError
        If a value is not of its type; of large values, once a text is rendered.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "This prompt is a jinja2 template, and Jinja2 is not installed.",
            hint=f"{to_install('local')}.",
        ) from None
    deadline = time.monotonic() + MAX_SECONDS
    is_large = sum(map(len, values.values())) > LARGEST_VALUES_HERE
    variables = {} if is_large else decode_values(types, values)

    def render_text(text: str) -> str:
        if is_large or len(text) > LONGEST_TEXT_HERE or not _is_light(text, deadline, remark):
            return _rendered_apart(text, types, values, deadline, remark)
        return _rendered_here(text, variables, deadline, remark)

    return render_text


def is_quick(texts: Iterable[str], values: Mapping[str, str]) -> bool:
    """Whether texts are rendered at once, in this process; False also of what is no template, and without Jinja2."""
    try:
        import jinja2  # noqa: F401

        deadline = time.monotonic() + MAX_SECONDS
        is_small = sum(map(len, values.values())) <= LARGEST_VALUES_HERE
        return is_small and all(len(text) <= LONGEST_TEXT_HERE and _is_light(text, deadline, str) for text in texts)
    except (ImportError, RemoteError):
        return False


def _is_light(text: str, deadline: float, remark: Callable[[str], object]) -> bool:
    """Whether a template is small, and makes nothing much larger than what it is given."""
    from jinja2.nodes import Node

    from cozeloop_magic.template.sandbox import make_sandbox

    try:
        syntax = make_sandbox(deadline, remark).parse(text)
        return sum(1 for _ in syntax.find_all(Node)) <= MOST_NODES_HERE and _is_plain(syntax)
    except Exception as error:
        raise _failed(error, PARSE_FAILED) from error


def _is_plain(node: Node) -> bool:
    """Tell whether a template, or a part of it, can make nothing much larger than what it is given."""
    from jinja2 import nodes

    children = list(node.iter_child_nodes())
    is_plain = type(node).__name__ in _PLAIN_NODES and not getattr(node, "recursive", False)
    if isinstance(node, nodes.Call):  # only of `range`, which has a limit
        is_plain = isinstance(node.node, nodes.Name) and node.node.name == "range" and len(children) <= 4
    elif isinstance(node, nodes.Assign):
        is_plain = isinstance(node.target, nodes.Name)
    elif isinstance(node, (nodes.Add, nodes.Sub)):  # of numbers: lists would grow
        is_plain = any(isinstance(child, nodes.Const) and isinstance(child.value, (int, float)) for child in children)
    elif isinstance(node, nodes.Filter):
        arguments = [*node.args, *node.kwargs, *filter(None, (node.dyn_args, node.dyn_kwargs))]
        is_harmless = all(map(_is_small, arguments)) and node.name != "tojson"  # its indentation multiplies
        is_plain = node.name in _PLAIN_FILTERS and (not arguments or is_harmless or node.name in ("default", "d"))
    return is_plain and all(map(_is_plain, children))


def _is_small(node: Node) -> bool:
    value = getattr(node, "value", None)
    return (abs(value) if isinstance(value, (int, float)) else len(value) if isinstance(value, str) else 99) <= _SMALL


def _rendered_here(text: str, variables: Mapping[str, Any], deadline: float, remark: Callable[[str], object]) -> str:
    from jinja2 import TemplateAssertionError

    from cozeloop_magic.template.sandbox import make_sandbox, parse

    environment = make_sandbox(deadline, remark)
    try:
        template = environment.from_string(parse(environment, text))
    except TemplateAssertionError as error:  # a filter that there is not, which the platform meets as it renders
        raise _failed(error, RENDER_FAILED) from error
    except Exception as error:
        raise _failed(error, PARSE_FAILED) from error
    try:
        return template.render(variables)
    except Exception as error:
        raise _failed(error, RENDER_FAILED) from error


def _rendered_apart(
    text: str, types: Mapping[str, str], values: Mapping[str, str], deadline: float, remark: Callable[[str], object]
) -> str:
    """Render in a process of its own. It is given this one's path, whatever the current directory holds."""
    waits = functools.partial(max, 0.0)
    if not _CHILDREN.acquire(timeout=waits(deadline - time.monotonic())):
        raise _failed(too_long(), RENDER_FAILED)
    try:
        seconds = waits(deadline - time.monotonic())
        request = {"path": sys.path, "text": text, "types": dict(types), "values": dict(values), "seconds": seconds}
        command, no_window = [sys.executable, "-I", "-c", _CHILD], getattr(subprocess, "CREATE_NO_WINDOW", 0)
        pipes = {"input": json.dumps(request).encode(), "capture_output": True, "timeout": seconds}
        done = subprocess.run(command, creationflags=no_window, **pipes)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise OSError(*said or [f"its process was killed; it may need more than {MAX_MEMORY_MB} MB of memory"])
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise _failed(too_long(), RENDER_FAILED) from None
    except Exception as error:
        raise _failed(error, RENDER_FAILED) from error
    finally:
        _CHILDREN.release()
    if "text" not in answer:
        raise remote_error(answer["message"], code=answer["code"])
    for each in answer["remarks"]:
        remark(each)
    return str(answer["text"])


def _answer_parent(request: Mapping[str, Any]) -> None:
    """Do the work of the process that renders."""
    deadline = time.monotonic() + request["seconds"]
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_MB << 20,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(request["seconds"]) + 2,) * 2)  # should the parent be gone
    remarks: dict[str, None] = {}
    try:
        variables = decode_values(request["types"], request["values"])
        text = _rendered_here(request["text"], variables, deadline, lambda said: remarks.setdefault(said))
        answer: dict[str, Any] = {"text": text, "remarks": list(remarks)}
    except RemoteError as error:
        answer = {"code": error.code, "message": error.message}
    print(json.dumps(answer))


def _failed(error: Exception, code: int) -> RemoteError:
    said = " ".join(str(error).split()).rstrip(".")[:LONGEST_QUOTE] or type(error).__name__
    line = getattr(error, "lineno", None)
    if isinstance(error, MemoryError):
        said = f"it needs more than {MAX_MEMORY_MB} MB of memory"
    elif isinstance(error, RecursionError):
        said = "it is nested too deep"
    elif code == PARSE_FAILED and line:
        said = f"{str(getattr(error, 'message', None) or getattr(error, 'msg', said)).rstrip('.')} (line {line})"
    return remote_error(
        f"The template cannot be {'parsed' if code == PARSE_FAILED else 'rendered'}: {said}.", code=code
    )


def too_long() -> ValueError:
    """Make the error of a template whose time is over."""
    return ValueError(f"it takes longer than {MAX_SECONDS:g} s")
