"""A long answer of the server, kept on disk and read item by item."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import IO, Any, cast

import ijson

from audit.adapters.jsondepth import ShallowOnly, TooDeepError
from audit.errors import ServiceError

CHUNK = 1 << 16


class Document:
    """A JSON object in an open file, whose lists are never in memory whole. refused: the error for what is none.

    Use it as a context manager, which closes the file. Raises ``refused`` for what does not begin like an object;
    what is broken further back is told by ``items``.
    """

    def __init__(self, file: IO[bytes], refused: Callable[[], ServiceError]) -> None:
        self._file, self._refused = file, refused
        self._whole: dict[str, Any] | None = None
        if not self._pieces_begin(b"{"):
            self.close()
            raise refused()
        if self._has_words():
            self._whole = self._loaded()

    def __enter__(self) -> Document:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def items(self, name: str) -> Iterator[Any]:
        """What the list of this name holds, one by one; nothing where it is null, absent or no list."""
        if self._whole is not None:
            found = self._whole.get(name)
            yield from found if isinstance(found, list) else ()
            return
        self._file.seek(0)
        shallow = cast(IO[bytes], ShallowOnly(self._file))  # all that is asked of it is read()
        try:
            yield from ijson.items(shallow, f"{name}.item", use_float=True, buf_size=CHUNK)
        except (ijson.JSONError, UnicodeDecodeError, TooDeepError, RecursionError):
            raise self._refused() from None

    def close(self) -> None:
        """The file goes."""
        self._file.close()

    def _pieces_begin(self, mark: bytes) -> bool:
        self._file.seek(0)
        return self._file.read(CHUNK).lstrip()[:1] == mark

    def _has_words(self) -> bool:
        """Whether it holds NaN or Infinity, which Python writes and JSON lacks: such a one is read at once instead."""
        self._file.seek(0)
        before = b""
        while piece := self._file.read(CHUNK):
            text = before + piece
            if b"NaN" in text or b"Infinity" in text:
                return True
            before = text[-8:]
        return False

    def _loaded(self) -> dict[str, Any]:
        self._file.seek(0)
        try:
            whole = json.load(self._file)
        except (ValueError, RecursionError):
            with closing(self):
                raise self._refused() from None
        return cast(dict[str, Any], whole)
