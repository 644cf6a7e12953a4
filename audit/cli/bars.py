"""Progress bars on a terminal; imported only where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from audit.ports import Advance


class Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


class Bars:
    """One bar for each step that is open, lines above them."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, force_terminal=True)
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
        """One line above the bars, markup shown as text."""
        self._console.print(Text(line))
