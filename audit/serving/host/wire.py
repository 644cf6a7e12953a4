"""Messages between the host and a worker process over a socket: a JSON head and raw bytes, each with its length."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_SIZES = struct.Struct(">II")


class GoneError(Exception):
    """The other side has closed the connection: a worker that died, or a host that stopped."""


def send(connection: socket.socket, head: dict[str, Any], body: bytes = b"") -> None:
    """One message. Raises GoneError."""
    text = json.dumps(head).encode()
    try:
        connection.sendall(_SIZES.pack(len(text), len(body)) + text)
        if body:
            connection.sendall(body)
    except OSError as error:
        raise GoneError(str(error)) from None


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message. Raises GoneError; TimeoutError if the socket has a timeout and it passed."""
    head, body = _SIZES.unpack(_exactly(connection, _SIZES.size))
    return json.loads(_exactly(connection, head)), bytes(_exactly(connection, body))


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
