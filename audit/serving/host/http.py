"""The HTTP side: the dashboard's endpoints for CVAT, and each function's own port."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from audit.serving.host.config import seconds
from audit.serving.host.pool import Answer, FunctionPool, InvokeTimeoutError

IDLE_SECONDS = 120
"""A connection that says nothing for so long is closed."""
DISCARD = 256 << 20
"""Bytes of a refused body that are still read, so that the client gets to see the refusal."""
LENGTH_DIGITS = 18
"""A Content-Length of more is no length of anything, and Python refuses to read one of over 4,300."""
BEYOND = 10**LENGTH_DIGITS
"""Stands for every length that has more digits."""
DEFAULT_PATIENCE = 60.0
"""Seconds for an invocation through the dashboard that names no timeout."""

Pools = Mapping[str, FunctionPool]


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: type[Handler], pools: Pools) -> None:
        self.pools = pools
        self.ports: dict[str, int] = {}
        super().__init__((host, port), handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    """What both kinds of server share: bodies with a bound, answers in one go."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def version_string(self) -> str:
        return "nuclio"

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """The workers log what they answer."""

    def send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "content-type", "transfer-encoding", "connection"):
                self.send_header(_one_line(name), _one_line(value))
        self.send_header("Content-Type", _one_line(answer.content_type))
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def body(self, limit: int) -> bytes | None:
        """The request's body; None, answered already, if it is too large or its length is not told."""
        length = self.length()
        if length is None:
            self.close_connection = True
            self.send(Answer(411, body=b"Content-Length is needed"))
            return None
        if length == BEYOND:
            self.close_connection = True
            self.send(Answer(400, body=b"Content-Length is beyond any body's"))
            return None
        if length > limit:
            self.discard()
            self.send(Answer(400, body=b"Error when parsing request"))
            return None
        data = self.rfile.read(length)
        if len(data) < length:
            self.close_connection = True
            return None
        return data

    def discard(self) -> None:
        length = self.length() or 0
        left = 0 if length == BEYOND else min(length, DISCARD)
        self.close_connection = True
        while left > 0 and (piece := self.rfile.read(min(left, 1 << 20))):
            left -= len(piece)

    def length(self) -> int | None:
        """Bytes of the body that are announced, ``BEYOND`` for more than there can be; None if it is not told."""
        if self.headers.get("Transfer-Encoding"):
            return None
        text = self.headers.get("Content-Length", "0")
        if not (text.isascii() and text.isdigit()):
            return None
        digits = text.lstrip("0") or "0"
        return int(digits) if len(digits) <= LENGTH_DIGITS else BEYOND

    def event(self, path: str, size: int, trigger_url: str) -> dict[str, Any]:
        """The event's fields as Nuclio's processor sends them, less the body."""
        split = urlsplit(self.path)
        return {
            "content_type": self.headers.get("Content-Type", ""),
            "trigger": {"kind": "http", "name": "default-http"},
            "fields": dict(parse_qsl(split.query)),
            "headers": {_canonical(k): v for k, v in self.headers.items()},
            "id": str(uuid.uuid4()),
            "method": self.command,
            "path": path,
            "size": size,
            "timestamp": int(time.time()),
            "url": trigger_url,
            "shard_id": 0,
            "num_shards": 0,
            "type": "",
            "type_version": "",
            "version": "",
        }


class FunctionHandler(Handler):
    """One function's own port: every path and method is an event, but for the health check."""

    def handle_any(self) -> None:
        (pool,) = self.server.pools.values()
        path = urlsplit(self.path).path
        if self.command == "GET" and path.startswith("/__internal/health"):
            self.send(Answer(200 if pool.state == "ready" else 503))
            return
        data = self.body(pool.config.max_body)
        if data is not None:
            self.send(pool.invoke(self.event(path, len(data), self.path), data))

    # names that the base class looks for
    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815
    do_PATCH = do_HEAD = do_OPTIONS = handle_any  # noqa: N815


class DashboardHandler(Handler):
    """``/api/functions`` from memory, ``/api/function_invocations``, health and metrics."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.rstrip("/")
        if path == "/api/function_invocations":
            self.invoke()
            return
        self.discard_small()
        if path == "/api/functions":
            wanted = self.headers.get("x-nuclio-project-name")
            listed = {n: self.seen(p) for n, p in self.server.pools.items() if _of_project(p, wanted)}
            self.json(200, listed)
        elif path.startswith("/api/functions/"):
            self.one(path.removeprefix("/api/functions/"))
        elif path.startswith("/__internal/health"):
            states = {n: p.state for n, p in self.server.pools.items()}
            self.json(200 if all(s == "ready" for s in states.values()) else 503, states)
        elif path == "/metrics":
            self.send(Answer(200, "text/plain; version=0.0.4", metrics(self.server.pools).encode()))
        else:
            self.json(404, {"error": "Not found"})

    def do_POST(self) -> None:
        if urlsplit(self.path).path.rstrip("/") == "/api/function_invocations":
            self.invoke()
        else:
            self.discard()
            self.json(404, {"error": "Not found"})

    do_HEAD = do_GET  # noqa: N815  # a name that the base class looks for

    def one(self, name: str) -> None:
        pool = self.server.pools.get(name)
        if pool is None:
            self.json(404, {"error": "Function not found", "errorStackTrace": ""})
        else:
            self.json(200, self.seen(pool))

    def seen(self, pool: FunctionPool) -> dict[str, Any]:
        seen = pool.config.as_seen()
        if pool.spec is not None:
            seen["metadata"]["annotations"]["spec"] = pool.spec
        port = self.server.ports[pool.config.name]
        urls = {"internalInvocationUrls": [f"127.0.0.1:{port}"], "externalInvocationUrls": [f"127.0.0.1:{port}"]}
        return {**seen, "status": {"state": pool.state, "message": pool.message, "httpPort": port, **urls}}

    def invoke(self) -> None:
        name = self.headers.get("x-nuclio-function-name", "")
        pool = self.server.pools.get(name)
        timeout = self.headers.get("x-nuclio-invoke-timeout")
        patience = DEFAULT_PATIENCE if timeout is None else seconds(timeout)
        if pool is None or patience is None:
            self.discard()
            self.refuse(name, patience)
            return
        data = self.body(pool.config.max_body)
        if data is None:
            return
        path = self.headers.get("x-nuclio-path") or "/"
        try:
            answer = pool.invoke(self.event(path, len(data), path), data, patience)
        except InvokeTimeoutError:
            self.json(500, {"error": f"Failed to invoke function: no answer within {patience:g} s"})
            return
        kept = {k: v for k, v in answer.headers.items() if not k.lower().startswith("x-nuclio")}
        self.send(Answer(answer.status, answer.content_type, answer.body, kept))

    def refuse(self, name: str, patience: float | None) -> None:
        if not name:
            self.json(400, {"error": "Function name must be provided"})
        elif patience is None:
            self.json(400, {"error": "x-nuclio-invoke-timeout must be a duration with a unit, such as 120s"})
        else:
            shown = name[:100].replace('"', "'")
            self.json(404, {"error": f"Failed to invoke function: Function not found: {shown} @ nuclio"})

    def discard_small(self) -> None:
        if self.length() != 0:
            self.discard()

    def json(self, status: int, value: object) -> None:
        self.send(Answer(status, "application/json", json.dumps(value).encode()))


def metrics(pools: Pools) -> str:
    """Prometheus' text format."""
    lines = ["# TYPE function_requests_total counter"]
    for name, pool in pools.items():
        counts = sorted(dict(pool.counts).items())
        lines += [f'function_requests_total{{function="{name}",status="{s}"}} {n}' for s, n in counts]
    figures: dict[str, dict[str, float]] = {
        "function_request_seconds_total counter": {n: round(p.seconds, 6) for n, p in pools.items()},
        "function_worker_restarts_total counter": {n: p.restarts for n, p in pools.items()},
        "function_workers gauge": {n: p.config.workers for n, p in pools.items()},
        "function_workers_busy gauge": {n: p.busy for n, p in pools.items()},
        "function_ready gauge": {n: int(p.state == "ready") for n, p in pools.items()},
    }
    for metric, values in figures.items():
        lines.append(f"# TYPE {metric}")
        lines += [f'{metric.split()[0]}{{function="{name}"}} {value}' for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _of_project(pool: FunctionPool, wanted: str | None) -> bool:
    own = pool.config.as_seen()["metadata"]["labels"]["nuclio.io/project-name"]
    return wanted is None or wanted == own


def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _one_line(text: str) -> str:
    """A function's header must not start another one."""
    return "".join(c for c in text if c.isprintable())
