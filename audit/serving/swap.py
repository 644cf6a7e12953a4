"""Put a finished folder where another one stands, without a moment in which neither is there."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

HERE = -100
"""``AT_FDCWD``: paths as they are, not below an open folder."""
EXCHANGE = 2
"""``RENAME_EXCHANGE`` of Linux' ``renameat2``."""


def swap(made: Path, standing: Path) -> None:
    """Afterwards ``standing`` holds what ``made`` held, and ``made`` the old one. Both on one file system.

    On Linux in one step, so that a process killed at any time leaves the old or the new. Elsewhere in two, and
    the old one comes back if the second fails. Raises OSError.
    """
    if _exchanged(made, standing):
        return
    aside = made.with_name(f"{made.name}.before")
    standing.rename(aside)
    try:
        made.rename(standing)
    except BaseException:
        aside.rename(standing)
        raise
    aside.rename(made)


def _exchanged(a: Path, b: Path) -> bool:
    """False where the system or the file system cannot do it."""
    try:
        exchange = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # macOS, Windows, an old libc
        return False
    return int(exchange(HERE, os.fsencode(a), HERE, os.fsencode(b), EXCHANGE)) == 0
