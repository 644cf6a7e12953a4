"""Numbers out of files that may hold anything in their place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from audit.core.table import FloatArray

INT64_MAX = 2**63 - 1
LARGEST = 1e18
"""Beyond this a number is no coordinate of anything, and sums of it would overflow."""


def number(value: Any) -> float:
    """The finite number this is or spells, else NaN: a broken coordinate is a finding, not a crash."""
    if isinstance(value, bool):
        return math.nan
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return result if abs(result) <= LARGEST else math.nan


def whole(value: Any) -> int | None:
    """The whole number (int64) this is or spells, else ``None``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) <= INT64_MAX else None
    result = number(value)
    return int(result) if result.is_integer() and abs(result) < 2**53 else None


def numbers(values: Any) -> FloatArray:
    """(n,) float64, NaN for what is no finite number; empty for what is no list at all."""
    if not isinstance(values, (list, tuple)):
        return np.empty(0)
    return np.array([number(v) for v in values], dtype=np.float64)


def flag(value: Any) -> bool:
    """True for 1, "1", true and "true" in any case."""
    return value in (1, True) or (isinstance(value, str) and value.strip().lower() in ("1", "true"))
