"""A bound on how deeply JSON may be nested, since ijson's memory grows with the square of the depth."""

from __future__ import annotations

import re
from typing import IO

import numpy as np

DEPTH_LIMIT = 64
"""Ten times what any annotation or results format needs."""

_MARKS = b'"[]{}'
_REST = bytes(set(range(256)) - set(_MARKS))
_STRING = re.compile(rb'"[^"]*"')
_STEP = np.zeros(256, np.int8)
_STEP[[ord("["), ord("{")]] = 1
_STEP[[ord("]"), ord("}")]] = -1


class TooDeepError(ValueError):
    """The JSON is nested more deeply than ``DEPTH_LIMIT``."""


class ShallowOnly:
    """A byte stream of JSON that raises TooDeepError as soon as too many brackets are open at once.

    Costs about 10 ms per MB; brackets inside of strings do not count.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._backslashes = b""
        self._in_string = b""
        self._depth = 0

    def read(self, size: int = -1) -> bytes:
        """As the stream below."""
        data = self._stream.read(size)
        self._watch(data)
        return data

    def _watch(self, data: bytes) -> None:
        text = self._backslashes + data
        whole = text.rstrip(b"\\")  # a pair may be cut in two at the chunk's end
        self._backslashes = text[len(whole) :]
        marks = whole.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _REST)
        marks = _STRING.sub(b"", self._in_string + marks)
        brackets, self._in_string, _ = marks.partition(b'"')
        depth = self._depth + np.cumsum(_STEP[np.frombuffer(brackets, np.uint8)], dtype=np.int64)
        if depth.size:
            self._depth = int(depth[-1])
            if int(depth.max()) > DEPTH_LIMIT:
                raise TooDeepError(f"nested more than {DEPTH_LIMIT} levels deep")
