"""Matching a model's class names with a task's label names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.core.table import IntArray


@dataclass(frozen=True)
class LabelMatch:
    """codes: (number of model classes,) the task's label code of each class, ``-1`` where it has none.

    unknown_classes: the model's classes the task does not have. unknown_labels: the task's labels
    that no class stands for; the model can say nothing about those.
    """

    codes: IntArray
    unknown_classes: tuple[str, ...]
    unknown_labels: tuple[str, ...]


def match_labels(classes: Sequence[str], labels: Sequence[str], mapping: Mapping[str, str]) -> LabelMatch:
    """By name; ``mapping`` (class → label) goes first, then the same name, then the same but for case and "_-".

    Several classes may stand for one label. Raises ValueError for a mapping that names a class or a
    label that does not exist.
    """
    for cls, label in mapping.items():
        if cls not in classes:
            raise ValueError(f"--map {cls}={label}: the model has no class '{cls}' (it has: {listing(classes)})")
        if label not in labels:
            raise ValueError(f"--map {cls}={label}: the task has no label '{label}' (it has: {listing(labels)})")
    exact = {name: i for i, name in enumerate(labels)}
    loose = {_loose(name): i for i, name in enumerate(labels)}
    codes = [exact.get(mapping.get(c, c), loose.get(_loose(c), -1) if c not in mapping else -1) for c in classes]
    return LabelMatch(
        codes=np.array(codes, np.int64).reshape(len(classes)),
        unknown_classes=tuple(c for c, code in zip(classes, codes, strict=True) if code < 0),
        unknown_labels=tuple(name for i, name in enumerate(labels) if i not in set(codes)),
    )


def listing(names: Sequence[str], most: int = 12) -> str:
    """Names for an error message: the first few and how many more."""
    shown = ", ".join(f"'{n[:60]}'" for n in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"


def _loose(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
