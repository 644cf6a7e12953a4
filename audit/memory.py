"""Memory that is free goes back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Hand freed memory back where the C library can (glibc keeps it for later otherwise). Takes milliseconds.

    Many tables of some megabytes each, made and dropped one after the other, otherwise leave gaps that add up.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # no C library to be had by that way, as on Windows
        return None
    return found
