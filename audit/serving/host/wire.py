"""Messages between the host and a worker process over a socket: a JSON head and raw bytes, each with its length.

Large bodies, the pictures, lie in memory that both see.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from threading import Lock
from typing import Any

LARGE = 1 << 16
"""Bytes from which on a body is laid into memory that both see, rather than sent."""

_SIZES = struct.Struct(">II?")


class GoneError(Exception):
    """The other side has closed the connection: a worker that died, or a host that stopped."""


class Tray:
    """Memory that host and worker both see, as large as the largest body so far: a picture is copied only once.

    Only the host writes, and only while the worker waits for its next event.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._lock = Lock()  # a descriptor that is closed may be another file's at once

    def put(self, body: bytes) -> bool:
        """False where there is no memory for it."""
        with self._lock:
            try:
                if len(body) > os.fstat(self.descriptor).st_size:
                    # not ftruncate, which promises memory: where there is none, writing then kills this process
                    os.posix_fallocate(self.descriptor, 0, len(body))
                self._seen(len(body))[: len(body)] = body
            except (OSError, ValueError):  # no memory; or closed meanwhile, since the worker was stopped
                return False
            return True

    def take(self, size: int) -> bytes:
        """What lies there, copied."""
        return self._seen(size)[:size]

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
            self.descriptor, self._map = -1, None

    def _seen(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        return self._map


def new_tray() -> Tray | None:
    """None on a system without such memory: bodies then go through the socket."""
    return Tray(os.memfd_create("request")) if hasattr(os, "memfd_create") else None


def send(connection: socket.socket, head: dict[str, Any], body: bytes = b"", tray: Tray | None = None) -> None:
    """One message. tray: where to lay the body if it is large. Raises GoneError."""
    text = json.dumps(head).encode()
    laid = tray is not None and len(body) >= LARGE and tray.put(body)
    try:
        connection.sendall(_SIZES.pack(len(text), len(body), laid) + text)
        if body and not laid:
            connection.sendall(body)
    except OSError as error:
        raise GoneError(str(error)) from None


def receive(connection: socket.socket, tray: Tray | None = None) -> tuple[dict[str, Any], bytes]:
    """The next message. Raises GoneError; TimeoutError if the socket has a timeout and it passed."""
    head_size, body_size, laid = _SIZES.unpack(_exactly(connection, _SIZES.size))
    head = json.loads(_exactly(connection, head_size))
    if laid and tray is not None:
        return head, tray.take(body_size)
    return head, bytes(_exactly(connection, body_size))


def _exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        try:
            count = connection.recv_into(view[done:])
        except TimeoutError:
            raise
        except OSError as error:
            raise GoneError(str(error)) from None
        if not count:
            raise GoneError("closed")
        done += count
    return data
