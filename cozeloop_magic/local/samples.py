"""Data to learn with."""

from __future__ import annotations

import csv
from importlib.resources import files

__all__ = ["reviews"]


def reviews() -> list[dict[str, str]]:
    """Return thirty short reviews, each with its ``text`` and its ``label``, positive or negative, half of each."""
    with files(__package__).joinpath("reviews.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
