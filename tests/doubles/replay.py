"""Replays the golden exchanges against the double, one after the other, and notes every difference.

The double is seeded with the same users and pictures of the same size; its counters are set so that what an exchange
creates gets the recorded ids. So ids are compared as they are. What is *not* compared, and why, stands in ``MASKED``
and ``same``, and nowhere else.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.doubles import distil
from tests.doubles.cvat import ADMIN, FakeCvat
from tests.doubles.recorded_server import BETWEEN, MEANWHILE, seed, set_counters

SERVER = "http://cvat.test"

# Values that are compared only for being there and of the right kind:
MASKED = {
    "color": "the server's way to choose a colour isn't known",
    "x-checksum": "of other bytes",
    "key": "a secret",
    "value": "a secret, where it was redacted",
    "exc_info": "carries a traceback",
    "description": "of a function; made up by the stub",
    "progress": "by the clock",
}
DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
TUS_ID = re.compile(r"/data/[0-9]+_[0-9a-f-]{36}$")


def same(recorded: Any, given: Any, where: str = "") -> Iterator[str]:
    """Differences between two JSON values, one sentence each.

    Dates need only both be dates (the order of changes is checked apart). Shapes, tags and tracks are compared by id:
    the server's order within a frame is none. Numbers are compared by value, since JSON has one kind.
    """
    name = where.rsplit(".", 1)[-1]
    if isinstance(recorded, dict) and isinstance(given, dict):
        for key in sorted({*recorded, *given}):
            if key not in recorded or key not in given:
                yield f"{where}.{key}: {'not in the recording' if key in given else 'missing'}"
            else:
                yield from same(recorded[key], given[key], f"{where}.{key}")
    elif isinstance(recorded, list) and isinstance(given, list):
        if name in ("shapes", "tags", "tracks"):
            recorded, given = _by_id(recorded), _by_id(given)
        if len(recorded) != len(given):
            yield f"{where}: {len(given)} items, recorded were {len(recorded)}"
        for place, (a, b) in enumerate(zip(recorded, given, strict=False)):
            yield from same(a, b, f"{where}[{place}]")
    elif not _alike(name, recorded, given):
        yield f"{where}: {given!r}, recorded was {recorded!r}"


def _by_id(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row.get("id") or 0) if all("id" in row for row in rows) else rows


def _alike(name: str, recorded: Any, given: Any) -> bool:
    if recorded == given and isinstance(recorded, bool) == isinstance(given, bool):
        return True
    if name in MASKED and recorded is not None and (name != "value" or recorded == "<redacted>"):
        return given is not None
    if isinstance(recorded, str) and isinstance(given, str):
        return bool(DATE.match(recorded) and DATE.match(given)) or _cut(recorded) == _cut(given)
    return False


def _cut(text: str) -> str:
    return TUS_ID.sub("/data/<file>", text)


@dataclass
class Replay:
    """The double, and what was seen so far."""

    server: FakeCvat
    pictures: dict[str, bytes]
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[int, str] = field(default_factory=dict)  # personal tokens by recorded id
    upload: str = ""
    dates: dict[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict)  # the last recorded and given one


def start(server: FakeCvat) -> Replay:
    """Begin at the recorded server's state before the first exchange."""
    return Replay(server, seed(server))


BROKEN_FUNCTION, FUNCTIONS_DOWN, FUNCTIONS_UP = 29, 31, 35  # exchanges of 11-lambda


def _prepare(run: Replay, flow: str, exchange: dict[str, Any]) -> None:
    state, at = run.server.state, (flow, exchange["n"])
    set_counters(state, BETWEEN.get(at, {}))
    set_counters(state, _created(exchange))
    if at in MEANWHILE:
        MEANWHILE[at](run.server)
    if flow == "11-lambda":
        state.functions["det-busy"].broken = exchange["n"] == BROKEN_FUNCTION
        state.functions_down = FUNCTIONS_DOWN <= exchange["n"] < FUNCTIONS_UP


def _created(exchange: dict[str, Any]) -> dict[str, int]:
    """The ids that a recorded answer gave out, by counter."""
    request, body = exchange["request"], exchange["response"]["body"]
    if not isinstance(body, dict) or request["method"] not in ("POST", "PUT", "PATCH"):
        return {}
    if "/annotations" in request["path"]:
        return _created_objects(request, body)
    names = {"projects": "project", "tasks": "task", "jobs": "job", "issues": "issue", "comments": "comment"}
    kind = request["path"].rsplit("/", 1)[-1]
    found = {"token": body["id"]} if kind == "access_tokens" else {}
    return {names[kind]: body["id"]} if kind in names and "id" in body else found


def _created_objects(request: dict[str, Any], body: dict[str, Any]) -> dict[str, int]:
    found = {}
    for kind in ("shapes", "tags", "tracks"):
        sent = request["body"].get(kind) or [] if isinstance(request["body"], dict) else []
        known = {row.get("id") for row in sent}
        fresh = [row["id"] for row in body.get(kind, []) if isinstance(row.get("id"), int) and row["id"] not in known]
        if fresh:
            found[kind] = fresh[0]
        if fresh and kind == "tracks":
            found["keyframes"] = body["tracks"][0]["shapes"][0]["id"]
    return found


def replay(run: Replay, flow: str, exchange: dict[str, Any]) -> list[str]:
    """Send one recorded request to the double; returns the differences of the answers."""
    _prepare(run, flow, exchange)
    status, headers, body = _send(run, flow, exchange)
    recorded = exchange["response"]
    wrong = [] if status == recorded["status"] else [f"status {status}, recorded was {recorded['status']}"]
    wrong += same(recorded["headers"], _kept(run, headers, recorded["headers"]), "headers")
    if isinstance(recorded["body"], dict) and "binary" in recorded["body"]:
        return wrong if body else [*wrong, "no file came"]
    given = _decoded(run, headers, body)
    wrong += same(recorded["body"], given, "body")
    _learn(run, exchange, headers, given)
    return wrong + _dates_differ(run, exchange, given)


def _kept(run: Replay, headers: dict[str, str], recorded: dict[str, str]) -> dict[str, str]:
    found = {name.lower(): value.replace(run.server.url, SERVER) for name, value in headers.items()}
    wanted = distil.RESPONSE_HEADERS
    return {name: value for name, value in found.items() if name in wanted and (name in recorded or name != "allow")}


def _decoded(run: Replay, headers: dict[str, str], body: bytes) -> Any:
    text = body.decode().replace(run.server.url, SERVER)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _learn(run: Replay, exchange: dict[str, Any], headers: dict[str, str], given: Any) -> None:
    location = next((value for name, value in headers.items() if name.lower() == "location"), "")
    if TUS_ID.search(location):
        run.upload = location.removeprefix(run.server.url)
    if isinstance(given, dict) and "value" in given and "read_only" in given:
        run.tokens[given["id"]] = given["value"]
    if exchange["request"]["path"] == "/api/auth/login" and isinstance(given, dict) and "key" in given:
        cookies = "; ".join(part.split(";")[0] for part in headers["set-cookie"].split("\n"))
        run.credentials["session cookie"] = {"Cookie": cookies}


def _dates_differ(run: Replay, exchange: dict[str, Any], given: Any) -> list[str]:
    """An ``updated_date`` must have changed since it was last read if, and only if, the recorded one had."""
    recorded = exchange["response"]["body"]
    path = exchange["request"]["path"]
    if not isinstance(recorded, dict) or not isinstance(given, dict) or not re.match(r"^/api/\w+/\d+$", path):
        return []
    wrong = []
    for name in ("updated_date", "created_date", "assignee_updated_date"):
        now = recorded.get(name), given.get(name)
        before = run.dates.get((path, name))
        if before and (before[0] == now[0]) != (before[1] == now[1]):
            wrong.append(f"{name}: {'changed' if before[0] == now[0] else 'did not change'}, unlike the recorded one")
        run.dates[path, name] = now
    return wrong


# Which personal token (by its id) stood in a Bearer header of 01-login.
TOKENS_USED = {7: 12, 8: 12, 21: 13, 23: 13, 25: 12}


def _authorization(run: Replay, flow: str, exchange: dict[str, Any]) -> dict[str, str]:
    scheme, actor = exchange["auth"][0], (exchange["auth"] + [""])[1]
    if scheme == "none":
        return {}
    if scheme == "session cookie" and flow == "01-login":
        return run.credentials[scheme]
    secrets = {"Basic": "YWRtaW46YWRtaW4tcGFzc3dvcmQ=", "Bearer": run.tokens.get(TOKENS_USED.get(exchange["n"], 0), "")}
    secret = secrets.get(scheme) or _legacy_key(run, flow, actor)
    name = "Token" if scheme == "session cookie" else scheme
    return {"Authorization": f"{name} {'wrong' if actor == '?' else secret}"}


def _legacy_key(run: Replay, flow: str, actor: str) -> str:
    """The user's key; outside of the login flow one is made for whoever has none."""
    user = run.server.state.user_named(actor)
    keys = [key for key, owner in run.server.state.keys.items() if user and owner == user.id]
    if not keys and user and flow != "01-login":
        keys = [f"key-{user.id}"]
        run.server.state.keys[keys[0]] = user.id
    return keys[0] if keys else "dead"


def _send(run: Replay, flow: str, exchange: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    sent = exchange["request"]
    path = run.upload if TUS_ID.search(sent["path"]) else quote(sent["path"])
    query = urlencode(sent["query"])
    headers = {**sent["headers"], **_authorization(run, flow, exchange)}
    data, kind = _payload(run, exchange)
    if kind:
        headers["content-type"] = kind
    url = run.server.url + path + (f"?{query}" if query else "")
    request = urllib.request.Request(url, data=data, headers=headers, method=sent["method"])
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, _headers(answer), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _headers(error), error.read()


def _headers(answer: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in answer.headers.items():
        found[name.lower()] = f"{found[name.lower()]}\n{value}" if name.lower() in found else value
    return found


def _payload(run: Replay, exchange: dict[str, Any]) -> tuple[bytes | None, str]:
    """The body's bytes, and a media type where it must be built anew."""
    body = exchange["request"]["body"]
    if body is None or isinstance(body, str):
        return (body.encode() if body else None), ""
    if isinstance(body, dict) and "multipart" in body:
        return _form(run, body["multipart"])
    return _plain(run, exchange, body), ""


def _plain(run: Replay, exchange: dict[str, Any], body: Any) -> bytes:
    if isinstance(body, dict) and "malformed_json_text" in body:
        text = body["malformed_json_text"]
        return b"\xff\xfe\x00" if "\N{REPLACEMENT CHARACTER}" in text else text.encode()
    if isinstance(body, dict) and "binary" in body:
        return _tus_piece(run, exchange)
    if exchange["request"]["path"] == "/api/auth/login":
        right = exchange["response"]["status"] == 200
        return json.dumps({"username": ADMIN, "password": "admin-password" if right else "wrong"}).encode()
    return json.dumps(body).encode()


def _form(run: Replay, form: dict[str, Any]) -> tuple[bytes, str]:
    lines = []
    for name, value in form["fields"].items():
        lines += [b"--limit", f'Content-Disposition: form-data; name="{name}"'.encode(), b"", value.encode()]
    for place, name in enumerate(form["files"]):
        head = f'Content-Disposition: form-data; name="client_files[{place}]"; filename="/some/where/{name}"'
        lines += [b"--limit", head.encode(), b"Content-Type: image/jpeg", b"", run.pictures[name]]
    return b"\r\n".join([*lines, b"--limit--", b""]), "multipart/form-data; boundary=limit"


def _tus_piece(run: Replay, exchange: dict[str, Any]) -> bytes:
    """As many bytes as were recorded. The picture is a smaller JPEG with nothing behind it, filled up to that size."""
    offset = int(exchange["request"]["headers"]["upload-offset"])
    size = exchange["request"]["body"]["size"]
    return run.pictures["photo_0.jpg"].ljust(offset + size, b"\0")[offset : offset + size]
