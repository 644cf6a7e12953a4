"""Requests, responses and routes, apart from sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from tests.doubles.cvat.state import State, User

JSON_TYPE = "application/vnd.cvat+json"
HTML_TYPE = "text/html; charset=utf-8"
NO_CACHE = {"Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private"}


@dataclass
class Response:
    """What is sent back. body: JSON data, or bytes with their own content type; None = an empty body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    def payload(self) -> bytes:
        """The bytes on the wire."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


class ApiError(Exception):
    """Ends a request with this answer, as the server's own exceptions do. Nothing of it has been stored."""

    def __init__(
        self, status: int, body: Any, *, headers: dict[str, str] | None = None, content_type: str = JSON_TYPE
    ) -> None:
        super().__init__(f"{status}: {body!r}")
        self.response = Response(status, body, headers or {}, content_type)


def html_page(title: str, text: str) -> bytes:
    """The bare page that Django answers with."""
    return (
        f'\n<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n</head>\n'
        f"<body>\n  <h1>{title}</h1><p>{text}</p>\n</body>\n</html>\n"
    ).encode()


def server_error() -> ApiError:
    """The 500 that the recorded server answers where its code falls over."""
    return ApiError(500, html_page("Server Error (500)", ""), content_type=HTML_TYPE)


def no_route() -> ApiError:
    """A path that no view serves: an HTML 404."""
    text = "The requested resource was not found on this server."
    return ApiError(404, html_page("Not Found", text), content_type=HTML_TYPE)


def forbidden() -> ApiError:
    return ApiError(403, {"detail": "You do not have permission to perform this action."})


def not_found(kind: str) -> ApiError:
    return ApiError(404, {"detail": f"No {kind} matches the given query."})


@dataclass
class Request:
    """One request after authentication. path is decoded; headers have lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    base_url: str
    state: State
    path_args: dict[str, str] = field(default_factory=dict)
    account: User | None = None
    read_only: bool = False

    @property
    def user(self) -> User:
        """Who asks. Only routes that are open to everybody may run without one."""
        if self.account is None:
            raise ApiError(401, {"detail": "Authentication credentials were not provided."})
        return self.account

    def number(self, name: str) -> int:
        """A numeric part of the path; anything else is a 404, as on the server."""
        text = self.path_args[name]
        if not text.isdigit():
            raise ApiError(404, {"detail": "Not found."})
        return int(text)

    def json(self) -> Any:
        """The body as JSON. 415 for another media type, 400 for text that is no strict JSON."""
        kind = self.headers.get("content-type", "").split(";")[0].strip()
        if kind and kind not in ("application/json", JSON_TYPE):
            raise ApiError(415, {"detail": f'Unsupported media type "{kind}" in request.'})
        if not self.raw:
            return {}
        try:
            return json.loads(self.raw.decode("utf-8"), parse_constant=_no_constant)
        except ValueError as error:
            raise ApiError(400, {"detail": f"JSON parse error - {error}"}) from error

    def object(self) -> dict[str, Any]:
        """The body as a JSON object; the server falls over at anything else (500)."""
        body = self.json()
        if not isinstance(body, dict):
            raise server_error()
        return body


def _no_constant(name: str) -> float:
    raise ValueError(f"Out of range float values are not JSON compliant: {name!r}")


def multipart(request: Request) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """Fields and files of a form; of a file's name only the base name is kept, as on the server."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.raw)
    fields: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        data = payload if isinstance(payload, bytes) else b""
        filename = part.get_filename()
        if filename is None:
            fields[str(part.get_param("name", header="content-disposition"))] = data.decode()
        else:
            files.append((PurePosixPath(filename).name, data))
    return fields, files


Handler = Callable[[Request], Response]


@dataclass(frozen=True)
class Route:
    """One path and what may be done there."""

    pattern: re.Pattern[str]
    methods: dict[str, Handler]
    public: bool
    also: tuple[str, ...] = ()

    @property
    def allow(self) -> str:
        """The Allow header, in the server's order."""
        known = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        head = ["HEAD"] if {"GET", "HEAD"} & {*self.methods, *self.also} else []
        return ", ".join([name for name in known if name in self.methods or name in self.also] + head + ["OPTIONS"])


class Routes:
    """All paths. A path template names its variable parts: ``/api/tasks/{id}``; ``/?`` allows a slash at the end."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, template: str, *, public: bool = False, also: str = "", **methods: Handler) -> None:
        """Serve a path; methods by name (GET=..., POST=...).

        also: what the real server can do there and the double can't; answered with 501, so that nobody is fooled.
        """
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
        self._routes.append(Route(re.compile(f"^{pattern}$"), methods, public, tuple(also.split())))

    def find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a decoded path and its variable parts."""
        for route in self._routes:
            match = route.pattern.match(path)
            if match:
                return route, match.groupdict()
        return None


def absolute(request: Request, path: str, query: list[tuple[str, str]] | None = None) -> str:
    """A full address on this server; the query's items are sorted, as the server sorts them."""
    text = "&".join(f"{quote(key)}={quote(value)}" for key, value in sorted(query or []))
    return request.base_url + path + (f"?{text}" if text else "")
