"""Frames' images: from the cache, else from the server, several at a time, in the order asked for."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from audit.adapters.cvat.ahead import ReadAhead
from audit.adapters.cvat.chunks import MAX_CHUNK_BYTES, MAX_IMAGE_BYTES, ChunkError, Media, unpack
from audit.adapters.cvat.connection import Connection
from audit.adapters.cvat.index import FrameIndex
from audit.adapters.cvat.patience import Refused, ServerFailed
from audit.adapters.pictures import ImageCache
from audit.ports import FrameImage, FrameProblem

MAX_FAILED_UNITS = 3
"""Downloads that may fail in a row with an error of the server's before it counts as broken altogether."""

Fetched = dict[int, str | FrameProblem]
"""Frame number to the digest of its bytes, which are in the cache now, or to what is wrong."""


@dataclass(frozen=True)
class Unit:
    """What one download brings: a chunk, or a single frame (chunk -1). numbers: the frames wanted of it."""

    media: Media
    chunk: int
    numbers: tuple[int, ...]


class ImageSource:
    """Reads ahead by at most two downloads per worker; only digests are kept in memory."""

    def __init__(self, connection: Connection, cache: ImageCache, index: FrameIndex, workers: int) -> None:
        self._connection, self._cache, self._index, self._workers = connection, cache, index, workers
        self._failed, self._allowed = 0, 1

    def images(self, asked: Sequence[tuple[int, Media, int]]) -> Iterator[FrameImage | FrameProblem]:
        """asked: (row, where its image is, frame number). One item each, in this order."""
        known = self._known(asked)
        units = self._units([(m, n) for _, m, n in asked if (m.task, m.version, n) not in known])
        self._allowed = min(MAX_FAILED_UNITS, len(units))
        unit_of = {(id(u.media), n): i for i, u in enumerate(units) for n in u.numbers}
        left = Counter(unit_of[id(m), n] for _, m, n in asked if (id(m), n) in unit_of)
        with ReadAhead(self._fetch, units, self._workers, "cvat-images") as fetched:
            for row, media, number in asked:
                unit = unit_of.get((id(media), number))
                if unit is None:
                    yield self._item(row, known[media.task, media.version, number], media, number)
                    continue
                left[unit] -= 1
                result = fetched.take(unit, last=not left[unit])
                yield self._item(row, result[number], media, number)

    def _known(self, asked: Sequence[tuple[int, Media, int]]) -> dict[tuple[int, str, int], str]:
        """Digests of the asked frames whose bytes are in the cache."""
        server, stored = self._connection.base, dict[tuple[int, str], dict[int, str]]()
        found: dict[tuple[int, str, int], str] = {}
        for _, media, number in asked:
            key = (media.task, media.version)
            if key not in stored:
                stored[key] = self._index.known(server, *key)
            sha256 = stored[key].get(number)
            if sha256 is not None and self._cache.find(sha256) is not None:
                found[media.task, media.version, number] = sha256
        return found

    @staticmethod
    def _units(missing: Sequence[tuple[Media, int]]) -> list[Unit]:
        """Downloads in the order in which they are first needed."""
        groups: OrderedDict[tuple[int, int], dict[int, None]] = OrderedDict()
        medias = {id(media): media for media, _ in missing}
        position = {key: {n: i for i, n in enumerate(m.numbers)} for key, m in medias.items()}
        for media, number in missing:
            chunk = position[id(media)][number] // media.chunk_size if media.zipped else -1 - number
            groups.setdefault((id(media), chunk), {})[number] = None
        return [Unit(medias[key], max(chunk, -1), tuple(numbers)) for (key, chunk), numbers in groups.items()]

    def _item(self, row: int, result: str | FrameProblem, media: Media, number: int) -> FrameImage | FrameProblem:
        if isinstance(result, FrameProblem):
            return FrameProblem(row, result.reason)
        data, path = self._read(result)
        if data is None:  # the file went missing or was damaged since: once more from the server
            again = self._frame(media, number)
            if isinstance(again, FrameProblem):
                return FrameProblem(row, again.reason)
            data, path = self._read(again)
        if data is None or path is None:
            return FrameProblem(row, "its image cannot be read back from the cache")
        return FrameImage(row, result, path, data)

    def _read(self, sha256: str) -> tuple[bytes | None, Path | None]:
        path = self._cache.find(sha256)
        if path is None:
            return None, None
        try:
            data = path.read_bytes()
        except OSError:
            return None, path
        if hashlib.sha256(data).hexdigest() != sha256:
            path.unlink(missing_ok=True)
            return None, path
        return data, path

    def _fetch(self, unit: Unit) -> Fetched:
        """Download one unit into the cache. Raises ServiceError once the server counts as broken."""
        try:
            fetched = self._chunk(unit) if unit.chunk >= 0 else self._frames(unit)
        except ServerFailed as error:
            self._failed += 1
            if self._failed >= self._allowed:
                raise
            return {n: FrameProblem(n, str(error)) for n in unit.numbers}
        self._failed = 0
        done = [(n, sha256) for n, sha256 in fetched.items() if isinstance(sha256, str)]
        self._index.store(self._connection.base, unit.media.task, unit.media.version, done)
        return fetched

    def _chunk(self, unit: Unit) -> Fetched:
        numbers = unit.media.numbers_of(unit.chunk)
        position = {n: i for i, n in enumerate(numbers)}
        fetched: Fetched = {}
        with tempfile.TemporaryFile(buffering=0) as stream:
            try:
                self._download(unit.media, stream, MAX_CHUNK_BYTES, "chunk", unit.chunk)
                for at, data in unpack(stream, len(numbers), [position[n] for n in unit.numbers]):
                    fetched[numbers[at]] = self._cache.put(data)[0]
            except (ChunkError, Refused) as error:
                if isinstance(error, Refused) and error.status in (401, 403):
                    raise
                # one broken image spoils the whole chunk; asked for one by one the others can be had
                rest = tuple(n for n in unit.numbers if n not in fetched)
                fetched |= self._frames(Unit(unit.media, -1, rest))
        return fetched

    def _frames(self, unit: Unit) -> Fetched:
        return {number: self._frame(unit.media, number) for number in unit.numbers}

    def _frame(self, media: Media, number: int) -> str | FrameProblem:
        stream = io.BytesIO()
        try:
            self._download(media, stream, MAX_IMAGE_BYTES, "frame", number)
        except Refused as error:
            if error.status in (401, 403):
                raise
            return FrameProblem(number, str(error))
        return self._cache.put(stream.getvalue())[0]

    def _download(self, media: Media, stream: IO[bytes], most: int, kind: str, number: int) -> None:
        api = self._connection.api
        call = api.tasks_api.retrieve_data if media.endpoint == "task" else api.jobs_api.retrieve_data
        # a job's chunks are counted from its own first frame only if asked for by index
        which = "index" if kind == "chunk" and media.endpoint == "job" else "number"
        what = f"{kind} {number} of {media.endpoint} {media.id}"
        self._connection.save(what, stream, most, call, media.id, kind, quality="original", **{which: number})
