"""Settings of a function, from the environment that Nuclio's ``spec.env`` and the local host set."""

from __future__ import annotations

import os

from audit.errors import UsageError


def text(name: str, default: str) -> str:
    """A variable's text; an empty one counts as not set."""
    return os.environ.get(name, "").strip() or default


def number(name: str, default: float, least: float, most: float) -> float:
    """A variable's number. Raises UsageError if it is none or out of its range."""
    value = text(name, "")
    try:
        found = float(value) if value else default
    except ValueError:
        found = float("nan")
    if not least <= found <= most:
        raise UsageError(f"{name}={value}: expected a number from {least:g} to {most:g}")
    return found


def threads() -> int:
    """Cores that one worker may use: ``CPU_THREADS``, else all that this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return int(number("CPU_THREADS", cores, 1, 1024))
