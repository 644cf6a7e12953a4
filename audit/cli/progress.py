"""Progress on stderr: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from audit.core.annotations import Problem
from audit.ports import Advance
from audit.ports import Progress as Told

if TYPE_CHECKING:
    from audit.cli.bars import Bars

PROBLEMS_SHOWN = 5
QUIET_SECONDS = 15.0
"""How often a step reports when stderr is a file or a pipe."""


class TerminalProgress:
    """``ports.Progress`` for people: description, bar, count, rate, time left."""

    def __init__(self) -> None:
        self._bars = _bars() if _is_terminal() else None

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Advance]:
        """A bar for one step; several may be open at a time."""
        with self._bars.task(description, total) if self._bars else _lines(description, total) as advance:
            yield advance

    def note(self, line: str) -> None:
        """One line above the bars, control characters shown as text."""
        if self._bars:
            self._bars.note(printable(line))
        else:
            print(printable(line), file=sys.stderr, flush=True)  # noqa: T201 - notes go to stderr


def _bars() -> Bars:
    from audit.cli.bars import Bars  # its library need not be waited for where nobody sees bars

    return Bars()


def _is_terminal() -> bool:
    """Whether stderr is one, or is to be taken for one or for none: https://force-color.org and rich's own variable."""
    told, forced = os.environ.get("TTY_COMPATIBLE"), os.environ.get("FORCE_COLOR")
    if told in ("0", "1"):
        return told == "1"
    return forced != "" if forced is not None else sys.stderr.isatty()


@contextmanager
def _lines(description: str, total: int | None) -> Iterator[Advance]:
    start = last = time.monotonic()
    done = 0

    def advance(steps: int = 1) -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= QUIET_SECONDS:
            last = now
            _say(description, done, total, now - start)

    yield advance
    _say(description, done, total, time.monotonic() - start)


def _say(description: str, done: int, total: int | None, seconds: float) -> None:
    of = f"/{total}" if total is not None else ""
    left = f", {(total - done) * seconds / done:.0f} s left" if total and 0 < done < total else ""
    rate = f"{done / seconds:,.1f}/s" if seconds > 0 else ""
    print(f"{description}: {done}{of} in {seconds:.1f} s, {rate}{left}", file=sys.stderr, flush=True)  # noqa: T201 - progress goes to stderr


def printable(text: str) -> str:
    """Text from a server or a file for a terminal: control characters, escapes among them, become spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


def note_problems(progress: Told, problems: Sequence[Problem], out: Path) -> None:
    """The first few in words, and how many more the manifest in ``out`` holds."""
    for problem in problems[:PROBLEMS_SHOWN]:
        progress.note(f"{problem.where}: {problem.reason}")
    if len(problems) > PROBLEMS_SHOWN:
        progress.note(f"and {len(problems) - PROBLEMS_SHOWN} more problems, see {out}/manifest.json")
