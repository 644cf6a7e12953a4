"""One GET to a server that may be anything: bounded in time and size, follows nothing, keeps nothing."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from audit.adapters.cvat.patience import line_of

SILENCE_S = 5.0
"""Until the line stands, and between two pieces of an answer."""
WHOLE_S = 15.0
"""For the whole answer, however steadily it drips."""
MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class Answer:
    """status: HTTP's. location: where a redirect points, "" without one."""

    status: int
    location: str
    body: bytes


class NoAnswerError(Exception):
    """Why, in a few printable words. spoke: whether something is there, though it gives no usable answer."""

    def __init__(self, why: str, *, spoke: bool = False) -> None:
        super().__init__(line_of(why, 120))
        self.spoke = spoke


def address_fault(url: str) -> str:
    """What keeps this from being the address of an HTTP server; "" if nothing does."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        return line_of(str(error), 80)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "expected http://HOST:PORT"
    if parts.username is not None:
        return "expected an address without a user name"
    return "" if url.isascii() and url.isprintable() and " " not in url else "expected plain characters"


def get(url: str, headers: Mapping[str, str]) -> Answer:
    """url: one without an ``address_fault``. Goes straight there, past any proxy. Raises NoAnswerError."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SILENCE_S)
    with _bounded(connection) as line:
        connection.connect()
        line.append(connection.sock)  # http.client forgets it with an answer that ends by hanging up
        connection.request("GET", parts.path or "/", headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES + 1)
        if answer.length and len(body) <= MOST_BYTES:  # told only by a read without a limit
            raise http.client.IncompleteRead(body)
    if len(body) > MOST_BYTES:
        raise NoAnswerError(f"an answer of over {MOST_BYTES >> 20} MiB", spoke=True)
    return Answer(answer.status, answer.headers.get("Location") or "", body)


@contextmanager
def _bounded(connection: http.client.HTTPConnection) -> Iterator[list[socket.socket]]:
    """Cuts the line put into it after ``WHOLE_S``, and turns every way to fail into NoAnswerError."""
    late, line = threading.Event(), list[socket.socket]()

    def cut() -> None:
        late.set()
        for sock in line:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(WHOLE_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield line
        if late.is_set():  # a line that is cut may look like the answer's end
            raise NoAnswerError(_late(), spoke=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure(error, spoke=bool(line), late=late.is_set()) from None
    finally:
        timer.cancel()
        connection.close()


def _late() -> str:
    return f"its answer is not complete after {WHOLE_S:g} s"


def _failure(error: Exception, *, spoke: bool, late: bool) -> NoAnswerError:
    if late:
        return NoAnswerError(_late(), spoke=spoke)
    if isinstance(error, TimeoutError):
        return NoAnswerError(f"silent for {SILENCE_S:g} s", spoke=spoke)
    if isinstance(error, http.client.IncompleteRead):
        return NoAnswerError("the answer was cut short", spoke=True)
    if isinstance(error, http.client.RemoteDisconnected):
        return NoAnswerError("it hangs up without an answer", spoke=True)
    if isinstance(error, OSError):
        return NoAnswerError(str(error.strerror or error), spoke=spoke)
    return NoAnswerError("it does not speak HTTP", spoke=True)
