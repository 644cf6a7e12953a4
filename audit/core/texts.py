"""A column of texts in little memory: names, paths and digests of frames take a hundred bytes each as objects."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

Rows = slice | NDArray[Any]
TOGETHER = 512
"""Texts packed together: unpacking them takes a tenth of a millisecond."""


class Texts:
    """Texts that are mostly asked for one after the other, packed. Grows by ``append``; what is there never changes.

    In a ``Table`` it stands for a (n,) object array: an integer gives a text, anything else an object array.
    """

    dtype = np.dtype(object)

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._packed: list[bytes] = []
        self._last: list[str] = []
        self._open: tuple[int, list[str]] = (-1, [])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """One more, behind the others."""
        self._last.append(text)
        if len(self._last) == TOGETHER:
            self._packed.append(zlib.compress(json.dumps(self._last).encode(), 1))
            self._last = []

    def fill(self, length: int) -> None:
        """Empty ones behind the others, until there are so many in all."""
        while len(self) < length:
            self.append("")

    def __len__(self) -> int:
        return len(self._packed) * TOGETHER + len(self._last)

    @property
    def shape(self) -> tuple[int]:
        """As an array's."""
        return (len(self),)

    def __iter__(self) -> Iterator[str]:
        for block in range(len(self._packed)):
            yield from self._block(block)
        yield from self._last

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> str: ...

    @overload
    def __getitem__(self, index: Rows) -> NDArray[np.object_]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            return self._one(range(len(self))[int(index)])
        rows = np.arange(len(self))[index]
        found = np.empty(len(rows), object)
        for place in np.argsort(rows, kind="stable").tolist():  # each block is unpacked once
            found[place] = self._one(int(rows[place]))
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        found = np.empty(len(self), object)
        found[:] = self.tolist()
        return found

    def tolist(self) -> list[str]:
        """All of them."""
        return list(self)

    def _one(self, row: int) -> str:
        block, place = divmod(row, TOGETHER)
        return self._last[place] if block == len(self._packed) else self._block(block)[place]

    def _block(self, block: int) -> list[str]:
        number, texts = self._open
        if number != block:
            texts = cast(list[str], json.loads(zlib.decompress(self._packed[block])))
            self._open = (block, texts)
        return texts
