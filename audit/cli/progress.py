"""Progress on stderr: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from audit.core.annotations import Problem
from audit.ports import Advance
from audit.ports import Progress as Told

PROBLEMS_SHOWN = 5
QUIET_SECONDS = 15.0
"""How often a step reports when stderr is a file or a pipe."""


class Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


class TerminalProgress:
    """``ports.Progress`` for people: description, bar, count, rate, time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._live = self._console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            refresh_per_second=4,
        )
        self._open = 0

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Advance]:
        """A bar for one step; several may be open at a time."""
        if not self._live:
            with _lines(description, total) as advance:
                yield advance
            return
        if not self._open:
            self._bars.start()
        self._open += 1
        bar = self._bars.add_task(escape(description), total=total)
        try:
            yield lambda steps=1: self._bars.advance(bar, steps)
        finally:
            self._open -= 1
            if not self._open:
                self._bars.stop()
                for done in list(self._bars.task_ids):
                    self._bars.remove_task(done)

    def note(self, line: str) -> None:
        """One line above the bars, markup and control characters shown as text."""
        self._console.print(Text(printable(line)))


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
