"""The SDK's HTTP client with bounds around every request, which it has not by itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any

import urllib3
from cvat_sdk.api_client import ApiException, Configuration
from cvat_sdk.api_client.rest import RESTClientObject
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from audit.adapters.cvat.patience import Patience, Unreachable, line_of
from audit.errors import UsageError

PIECE = 1 << 18
"""Bytes asked for at a time: large enough for speed, small enough to look at the clock between."""


class BoundedRest(RESTClientObject):  # type: ignore[misc]  # the SDK's modules are not typed
    """Never waits longer than ``patience`` allows, follows no redirect, and leaves retries to its caller."""

    def __init__(self, configuration: Configuration, patience: Patience, connections: int) -> None:
        configuration.retries = False
        super().__init__(configuration, maxsize=connections)
        self._patience = patience
        self.pool_manager.pool_classes_by_scheme = {
            "http": _pool_class(HTTPConnectionPool, HTTPConnection, patience.answer),
            "https": _pool_class(HTTPSConnectionPool, HTTPSConnection, patience.answer),
        }

    def request(self, *args: Any, **kwargs: Any) -> Any:
        bounds = (self._patience.connect, self._patience.read)
        kwargs["_request_timeout"] = kwargs.get("_request_timeout") or bounds
        try:
            return super().request(*args, **kwargs)
        except ApiException as error:
            # the SDK wraps a refused certificate in this, and then trips over its having no body
            if isinstance(error.__context__, urllib3.exceptions.SSLError):
                raise error.__context__ from None
            raise


def body_pieces(response: urllib3.BaseHTTPResponse, patience: Patience, most: int) -> Iterator[bytes]:
    """The answer's body, piece by piece. Raises Unreachable if it takes too long or is longer than ``most`` bytes."""
    end, got = time.monotonic() + patience.answer, 0
    while True:
        piece = response.read1(PIECE)
        got += len(piece)
        if got > most:
            raise UsageError(f"an answer of over {most >> 20} MiB, which is more than this program accepts")
        if time.monotonic() > end:
            raise Unreachable(f"the answer was not complete after {patience.answer:g} s")
        if not piece:
            return
        yield piece


@contextmanager
def connection_errors(host: str) -> Iterator[None]:
    """Turns every way in which a connection fails into Unreachable, and a refused certificate into UsageError."""
    try:
        yield
    except urllib3.exceptions.HTTPError as error:
        cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        if isinstance(cause, urllib3.exceptions.SSLError):
            raise UsageError(_untrusted(host, cause)) from None
        raise Unreachable(f"no answer from {host}: {_plain(cause)}") from None
    except (OSError, HTTPException) as error:
        raise Unreachable(f"no answer from {host}: {_plain(error)}") from None


def _untrusted(host: str, error: BaseException) -> str:
    reason = line_of(str(error), 100)
    return f"no secure line to {host} ({reason}). For a private certificate set SSL_CERT_FILE to its authority."


def _plain(error: BaseException | None) -> str:
    """What went wrong, in words for people."""
    kinds: tuple[tuple[Any, str], ...] = (
        (urllib3.exceptions.NameResolutionError, "its name is unknown"),
        (urllib3.exceptions.NewConnectionError, "nothing listens there"),
        (urllib3.exceptions.ConnectTimeoutError, "it does not take the call in time"),
        (urllib3.exceptions.ReadTimeoutError, "it stopped in the middle of an answer"),
        (urllib3.exceptions.IncompleteRead, "the answer was cut short"),
        (urllib3.exceptions.ProtocolError, "the line was dropped"),
        (TimeoutError, "it stopped in the middle of an answer"),
    )
    return next((words for kind, words in kinds if isinstance(error, kind)), type(error).__name__)


def _pool_class(pool: type[HTTPConnectionPool], connection: type[HTTPConnection], seconds: float) -> Any:
    """The pool with connections that wait no longer than this for the head of an answer."""

    def getresponse(self: HTTPConnection) -> Any:
        with _deadline(lambda: _cut(self), seconds):
            return connection.getresponse(self)

    # built here, since http.client has a time limit for each piece of a head but none for the whole of it
    bounded = type("Bounded" + connection.__name__, (connection,), {"getresponse": getresponse})
    return type("Bounded" + pool.__name__, (pool,), {"ConnectionCls": bounded})


@contextmanager
def _deadline(act: Callable[[], None], seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: HTTPConnection) -> None:
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
