"""The FiftyOne App for one dataset: a server of its own on loopback, until the user has had enough.

The App knows no users and hands out any file that this user can read, so it never listens anywhere else.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote, urlsplit

from audit.adapters.fiftyone.appearance import WORST_FIRST
from audit.adapters.fiftyone.database import URI, require_fiftyone
from audit.adapters.folders import state_dir
from audit.errors import ServiceError, UsageError
from audit.ports import Progress

HOST = "127.0.0.1"
APP_PROCESS = "audit.adapters.fiftyone.app_process"
FIRST_PORT = 5151
"""FiftyOne's own default; the first free one of ``PORTS_TRIED`` from there on is taken."""
PORTS_TRIED = 50
START_SECONDS = 120
START_TRIES = 3
STOP_SECONDS = 10
POLL_SECONDS = 0.1


def serve_app(dataset_name: str, *, port: int | None = None, open_browser: bool = True, progress: Progress) -> None:
    """Show a dataset in the App until Ctrl-C or SIGTERM. Must run inside ``database()``.

    port: None takes the first free one from 5151 on. The address is told through ``progress``.
    Raises UsageError if the port is taken or there is no such dataset, ServiceError if the App fails.
    """
    with app_server(dataset_name, port=port, progress=progress) as (url, process):
        told = f"FiftyOne App: {url} (this machine only; end with Ctrl-C)"
        wait(url, process, told, open_browser=open_browser, progress=progress)


def wait(url: str, process: subprocess.Popen[bytes], told: str, *, open_browser: bool, progress: Progress) -> None:
    """Tell the line, open the browser and return when the user ends it. ServiceError if the server ends by itself."""
    with _asked_to_end() as signals:
        progress.note(told)
        if open_browser:
            webbrowser.open(url)
        while process.poll() is None and not signals:
            time.sleep(POLL_SECONDS)
    if not signals:
        raise ServiceError(f"The FiftyOne App ended by itself: {_reason(_log(urlsplit(url).port or 0))}")
    progress.note("The FiftyOne App is closed.")


@contextmanager
def app_server(
    dataset_name: str, *, port: int | None = None, module: str = APP_PROCESS, progress: Progress | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A running App; gives the address of the dataset in it and the server's process. Stopped afterwards.

    module: what is run as the server, with the port as its argument. progress: is told that it starts, which takes
    some seconds.
    """
    require_fiftyone()
    if URI not in os.environ:
        raise RuntimeError("the App must run inside audit.adapters.fiftyone.database.database()")
    _require_dataset(dataset_name)
    place = f"datasets/{quote(dataset_name, safe='')}{_first_view(dataset_name)}"
    with nullcontext() if progress is None else progress.task("Starting the App", None):
        chosen, process = _started(port, module)
    try:
        yield f"http://{HOST}:{chosen}/{place}", process
    finally:
        _stop(process)


def _started(wanted: int | None, module: str) -> tuple[int, subprocess.Popen[bytes]]:
    """A server that is up, and its port. If another program is quicker to take a port of our choice, try the next."""
    for tries_left in reversed(range(START_TRIES)):
        port = _port(wanted)
        process = _launched(port, module)
        try:
            _wait_until_up(port, process)
        except BaseException as error:
            _stop(process)
            if isinstance(error, ServiceError) and wanted is None and tries_left and not _is_free(port):
                continue
            raise
        return port, process
    raise AssertionError("the last try returns or raises")


def _launched(port: int, module: str) -> subprocess.Popen[bytes]:
    with _log(port).open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", module, str(port)],
            stdin=subprocess.PIPE,  # its end tells the server that we are gone, however we went
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours; the server is then ended in order
        )


def _first_view(dataset_name: str) -> str:
    """Open on the worst findings, where the dataset has that view."""
    import fiftyone as fo

    has_view = WORST_FIRST in fo.load_dataset(dataset_name).list_saved_views()
    return f"?view={WORST_FIRST.lower().replace(' ', '-')}" if has_view else ""


def _require_dataset(name: str) -> None:
    import fiftyone as fo

    if not fo.dataset_exists(name):
        raise UsageError(f"There is no FiftyOne dataset '{name}' in this database. Import its run first.")


def _port(wanted: int | None) -> int:
    if wanted is not None:
        if _is_free(wanted):
            return wanted
        raise UsageError(f"Port {wanted} is taken by another program. Give another one, or none to take a free one.")
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if _is_free(port):
            return port
    raise UsageError(f"All ports from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} are taken. Give one that is free.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: connections closing don't count
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def _wait_until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServiceError(f"The FiftyOne App did not start: {_reason(_log(port))}. Its log: {_log(port)}")
        if _listens(process, port) and _serves(port):
            return
        time.sleep(0.2)
    raise ServiceError(f"The FiftyOne App did not answer within {START_SECONDS} s. Its log: {_log(port)}")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it is really this process that has the port: another App there would show other data."""
    import psutil  # type: ignore[import-untyped]  # no types are published with it

    try:
        connections = psutil.Process(process.pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def _serves(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _asked_to_end() -> Iterator[list[int]]:
    """The signals that asked the command to end: Ctrl-C, or SIGTERM. Both let the database be stopped in order.

    They are noted, not raised: an exception that lands in some library's clean-up code would be lost.
    """
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {s: signal.signal(s, lambda number, _: signals.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(port: int) -> Path:
    return state_dir("fiftyone") / f"app-{port}.log"


def _reason(log: Path) -> str:
    """The first error in a server's log (later ones follow from it), else its last line."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return [*errors, *lines[-1:], "it gave no reason"][0][:300]
