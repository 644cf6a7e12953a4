"""The HTTP server: sockets, the request log and the ordered faults."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.doubles.cvat import access, annotating, auth, issues, jobs, lambdas, projects, tasks
from tests.doubles.cvat.web import ApiError, Request, Response, Routes, forbidden, no_route, server_error

if TYPE_CHECKING:
    from tests.doubles.cvat.faults import Fault, Faults
    from tests.doubles.cvat.state import State

SECRET_HEADERS = ("authorization", "cookie", "x-csrftoken")
CLOSED = 0  # the status in the log of a request that got no answer
SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Logged:
    """One request that came in. headers: lower-case names, without secrets. status: 0 if the line was dropped."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int


Observer = Callable[[Request, Response], None]


def all_routes() -> Routes:
    """Every path that the double serves."""
    table = Routes()
    for module in (auth, projects, tasks, jobs, annotating, issues, lambdas):
        module.routes(table)
    return table


def answer(table: Routes, request: Request) -> Response:
    """Route, authenticate and carry out one request, in the server's order of refusals."""
    found = table.find(request.path)
    if found is None:
        return no_route().response
    route, request.path_args = found
    try:
        response = _carry_out(route, request)
    except ApiError as error:
        response = error.response
    if not (response.status == 500 and isinstance(response.body, bytes)):
        response.headers.setdefault("Allow", route.allow)
    return response


def _carry_out(route: Any, request: Request) -> Response:
    if "version=" in request.headers.get("accept", "") and "version=2.0" not in request.headers["accept"]:
        raise ApiError(406, {"detail": 'Invalid version in "Accept" header.'})
    request.account = auth.authenticate(request)
    if not route.public and request.account is None:
        raise auth.unauthorized("Authentication credentials were not provided.")
    if request.account is not None:
        access.organization(request)
    if request.method == "OPTIONS":
        return Response(200, {"name": "", "description": "", "renders": [], "parses": ["application/json"]})
    method = "GET" if request.method == "HEAD" and "HEAD" not in route.methods else request.method
    if method in route.also:
        raise ApiError(501, f"{method} {request.path} is not covered by the double")
    if method not in route.methods:
        raise ApiError(405, {"detail": f'Method "{request.method}" not allowed.'})
    if request.read_only and request.method not in SAFE:
        raise forbidden()
    with request.state.lock:
        response: Response = route.methods[method](request)
        return response


class Server(ThreadingHTTPServer):
    """Listens on a free loopback port and serves until ``stop``."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, state: State, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state
        self.faults = faults
        self.table = all_routes()
        self.log: list[Logged] = []
        self.observers: list[Observer] = []
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="fake-cvat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, wake hanging requests and cut every open connection."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            cut_off(connection)
        self._thread.join(5)

    def opened(self, connection: socket.socket) -> None:
        self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        self._open.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news. (Errors of the double itself become a 500, see the handler.)"""


def cut_off(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be gone already
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr: tests read ``FakeCvat.requests``."""

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        fault = self.server.faults.take(self.command, self.path)
        if fault and fault.hang:
            self.server.stopping.wait(fault.hang)
        if fault and (fault.drop or self.server.stopping.is_set()):
            self._drop()
            return
        request = self._request(raw)
        if fault and fault.status is not None:
            response = Response(fault.status, fault.body, dict(fault.headers), "text/plain")
        else:
            response = self._safely(request)
        self._log(request, response.status)
        self._send(response, fault)

    def _safely(self, request: Request) -> Response:
        """An error in the double answers 500 as well, but says so on the test's error stream."""
        try:
            response = answer(self.server.table, request)
            for observer in self.server.observers:
                observer(request, response)
            return response
        except Exception:
            import traceback

            traceback.print_exc()
            return server_error().response

    def _request(self, raw: bytes) -> Request:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, unquote(parts.path), query, headers, raw, self.server.url, self.server.state)

    def _log(self, request: Request, status: int) -> None:
        headers = {name: value for name, value in request.headers.items() if name not in SECRET_HEADERS}
        self.server.log.append(Logged(request.method, request.path, request.query, headers, status))

    def _drop(self) -> None:
        self._log(self._request(b""), CLOSED)
        self.close_connection = True
        cut_off(self.connection)

    def _send(self, response: Response, fault: Fault | None) -> None:
        payload = response.payload()
        self.send_response(response.status)
        if payload:
            self.send_header("Content-Type", response.content_type)
        for name, value in response.headers.items():
            for line in value.split("\n"):
                self.send_header(name, line)
        if response.status != 204:
            self.send_header("Content-Length", str(len(payload)))
        keep = self._kept_bytes(fault, len(payload))
        if keep is not None:
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload if keep is None else payload[:keep])
        if keep is not None:
            cut_off(self.connection)

    def _kept_bytes(self, fault: Fault | None, size: int) -> int | None:
        if fault is None:
            return None
        if fault.kill_after_bytes is not None:
            return min(fault.kill_after_bytes, size)
        return size // 2 if fault.truncate else None

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle
