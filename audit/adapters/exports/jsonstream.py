"""JSON of any length, item by item; tolerant of NaN, precise about where a file is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any, cast

import ijson

from audit.adapters.exports.archive import Files, readable
from audit.adapters.jsondepth import ShallowOnly, TooDeepError
from audit.errors import UsageError

CHUNK = 1 << 16
LONGEST_TOKEN = 16
"""Kept back at a chunk's end, so that no token below is cut in two ("-Infinity" has 9 bytes)."""

_TOKENS = re.compile(rb'\\.|"|-?Infinity|NaN', re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class NullForNan:
    """A byte stream in which NaN and Infinity outside of strings read ``null``; a BOM is dropped.

    Python's own json module writes them, JSON does not know them.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self._in_string = False
        self._begun = False

    def read(self, size: int = CHUNK) -> bytes:
        """At least one byte unless the stream is at its end; ``b""`` for ``read(0)``."""
        if size == 0:
            return b""
        while True:
            fresh = self._stream.read(max(size, LONGEST_TOKEN) if size > 0 else -1)
            data = self._kept + fresh
            if not self._begun:
                self._begun, data = True, data.removeprefix(_BOM)
            out = self._cleaned(data, last=not fresh or size < 0)
            if out or not fresh:
                return out

    def _cleaned(self, data: bytes, *, last: bool) -> bytes:
        end = len(data) if last else max(len(data) - LONGEST_TOKEN, 0)
        if b"NaN" not in data and b"Infinity" not in data:
            return self._unchanged(data, end)
        pieces, done = [], 0
        for token in _TOKENS.finditer(data):
            if token.start() >= end:
                break
            word = token.group()
            if word == b'"':
                self._in_string = not self._in_string
            elif not self._in_string and word[:1] != b"\\":
                pieces += [data[done : token.start()], b"null"]
                done = token.end()
            end = max(end, token.end())
        self._kept = data[end:]
        return b"".join([*pieces, data[done:end]])

    def _unchanged(self, data: bytes, end: int) -> bytes:
        """The usual case, without a look at every token: only whether a string is open must be kept."""
        out = data[:end]
        if (len(out) - len(out.rstrip(b"\\"))) % 2:
            out = data[: end + 1]  # an escape stays in one piece
        quotes = out.replace(rb"\\", b"").replace(rb"\"", b"").count(b'"')
        self._in_string ^= bool(quotes % 2)
        self._kept = data[len(out) :]
        return out


def _source(stream: IO[bytes]) -> NullForNan:
    return NullForNan(cast(IO[bytes], ShallowOnly(stream)))  # all that is asked of it is read()


def items(files: Files, name: str, prefix: str) -> Iterator[Any]:
    """Every value at ``prefix`` (``images.item``), one at a time. Raises UsageError for a broken file."""
    where = f"{files.where}/{name}"
    with readable(where):
        try:
            with files.open(name) as stream:
                yield from ijson.items(_source(stream), prefix, use_float=True)
        except TooDeepError as error:
            raise UsageError(f"{where}: {error}") from None
        except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{where}: {describe(files, name, error)}") from None


def top_level_keys(files: Files, name: str) -> Iterator[str]:
    """The names at the top of a JSON object, as far as the caller reads on. Raises UsageError if broken."""
    where = f"{files.where}/{name}"
    with readable(where):
        try:
            with files.open(name) as stream:
                for prefix, event, value in ijson.parse(_source(stream), use_float=True, buf_size=4096):
                    if prefix == "" and event == "map_key":
                        yield value
        except TooDeepError as error:
            raise UsageError(f"{where}: {error}") from None
        except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{where}: {describe(files, name, error)}") from None


def describe(files: Files, name: str, error: Exception) -> str:
    """What is wrong with the JSON, and at which byte. Reads the file twice more, the last part bytewise."""
    words = " ".join(str(error).replace("\\n", "\n").split("\n")[0].removeprefix("b'").split())
    chunk = _first_refused(files, name, CHUNK, 0)
    if chunk is None:
        return "ends in the middle of its JSON: it is empty or cut off; copy or export it again"
    position = _first_refused(files, name, 1, chunk * CHUNK)
    return f"is not valid JSON near byte {position} ({words}); copy or export it again"


def _first_refused(files: Files, name: str, step: int, start: int) -> int | None:
    """Which piece of ``step`` bytes the parser refuses, counted from 0 over the whole file; ``None`` for none.

    Bytes before ``start`` are fed in one go a chunk. Counts bytes after NaN has become null.
    """
    parser = ijson.basic_parse_coro(_Sink(), use_float=True)
    for at, piece in _pieces(files, name, step, start):
        try:
            parser.send(piece)
        except (ijson.JSONError, UnicodeDecodeError, StopIteration):
            return at // step
    return None


def _pieces(files: Files, name: str, step: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of the cleaned stream and where they begin: of ``CHUNK`` bytes up to ``start``, then of ``step``."""
    at = 0
    with files.open(name) as stream:
        for chunk in _rechunked(NullForNan(stream)):
            width = step if at >= start else CHUNK
            for i in range(0, len(chunk), width):
                yield at + i, chunk[i : i + width]
            at += len(chunk)


def _rechunked(stream: NullForNan) -> Iterator[bytes]:
    kept = b""
    while fresh := stream.read():
        kept += fresh
        while len(kept) >= CHUNK:
            yield kept[:CHUNK]
            kept = kept[CHUNK:]
    if kept:
        yield kept


class _Sink:
    """Takes the parser's events and forgets them."""

    def send(self, event: object) -> None:
        """Nothing is kept."""
