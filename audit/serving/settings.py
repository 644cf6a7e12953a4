"""Settings of a function, from the environment that Nuclio's ``spec.env`` and the local host set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

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


def weights(name: str, default: str, folder: Path | None) -> str:
    """A variable that names weights: a file in the function's own folder, else as it stands (a path, a known name)."""
    wanted = text(name, default)
    own = folder / wanted if folder else Path(wanted)
    return str(own) if own.is_file() else wanted


def names(name: str) -> Mapping[str, str]:
    """A variable's JSON object of texts. Raises UsageError for anything else."""
    value = text(name, "{}")
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise UsageError(f'{name}={value[:100]}: expected a JSON object of names, such as {{"person": "Pedestrian"}}')
    return found


def threads() -> int:
    """Cores that one worker may use: ``CPU_THREADS``, else all that this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return int(number("CPU_THREADS", cores, 1, 1024))
