"""Who is being asked what right now, among several reviewers of one run, in ``RUN/review``.

``assignments.jsonl`` is only appended to, under a lock. A lease lasts as long as the process that took it:
each session holds a lock on a file of its own, which the system lets go however the process ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit.decisions import now
from audit.errors import ServiceError
from audit.tail import Tail

Held = dict[str, set[str]]
"""Reviewers by finding id."""


class Leases:
    """One session's part in the sharing out of a run's findings. Close it, or end the process."""

    def __init__(self, run: Path, reviewer: str) -> None:
        """Raises ServiceError if the folder cannot be written."""
        self.reviewer = reviewer
        self._session = uuid.uuid4().hex
        self._folder = run / "review"
        self._taken: dict[str, tuple[str, set[str]]] = {}
        try:
            (self._folder / "sessions").mkdir(parents=True, exist_ok=True)
            self._alive = self._own().open("w")
            fcntl.flock(self._alive, fcntl.LOCK_EX)
        except OSError as error:
            raise ServiceError(f"cannot write {self._folder}: {error.strerror or error}") from error
        self._tail = Tail(self._folder / "assignments.jsonl")

    def take(self, choose: Callable[[Held], list[str]]) -> list[str]:
        """Hand out findings: ``choose`` gets who holds what elsewhere and names those that become ours.

        Nobody else can take anything in between.
        """
        with self._locked():
            self._read()
            chosen = choose(self._held_elsewhere())
            if chosen:
                self._append({"take": chosen})
        return chosen

    def release(self, findings: Collection[str]) -> None:
        """Give findings back that were not answered."""
        if findings:
            with self._locked():
                self._append({"release": list(findings)})

    def close(self) -> None:
        """Give everything back."""
        self._own().unlink(missing_ok=True)
        self._alive.close()

    def _own(self) -> Path:
        return self._folder / "sessions" / self._session

    def _read(self) -> None:
        for line in self._tail.lines():
            try:
                session, reviewer = str(line["session"]), str(line["reviewer"])
                _, held = self._taken.setdefault(session, (reviewer, set()))
                held.update(map(str, line.get("take", ())))
                held.difference_update(map(str, line.get("release", ())))
            except (KeyError, TypeError):
                continue  # a line of a later version: a lease at most, never an answer

    def _held_elsewhere(self) -> Held:
        held: Held = {}
        for session, (reviewer, findings) in list(self._taken.items()):
            if session == self._session:
                continue
            if not self._lives(session):
                del self._taken[session]
                continue
            for finding in findings:
                held.setdefault(finding, set()).add(reviewer)
        return held

    def _lives(self, session: str) -> bool:
        if not (session.isalnum() and len(session) == 32):
            return False
        try:
            with (self._folder / "sessions" / session).open() as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _append(self, what: dict[str, Any]) -> None:
        line = {"session": self._session, "reviewer": self.reviewer, "time": now(), **what}
        with (self._folder / "assignments.jsonl").open("a+b") as stream:
            end = stream.seek(0, os.SEEK_END)
            torn = end and os.pread(stream.fileno(), 1, end - 1) != b"\n"
            stream.write(("\n" if torn else "").encode() + json.dumps(line).encode() + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with (self._folder / "lock").open("a") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise ServiceError(f"cannot write {self._folder}: {error.strerror or error}") from error
