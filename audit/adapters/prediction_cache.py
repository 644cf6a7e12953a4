"""Predictions kept on disk by model and image, so that no model sees the same bytes twice."""

from __future__ import annotations

import fcntl
import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from audit.core.annotations import Predictions
from audit.core.table import objects
from audit.errors import ServiceError

SCHEMA = 1
"""Part of the file's name: another version begins its own file and leaves this one to older programs."""
BUSY_SECONDS = 60.0
"""How long to wait for another process that is writing."""
ASKED_AT_ONCE = 500
"""Below SQLite's lowest bound on variables in a statement (999)."""

HEADER = struct.Struct("<IIIB")  # CRC-32 of what follows it, rows, length before compression, flags
SINGLE_BOXES, SINGLE_SCORES, MASKS, POINTS = 1, 2, 4, 8
NO_MASK = 0xFFFFFFFF

T = TypeVar("T")


class PredictionCache:
    """A SQLite file in ``folder``. Safe for several processes and for a kill at any moment.

    notes: lines for the user; a damaged file is set aside and a new one begun.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"predictions-v{SCHEMA}.sqlite"
        self.notes: tuple[str, ...] = ()
        self._lock = threading.Lock()
        with _service_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # SQLite waits for others at every statement but the switch to write-ahead logging
            with (folder / f"{self.path.name}.opening").open("w") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                self._database = self._opened()

    def get(self, digest: str, sha256s: Sequence[str]) -> dict[str, Predictions]:
        """What is kept of these images for the model with this digest; ``frame`` and ``model`` are 0."""
        found: dict[str, Predictions] = {}
        wanted = list(dict.fromkeys(sha256s))
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            some = wanted[start : start + ASKED_AT_ONCE]
            for image, data in self._guarded(lambda some=some: self._select(digest, some)):  # type: ignore[misc]
                predictions = unpacked(data)
                if predictions is not None:
                    found[image] = predictions
        return found

    def put(self, digest: str, predictions: Mapping[str, Predictions]) -> None:
        """Keep predictions by their image's SHA-256, all or none of them."""
        rows = [(digest, image, packed(p)) for image, p in predictions.items()]
        self._guarded(lambda: self._insert(rows))

    def close(self) -> None:
        """Nothing is lost without it; the database's extra files are tidied up."""
        with self._lock:
            self._database.close()

    def _select(self, digest: str, images: Sequence[str]) -> list[tuple[str, bytes]]:
        marks = ",".join("?" * len(images))
        query = f"SELECT image, data FROM predictions WHERE model = ? AND image IN ({marks})"  # noqa: S608  # only "?"
        return self._database.execute(query, (digest, *images)).fetchall()

    def _insert(self, rows: Sequence[tuple[str, str, bytes]]) -> list[tuple[str, bytes]]:
        with self._database:  # one transaction
            self._database.executemany("INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)", rows)
        return []

    def _guarded(self, work: Callable[[], T]) -> T:
        """Do it; if the file turns out damaged, begin a new one and do it there."""
        with self._lock, _service_errors(self.path):
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not _is_damaged(error):
                    raise
                self._database.close()
                self._set_aside(error)
                self._database = self._connected()
                return work()

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            if not _is_damaged(error):
                raise
            self._set_aside(error)
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            with database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS predictions "
                    "(model TEXT NOT NULL, image TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (model, image))"
                )
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        for end in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + end)
            if part.exists():
                part.rename(aside.with_name(aside.name + end))
        self.notes += (f"the prediction cache was damaged ({error}); it was moved to {aside} and begun anew",)


def packed(predictions: Predictions) -> bytes:
    """Predictions of one image as bytes. ``frame`` and ``model`` are left out: they belong to a run.

    Numbers that a model gave in single precision take half the room; nothing is ever rounded.
    """
    boxes, small_boxes = _narrowed(predictions.xyxy)
    scores, small_scores = _narrowed(predictions.score)
    masks = list(predictions.mask)
    has_masks = any(m is not None for m in masks)
    parts = [boxes, scores, predictions.label.astype("<i4").tobytes()]
    if has_masks:
        lengths = [NO_MASK if m is None else len(m) for m in masks]
        parts += [np.array(lengths, "<u4").tobytes(), *(m for m in masks if m is not None)]
    has_points = any(p is not None for p in predictions.points)
    if has_points:
        parts += [predictions.rotation.astype("<f8").tobytes(), *map(_rings, predictions.points)]
    body = b"".join(parts)
    flags = SINGLE_BOXES * small_boxes | SINGLE_SCORES * small_scores | MASKS * has_masks | POINTS * has_points
    rest = HEADER.pack(0, len(predictions), len(body), flags)[4:]
    rest += bytes(pa.compress(body, codec="zstd", asbytes=True))
    return struct.pack("<I", zlib.crc32(rest)) + rest


def unpacked(data: bytes) -> Predictions | None:
    """The inverse of ``packed``; None for bytes that are not what was written."""
    if len(data) < HEADER.size or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    _, n, length, flags = HEADER.unpack_from(data)
    body = memoryview(pa.decompress(data[HEADER.size :], decompressed_size=length, codec="zstd", asbytes=True))
    take = _Taker(body)
    boxes = take.column("<f4" if flags & SINGLE_BOXES else "<f8", 4 * n).reshape(n, 4)
    scores = take.column("<f4" if flags & SINGLE_SCORES else "<f8", n)
    labels = take.column("<i4", n)
    lengths = take.column("<u4", n).tolist() if flags & MASKS else [NO_MASK] * n
    masks = [None if size == NO_MASK else take.bytes(size) for size in lengths]
    found = Predictions(
        xyxy=boxes.astype(np.float64),
        score=scores.astype(np.float64),
        label=labels.astype(np.int64),
        mask=objects(masks),
    )
    if not flags & POINTS:
        return found
    rotation = take.column("<f8", n).astype(np.float64)
    return found.replace(rotation=rotation, points=objects(take.rings() for _ in range(n)))


def _rings(rings: tuple[NDArray[np.float64], ...] | None) -> bytes:
    """One row's points: how many rings, the length of each, and their numbers."""
    lengths = [len(ring) for ring in rings or ()]
    return np.array([len(lengths), *lengths], "<u4").tobytes() + b"".join(
        r.astype("<f8").tobytes() for r in rings or ()
    )


class _Taker:
    """Takes one column after the other off a buffer."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def bytes(self, size: int) -> bytes:
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def rings(self) -> tuple[NDArray[np.float64], ...] | None:
        """As ``_rings`` wrote them."""
        (count,) = self.column("<u4", 1).tolist()
        lengths = self.column("<u4", count).tolist()
        return tuple(self.column("<f8", 2 * k).astype(np.float64).reshape(k, 2) for k in lengths) or None

    def column(self, dtype: str, n: int) -> NDArray[np.generic]:
        return np.frombuffer(self.bytes(n * np.dtype(dtype).itemsize), dtype)


def _narrowed(values: NDArray[np.float64]) -> tuple[bytes, bool]:
    with np.errstate(over="ignore"):
        single = values.astype("<f4")
    exact = bool(np.array_equal(single.astype(np.float64), values, equal_nan=True))
    return (single if exact else values.astype("<f8")).tobytes(), exact


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Told from "busy" or "disk full", which are OperationalError, a kind of DatabaseError too."""
    return not isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError | sqlite3.IntegrityError)


@contextmanager
def _service_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ServiceError(f"prediction cache {path} cannot be used: {error}") from None
