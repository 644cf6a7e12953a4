"""Ordered faults, seen from the other end of the line."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat

ABOUT = "/api/server/about"


@pytest.fixture
def server() -> Iterator[FakeCvat]:
    with FakeCvat() as fake:
        yield fake


def ask(
    server: FakeCvat, path: str = ABOUT, method: str = "GET", body: str | None = None, timeout: float = 5
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=timeout)
    try:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_without_faults_everything_is_answered(server: FakeCvat) -> None:
    assert [ask(server)[0] for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_status_comes_as_often_as_ordered(server: FakeCvat, status: int) -> None:
    fault = server.faults.add("/server/about", times=2, status=status, headers={"Retry-After": "1"}, body=b"later")
    found = [ask(server) for _ in range(3)]
    assert [answer[0] for answer in found] == [status, status, 200]
    assert (found[0][1]["Retry-After"], found[0][2]) == ("1", b"later")
    assert fault.hits == 2


def test_a_refused_write_is_not_carried_out(server: FakeCvat) -> None:
    server.faults.add("/api/projects", "POST", status=500)
    body = json.dumps({"name": "p"})
    assert ask(server, "/api/projects", "POST", body)[0] == 500
    assert server.state.projects == {}
    assert ask(server, "/api/projects", "POST", body)[0] == 201


def test_only_the_method_and_path_that_match_are_hit(server: FakeCvat) -> None:
    server.faults.add(r"number=1(&|$)", "GET", times=-1, status=500)
    assert ask(server, "/api/projects")[0] == 200
    assert ask(server, "/api/projects?number=10")[0] == 200
    assert ask(server, "/api/projects?number=1")[0] == 500
    server.faults.clear()
    assert ask(server, "/api/projects?number=1")[0] == 200


def test_a_dropped_line_gives_no_answer(server: FakeCvat) -> None:
    server.faults.add(ABOUT, drop=True)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(server)
    assert ask(server)[0] == 200
    assert [request.status for request in server.requests] == [0, 200]


def test_a_truncated_body_is_seen_as_such(server: FakeCvat) -> None:
    full = ask(server)[2]
    server.faults.add(ABOUT, truncate=True)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server)
    assert caught.value.partial == full[: len(full) // 2]


def test_the_line_can_die_after_some_bytes(server: FakeCvat) -> None:
    full = ask(server)[2]
    server.faults.add(ABOUT, kill_after_bytes=10)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server)
    assert caught.value.partial == full[:10]


def test_a_hanging_request_runs_into_the_clients_timeout(server: FakeCvat) -> None:
    server.faults.add(ABOUT, hang=60)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        ask(server, timeout=0.2)
    assert time.monotonic() - started < 2
    assert ask(server)[0] == 200, "others are served meanwhile"


def test_closing_does_not_wait_for_hanging_requests() -> None:
    with FakeCvat() as server:
        server.faults.add(ABOUT, hang=60)
        with pytest.raises(TimeoutError):
            ask(server, timeout=0.2)
        started = time.monotonic()
    assert time.monotonic() - started < 2


def test_a_short_hang_ends_in_the_ordinary_answer(server: FakeCvat) -> None:
    server.faults.add(ABOUT, hang=0.05)
    assert ask(server)[0] == 200


def test_the_log_holds_no_secrets(server: FakeCvat) -> None:
    ask(server, "/api/projects?search=x")
    logged = server.requests[-1]
    assert (logged.method, logged.path, logged.query, logged.status) == ("GET", "/api/projects", {"search": "x"}, 200)
    assert ADMIN_TOKEN not in repr(logged)
    assert "content-type" in logged.headers


def test_what_the_double_does_not_cover_is_a_501(server: FakeCvat) -> None:
    status, _, body = ask(server, "/api/users/1", "DELETE")
    assert (status, json.loads(body)) == (501, "DELETE /api/users/1 is not covered by the double")


def test_a_request_that_never_finishes(server: FakeCvat) -> None:
    server.request_polls = 10**9
    label = {"name": "a"}
    ask(server, "/api/tasks", "POST", json.dumps({"name": "t", "labels": [label]}))
    rq_id = json.loads(ask(server, "/api/tasks/1/data", "POST", "{}")[2])["rq_id"]
    path = "/api/requests/" + rq_id.replace("=", "%3D").replace("&", "%26")
    assert {json.loads(ask(server, path)[2])["status"] for _ in range(5)} == {"started"}
