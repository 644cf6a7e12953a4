"""``Progress`` that remembers what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from audit.ports import Advance


class Noted:
    """steps: per description, how far it came; totals: how far it was to go. notes: lines for the user."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: dict[str, int] = {}
        self.totals: dict[str, int | None] = {}

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Advance]:
        self.steps[description], self.totals[description] = 0, total

        def advance(steps: int = 1) -> None:
            self.steps[description] += steps

        yield advance

    def note(self, line: str) -> None:
        self.notes.append(line)


class Told(Noted):
    """One that is to be told no line."""

    def note(self, line: str) -> None:
        raise AssertionError(f"unexpected: {line}")
