"""Which frame of which server has which bytes, so that nothing is downloaded twice. Kept on disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from audit.errors import ServiceError

_TABLE = """
create table if not exists frames (
    server text not null, task integer not null, version text not null, number integer not null,
    sha256 text not null, primary key (server, task, version, number)
) without rowid
"""
T = TypeVar("T")


class FrameIndex:
    """From (server, task, version of its data, frame number) to the SHA-256 of the frame's bytes.

    version: what the server says of the data's age; other bytes under the same number have another.
    Safe to use from threads, and from several processes at once. A damaged file is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._database: sqlite3.Connection | None = None

    def known(self, server: str, task: int, version: str) -> dict[int, str]:
        """All frames of these data that were ever stored: number to digest."""
        query = "select number, sha256 from frames where server = ? and task = ? and version = ?"
        return dict(self._do(lambda db: db.execute(query, (server, task, version)).fetchall()))

    def store(self, server: str, task: int, version: str, digests: Iterable[tuple[int, str]]) -> None:
        """Remember these frames; on disk when this returns."""
        rows = [(server, task, version, number, sha256) for number, sha256 in digests]
        self._do(lambda db: db.executemany("insert or replace into frames values (?, ?, ?, ?, ?)", rows))

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _do(self, act: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return self._act(act)
            except sqlite3.OperationalError as error:  # locked, disk full, read-only
                raise ServiceError(f"cannot use {self._path}: {error}") from None
            except sqlite3.DatabaseError:
                self._begin_anew()
                return self._act(act)

    def _act(self, act: Callable[[sqlite3.Connection], T]) -> T:
        if self._database is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, timeout=60, check_same_thread=False)
            self._database.execute(_TABLE)
        with self._database:
            return act(self._database)

    def _begin_anew(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._path.unlink(missing_ok=True)
