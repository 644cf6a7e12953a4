"""Embeddings in a Redis that several workers share. Speaks the few words of its protocol that this needs."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from threading import Lock
from urllib.parse import unquote, urlsplit

from audit.errors import UsageError

PREFIX = "cvat-audit:embedding:"
KEEP_SECONDS = 24 * 3600
"""An annotator is done with a picture the same day; Redis forgets it then by itself."""
TIMEOUT = 1.0
"""Seconds for one command: longer than this, and encoding anew is nearly as fast."""
RETRY_SECONDS = 30.0
"""How long a Redis that failed is left alone."""
MAX_VALUE = 64 << 20
"""A larger answer is not an embedding of ours."""


class RedisStore:
    """See ``audit.serving.embeddings.SharedStore``. url: ``redis://[user:password@]host[:port][/db]`` or ``rediss://``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            # the address may hold a password: it is not repeated
            raise UsageError("SAM_REDIS_URL: expected redis://[user:password@]host[:port][/db] or rediss://...")
        self._address = (parts.hostname, parts.port or 6379)
        self._tls = parts.scheme == "rediss"
        self._greeting = _greeting(parts.username, parts.password, parts.path.strip("/"))
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._resting_until = 0.0

    def get(self, key: str) -> bytes | None:
        """The value, None if there is none or Redis cannot be asked."""
        return self._ask(b"GET", (PREFIX + key).encode())

    def put(self, key: str, value: bytes) -> None:
        """Keep a value for a day; nothing happens if Redis cannot be told."""
        self._ask(b"SETEX", (PREFIX + key).encode(), str(KEEP_SECONDS).encode(), value)

    def _ask(self, *words: bytes) -> bytes | None:
        with self._lock:
            if time.monotonic() < self._resting_until:
                return None
            try:
                return self._exchange(words)
            except (OSError, ValueError):
                self._close()
                self._resting_until = time.monotonic() + RETRY_SECONDS
                return None

    def _exchange(self, words: tuple[bytes, ...]) -> bytes | None:
        if self._socket is None:
            self._socket = self._connected()
        self._socket.sendall(_command(words))
        return _answer(self._socket)

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, TIMEOUT)
        connection.settimeout(TIMEOUT)
        if self._tls:
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=self._address[0])
        for words in self._greeting:
            connection.sendall(_command(words))
            _answer(connection)
        return connection

    def _close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None


def _greeting(user: str | None, password: str | None, database: str) -> list[tuple[bytes, ...]]:
    words: list[tuple[bytes, ...]] = []
    if password:
        names = [unquote(user).encode()] if user else []
        words.append((b"AUTH", *names, unquote(password).encode()))
    if database:
        words.append((b"SELECT", database.encode()))
    return words


def _command(words: tuple[bytes, ...]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def _answer(connection: socket.socket) -> bytes | None:
    """A bulk string's bytes, None for nil and for a plain OK. Raises ValueError for an error or what is no answer."""
    line = _line(connection)
    kind, rest = line[:1], line[1:]
    if kind == b"+":
        return None
    if kind != b"$":
        raise ValueError("Redis refused")
    size = int(rest)
    if size < 0:
        return None
    if size > MAX_VALUE:
        raise ValueError("too large")
    return _exactly(connection, size + 2)[:-2]


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        if len(line) > 512:
            raise ValueError("not an answer of Redis")
        line += _exactly(connection, 1)
    return line[:-2]


def _exactly(connection: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(min(size - len(pieces), 1 << 16))
        if not piece:
            raise OSError("Redis hung up")
        pieces += piece
    return bytes(pieces)
