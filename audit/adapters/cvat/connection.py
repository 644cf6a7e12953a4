"""A line to one CVAT server through ``cvat-sdk``: logged in, bounded, retried, with errors people can act on."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

import stamina
from cvat_sdk import Client
from cvat_sdk.api_client import ApiClient

from audit.adapters.cvat.credentials import Credentials
from audit.adapters.cvat.document import Document
from audit.adapters.cvat.patience import Patience, Refused, ServerFailed, Unreachable, line_of
from audit.adapters.cvat.transport import BoundedRest, body_pieces, connection_errors
from audit.errors import ServiceError, UsageError

MAX_JSON_BYTES = 1 << 30
"""Of one answer: a job with a million polygons has about 300 MB."""

logging.getLogger("stamina").addHandler(logging.NullHandler())  # else each retry is a line on stderr

PAGE_SIZE = 100
MAX_PAGES = 10_000
Call = Callable[..., Any]


class Connection:
    """Calls of the SDK's low-level API; answers are read raw, since their models differ between versions.

    Nothing is sent before the first call. Use from several threads is fine.
    """

    def __init__(
        self,
        base: str,
        credentials: Credentials,
        *,
        organization: str | None = None,
        patience: Patience | None = None,
        connections: int = 4,
    ) -> None:
        self.base = base
        self.host = base.split("://", 1)[-1]
        self.patience = patience or Patience()
        self._credentials = credentials
        self._client = Client(base, check_server_version=False)  # its warning is noise: both versions are tested
        configuration = self._client.api_client.configuration
        self._client.api_client.rest_client = BoundedRest(configuration, self.patience, connections)
        self._client.organization_slug = organization
        self._login_lock, self._logged_in = threading.Lock(), False
        self._closed = threading.Event()

    @property
    def api(self) -> ApiClient:
        """The SDK's generated client, for naming a call: ``c.json("task 4", c.api.tasks_api.retrieve, 4)``."""
        return self._client.api_client

    def json(self, what: str, call: Call, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The answer, a JSON object. what: how to name the thing to people, such as "task 42".

        Raises Refused, ServerFailed, Unreachable, and ServiceError for what is no JSON object.
        """
        value = self.value(what, call, *args, **kwargs)
        if not isinstance(value, dict):
            raise self._not_cvat(what)
        return value

    def value(self, what: str, call: Call, *args: Any, **kwargs: Any) -> Any:
        """As ``json`` for an answer that is any JSON value."""
        received = io.BytesIO()
        self.save(what, received, MAX_JSON_BYTES, call, *args, **kwargs)
        try:
            return json.loads(received.getvalue())
        except ValueError:
            raise self._not_cvat(what) from None

    def document(self, what: str, call: Call, *args: Any, **kwargs: Any) -> Document:
        """As ``json`` for an answer that may be long: on disk, to be read item by item and closed."""
        # a buffer would find the disk full only when it is emptied, which may be when the file is closed
        received = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by the document
        try:
            self.save(what, received, MAX_JSON_BYTES, call, *args, **kwargs)
        except BaseException:
            received.close()
            raise
        return Document(received, lambda: self._not_cvat(what))

    def save(self, what: str, stream: IO[bytes], most: int, call: Call, *args: Any, **kwargs: Any) -> None:
        """The answer's bytes, into an empty file. Raises as ``json``, and UsageError if there are over ``most``."""
        self._login()

        def attempt() -> None:
            stream.seek(0)
            stream.truncate()  # a part that an earlier attempt left
            self._once(what, call, args, kwargs, most, stream)

        self._retried(attempt)

    def pages(self, what: str, call: Call, **kwargs: Any) -> Iterator[dict[str, Any]]:
        """All results of a list, page after page."""
        for page in range(1, MAX_PAGES):
            answer = self.json(what, call, page=page, page_size=PAGE_SIZE, **kwargs)
            if not isinstance(answer.get("results"), list):
                raise self._not_cvat(what)
            yield from answer["results"]
            if not answer.get("next") or not answer["results"]:
                return

    def close(self) -> None:
        """Ends waiting in other threads. The session is left to expire: logging out would also end

        other programs' sessions, since CVAT then deletes the user's API key.
        """
        self._closed.set()
        self._client.close()

    def _once(self, what: str, call: Call, args: Any, kwargs: Any, most: int, stream: IO[bytes]) -> Any:
        with connection_errors(self.host):
            _, response = call(*args, **kwargs, _parse_response=False, _check_status=False)
            try:
                if response.status // 100 != 2:
                    start = b"".join(_first(body_pieces(response, self.patience, 1 << 20)))
                    raise self._refusal(what, response, start.decode("utf-8", "replace"))
                for piece in body_pieces(response, self.patience, most):
                    _keep(stream, piece)
            except BaseException:
                response.close()  # the line may hold the rest of the answer and is of no more use
                raise
            response.release_conn()
        return response

    def _not_cvat(self, what: str) -> ServiceError:
        return ServiceError(f"{self.host} does not answer like a CVAT server (asked for {what})")

    def _retried(self, act: Callable[[], Any]) -> Any:
        p = self.patience
        attempts = stamina.retry_context(
            on=self._pause,
            attempts=p.attempts,
            timeout=None,
            wait_initial=p.wait_initial,
            wait_max=p.wait_max,
            wait_jitter=p.wait_initial,
        )
        for attempt in attempts:
            with attempt:
                return act()
        raise ServiceError(f"{self.host} was not asked: no attempts are allowed")

    def _pause(self, error: Exception) -> bool | float:
        if self._closed.is_set() or not isinstance(error, (ServerFailed, Unreachable)):
            return False
        if isinstance(error, ServerFailed) and error.retry_after is not None:
            return min(error.retry_after, self.patience.retry_after_max)
        return True

    def _login(self) -> None:
        with self._login_lock:
            if self._logged_in:
                return
            if self._credentials.token:
                self.api.configuration.access_token = self._credentials.token
            elif self._credentials.password:
                self._retried(self._password_login)
            else:
                raise UsageError(f"{self.host} wants a login: set CVAT_ACCESS_TOKEN, or give --auth USER[:PASS]")
            self._logged_in = True

    def _password_login(self) -> None:
        """As the SDK's ``Client.login``, whose own request has no time limit."""
        from cvat_sdk import models  # 1 s of imports that a token does not need

        c = self._credentials
        request = models.LoginSerializerExRequest(username=c.user, password=c.password)
        call = self.api.auth_api.create_login
        try:
            response = self._once("login", call, (request,), {}, 1 << 20, io.BytesIO())
        except Refused as error:
            if error.status in (400, 401, 403):
                raise UsageError(f"{self.host} does not know user '{c.user}' with this password") from None
            raise
        for cookie in response.headers.getlist("Set-Cookie"):
            self.api.cookies.load(cookie)
        if "csrftoken" in self.api.cookies:
            self.api.configuration.api_key["csrfHeaderAuth"] = self.api.cookies["csrftoken"].value

    def _refusal(self, what: str, response: Any, text: str) -> Exception:
        status, said = response.status, _said(text)
        if status == 429 or status >= 500:
            wait = _seconds(response.headers.get("Retry-After"))
            return ServerFailed(f"{self.host} answers {status} when asked for {what}{said}", status, wait)
        if status // 100 == 3:
            target = line_of(response.headers.get("Location") or "another address")
            return Refused(f"{self.host} sends on to {target}; use that address", status)
        reasons = {
            401: f"{self.host} does not accept {self._credentials}{said} Make another token in CVAT's settings.",
            403: f"{what}: {self._credentials} may not use it on {self.host}",
            404: f"{what} does not exist on {self.host}{said}",
        }
        if status == 404 and "organization does not exist" in said:
            return Refused(f"{self.host} has no such organization{said}", status)
        return Refused(reasons.get(status, f"{what}: {self.host} refuses ({status}){said}"), status)


def _keep(stream: IO[bytes], piece: bytes) -> None:
    left = memoryview(piece)
    try:
        while left:
            left = left[stream.write(left) :]
    except OSError as error:  # the disk, not the line
        raise ServiceError(f"cannot keep a download: {error.strerror or error}") from None


def _first(pieces: Iterator[bytes]) -> list[bytes]:
    """As much of an error's text as can be had."""
    got: list[bytes] = []
    with suppress(Exception):
        got.extend(pieces)
    return got


def _said(text: str) -> str:
    """The server's own words, if it sent a short text rather than a page."""
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    if isinstance(value, dict):
        value = value.get("detail") or value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return f": {line_of(str(value))}" if value else ""


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header; the form with a date is not used by CVAT and counts as absent."""
    return float(retry_after) if retry_after and retry_after.isdigit() else None
