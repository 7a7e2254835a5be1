"""Which versions of what is needed are installed, held against what this package asks for."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["EXTRAS", "FRONT_ENDS", "Installed", "installed", "of_package", "own_versions"]

PACKAGE = "cozeloop-magic"
EXTRAS = ("local", "batch", "oauth", "dask")
"""The optional parts that a person may want."""

FRONT_ENDS = ("ipykernel", "jupyterlab", "notebook", "jupyterlab_widgets")
"""What shows a notebook: none of them is asked for, and what is there matters where something is not drawn."""


class Installed(NamedTuple):
    """One package: its name, its version, empty where it is missing, and what is asked for if it is not that."""

    name: str
    version: str
    wanted: str = ""


def of_package(extra: str = "") -> list[Installed]:
    """Give what the package needs, or one of its optional parts; nothing where its metadata is not installed."""
    return [installed(each.name, each) for each in _required(extra)]


def installed(name: str, wanted: Requirement | None = None) -> Installed:
    """Look at one package; nothing is imported."""
    try:
        there = version(name)
    except PackageNotFoundError:
        return Installed(name, "", str(wanted or name))
    fits = wanted is None or wanted.specifier.contains(there, prereleases=True)
    return Installed(name, there, "" if fits else f"{name}{wanted.specifier if wanted else ''}")


def own_versions() -> list[Installed]:
    """Give this package's own version and Python's."""
    return [installed(PACKAGE), Installed("Python", platform.python_version())]


def _required(extra: str) -> Iterator[Requirement]:
    try:
        lines = requires(PACKAGE) or []
    except PackageNotFoundError:
        return
    for line in lines:
        try:
            each = Requirement(line)
        except InvalidRequirement:
            continue
        always = each.marker is None or each.marker.evaluate({"extra": ""})
        asked = extra and each.marker is not None and each.marker.evaluate({"extra": extra}) and not always
        if (asked if extra else always) and canonicalize_name(each.name) != PACKAGE:
            yield each
