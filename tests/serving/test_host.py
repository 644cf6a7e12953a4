"""The local host does what Nuclio does with replies, exceptions, limits and dying workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nuclio_sdk", reason="nuclio-sdk is not installed")

from audit.errors import ServiceError, UsageError
from audit.serving.host.config import read_function, seconds
from audit.serving.host.serve import OPEN_WARNING, Host, is_loopback
from tests.serving.cases import Client

PROBE = Path(__file__).resolve().parent / "probe"


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def host(said: list[str]) -> Iterator[Host]:
    with Host([PROBE], port=0, say=said.append) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def client(host: Host) -> Client:
    all_ready(host)
    return Client(host.port)


def all_ready(host: Host, within: float = 15) -> None:
    pool = host.pools["probe"]
    until = time.monotonic() + within
    while pool._ready < pool.config.workers or pool.busy:
        assert time.monotonic() < until, "the workers did not come back"
        time.sleep(0.02)


def do(client: Client, what: str) -> tuple[int, str, bytes]:
    return client.invoke("probe", {"do": what})


@pytest.mark.parametrize(
    ("what", "status", "content_type", "body"),
    [
        ("dict", 200, "application/json", b'{"a": 1, "nan": "NaN"}'),
        ("list", 200, "application/json", b'{"a": 1}'),
        ("empty list", 500, "text/plain", b""),
        ("str", 200, "text/plain", b"text"),
        ("bytes", 200, "text/plain", b"\x00\xff"),
        ("none", 200, "text/plain", b"None"),
        ("int", 200, "text/plain", b"5"),
        ("tuple str", 201, "text/plain", b"made"),
        ("tuple dict", 202, "application/json", b'{"a": 1}'),
        ("response", 400, "application/json", b'{"e": 1}'),
        ("response list", 200, "application/json", b"[{'a': 1.5}]"),
        ("status text", 500, "text/plain", b"x"),
        ("status 0", 200, "text/plain", b"x"),
    ],
)
def test_replies_as_nuclio_sends_them(client: Client, what: str, status: int, content_type: str, body: bytes) -> None:
    assert do(client, what) == (status, content_type, body)


@pytest.mark.parametrize(("what", "error"), [("raise", "no such luck"), ("exit", "3"), ("warning", "warning")])
def test_an_exception_is_a_500_and_the_worker_lives_on(client: Client, host: Host, what: str, error: str) -> None:
    before = host.pools["probe"].restarts
    status, content_type, body = do(client, what)
    assert (status, content_type) == (500, "text/plain")
    assert body.startswith(b'Exception caught in handler - "') and error.encode() in body and b"Traceback" in body
    assert do(client, "str")[0] == 200 and host.pools["probe"].restarts == before


def test_only_text_headers_pass_and_none_can_be_smuggled_in(host: Host, client: Client) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", host.ports["probe"], timeout=10)
    connection.request("POST", "/", b'{"do": "headers"}', {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.read() == b"x"
    assert answer.headers["X-A"] == "1" and answer.headers["X-N"] is None and answer.headers["B"] is None
    assert answer.headers["Server"] == "nuclio"
    connection.close()


@pytest.mark.parametrize(
    ("content_type", "data", "kind"),
    [
        ("application/json", b"{}", "dict"),
        ("application/json; charset=utf-8", b'{"do": "dict"}', "bytes"),
        ("Application/JSON", b"{}", "bytes"),
        ("text/plain", b"{}", "bytes"),
        ("application/json", b"{broken", "bytes"),
    ],
)
def test_only_the_exact_type_is_parsed(client: Client, content_type: str, data: bytes, kind: str) -> None:
    headers = {"Content-Type": content_type, "x-nuclio-function-name": "probe"}
    status, _, body = client.request("POST", "/api/function_invocations", data, headers)
    if kind == "dict":
        assert status == 500  # {} asks for nothing the probe knows
    else:
        assert json.loads(body)["type"] == kind


def test_the_event_on_the_functions_own_port(host: Host, client: Client) -> None:
    own = Client(host.ports["probe"])
    _, _, body = own.request("PUT", "/a/b?x=1", b"hello", {"x-own-header": "yes"})
    event = json.loads(body)
    assert (event["method"], event["path"], event["fields"], event["size"]) == ("PUT", "/a/b", {"x": "1"}, 5)
    assert event["headers"]["X-Own-Header"] == "yes" and event["trigger"] == "http"
    assert event["setting"] == "from the file"


def test_the_list_is_answered_from_memory_while_all_workers_are_busy(client: Client, host: Host) -> None:
    with ThreadPoolExecutor(2) as pool:
        naps = [pool.submit(do, client, "nap") for _ in range(2)]
        time.sleep(0.05)
        started = time.monotonic()
        listed = client.functions()
        took = time.monotonic() - started
        assert [n.result()[0] for n in naps] == [200, 200]
    assert took < 0.2
    probe = listed["probe"]
    assert probe["metadata"]["annotations"]["type"] == "detector" and probe["spec"]["description"] == "test function"
    assert probe["status"]["state"] == "ready" and probe["status"]["httpPort"] == host.ports["probe"]


def test_one_function_and_an_unknown_one(client: Client) -> None:
    assert json.loads(client.request("GET", "/api/functions/probe")[2])["metadata"]["name"] == "probe"
    status, _, body = client.request("GET", "/api/functions/nope")
    assert status == 404 and json.loads(body)["error"] == "Function not found"


def test_another_project_sees_nothing(client: Client) -> None:
    assert client.request("GET", "/api/functions", headers={"x-nuclio-project-name": "other"})[2] == b"{}"


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"x-nuclio-function-name": ""}, 400, "Function name must be provided"),
        ({"x-nuclio-function-name": "nope"}, 404, "Function not found: nope @ nuclio"),
        ({"x-nuclio-function-name": "probe", "X-Nuclio-Invoke-Timeout": "120"}, 400, "duration"),
    ],
)
def test_the_dashboards_own_errors(client: Client, headers: dict[str, str], status: int, error: str) -> None:
    got, content_type, body = client.request("POST", "/api/function_invocations", b"{}", headers)
    assert (got, content_type) == (status, "application/json") and error in json.loads(body)["error"]


def test_a_body_that_is_too_large_never_reaches_the_function(client: Client, host: Host) -> None:
    for target in (client, Client(host.ports["probe"])):
        large = target.invoke("probe", b"x" * 100_001)
        assert large == (400, "text/plain", b"Error when parsing request")
    assert client.invoke("probe", b"x" * 100_000)[0] == 200


def test_a_length_that_is_none(host: Host) -> None:
    for head in (b"Content-Length: -5", b"Content-Length: abc", b"Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", host.ports["probe"]), timeout=5) as raw:
            raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 411")


@pytest.mark.parametrize("digits", [19, 5000, 60_000])
def test_a_length_beyond_any_body_is_a_400_on_every_port(host: Host, digits: int) -> None:
    head = b"Host: x\r\nx-nuclio-function-name: probe\r\nContent-Length: " + b"9" * digits + b"\r\n\r\n"
    lines = {host.ports["probe"]: [b"POST /", b"GET /"], host.port: [b"POST /api/function_invocations"]}
    for port, line in [(port, line) for port, of_port in lines.items() for line in of_port]:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            raw.sendall(line + b" HTTP/1.1\r\n" + head)
            assert raw.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(("line", "status"), [(b"POST /nothing", b"404"), (b"GET /api/functions", b"200")])
def test_a_length_beyond_any_body_does_not_keep_a_request_waiting_that_needs_none(
    host: Host, line: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", host.port), timeout=5) as raw:
        raw.sendall(line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 " + status)


def test_zeros_before_a_length_do_not_count(host: Host) -> None:
    with socket.create_connection(("127.0.0.1", host.ports["probe"]), timeout=5) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"0" * 5000 + b"2\r\n\r\n{}")
        assert not raw.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 411"))


def test_a_client_that_hangs_up_half_way_harms_nobody(host: Host, client: Client) -> None:
    with socket.create_connection(("127.0.0.1", host.ports["probe"]), timeout=5) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\nonly this")
    assert do(client, "str")[0] == 200


def test_no_free_worker_is_a_503_without_a_body(client: Client) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: do(client, "nap"), range(8)))
    statuses = [a[0] for a in answers]
    assert set(statuses) == {200, 503} and all(a[2] == b"" for a in answers if a[0] == 503)


def test_a_slow_answer_is_a_408_and_the_worker_is_replaced(client: Client, host: Host, said: list[str]) -> None:
    before = host.pools["probe"].restarts
    started = time.monotonic()
    status, content_type, body = do(client, "sleep")
    assert (status, content_type) == (408, "application/json") and json.loads(body) == {"error": "handler timed out"}
    assert time.monotonic() - started < 3
    all_ready(host)
    assert host.pools["probe"].restarts == before + 1
    assert any("no answer within 1 s" in line for line in said)
    assert do(client, "str")[0] == 200


def test_the_callers_patience_ends_first(client: Client, host: Host) -> None:
    status, _, body = client.invoke("probe", {"do": "nap"}, **{"X-Nuclio-Invoke-Timeout": "50ms"})
    assert status == 500 and "Failed to invoke function" in json.loads(body)["error"]
    all_ready(host)  # the worker has finished its nap and is not lost
    assert do(client, "str")[0] == 200


def test_a_worker_that_dies_is_a_500_and_comes_back(client: Client, host: Host) -> None:
    assert do(client, "die")[:1] == (500,)
    assert do(client, "str")[0] == 200, "the other worker is still there"
    all_ready(host)
    assert do(client, "str")[0] == 200


def test_a_worker_killed_while_idle_costs_no_request(client: Client, host: Host) -> None:
    before = host.pools["probe"].restarts
    os.kill(json.loads(client.invoke("probe", b"")[2])["pid"], signal.SIGKILL)
    while host.pools["probe"].restarts == before:
        time.sleep(0.005)
    assert [do(client, "str")[0] for _ in range(5)] == [200] * 5
    all_ready(host)


def test_a_worker_that_ends_as_its_turn_comes_is_a_500(client: Client, host: Host) -> None:
    pool = host.pools["probe"]
    worker = pool._free.get(timeout=5)
    worker.leave()  # as when its end is noticed between two lines of _call
    assert pool._call(worker, {}, b"").status == 500
    assert do(client, "str")[0] == 200
    all_ready(host)


def test_eight_clients_on_two_workers(client: Client, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    pool_of_two = host.pools["probe"]  # waits .3 s for a worker, which is nothing on a busy machine
    monkeypatch.setattr(pool_of_two, "config", replace(pool_of_two.config, wait_ms=60_000))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.invoke("probe", b""), range(80)))
    assert {a[0] for a in answers} == {200}


def test_health_and_metrics(client: Client, host: Host) -> None:
    assert do(client, "str")[0] == 200
    assert client.request("GET", "/__internal/health")[0] == 200
    assert Client(host.ports["probe"]).request("GET", "/__internal/health/ready")[0] == 200
    text = client.request("GET", "/metrics")[2].decode()
    assert 'function_requests_total{function="probe",status="200"}' in text
    assert 'function_workers{function="probe"} 2' in text and 'function_ready{function="probe"} 1' in text


def test_paths_are_relative_to_where_the_host_was_started(client: Client) -> None:
    assert json.loads(client.invoke("probe", b"")[2])["cwd"] == str(Path.cwd())


def write(folder: Path, **changes: Any) -> Path:
    import yaml

    folder.mkdir(exist_ok=True)
    raw = yaml.safe_load((PROBE / "function.yaml").read_text(encoding="utf-8"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = raw
        for key in parents:
            place = place[key]
        place[last] = value
    (folder / "function.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return folder


BAD_FILES: list[tuple[dict[str, Any], str]] = [
    ({"metadata__name": "a b"}, "metadata.name: expected letters"),
    ({"metadata__name": "pth-facebookresearch-sam-vit-h"}, "another id"),
    ({"metadata__annotations__name": 5}, "metadata.annotations.name: expected text in quotes"),
    ({"metadata__annotations__type": "robot"}, "metadata.annotations.type: expected detector"),
    ({"metadata__annotations__spec": "{"}, "metadata.annotations.spec: expected a JSON list"),
    ({"metadata__annotations__spec": '[{"name": "a"}, {"name": "a"}]'}, "every label name once"),
    ({"metadata__annotations": {"name": "x", "type": "interactor"}}, "else the Interact button stays grey"),
    ({"metadata__annotations": {"type": "interactor", "version": "2", "min_pos_points": "x"}}, "min_pos_points"),
    ({"spec__handler": "main"}, "spec.handler: expected module:function"),
    ({"spec__eventTimeout": 30}, "spec.eventTimeout: expected a duration"),
    ({"spec__triggers__http__numWorkers": 0}, "numWorkers: expected a whole number from 1"),
    ({"spec__triggers__http__attributes": {"maxRequestBodySize": "4m"}}, "maxRequestBodySize"),
    ({"spec": None}, "spec: expected keys and values"),
    ({"spec__env": "x"}, "spec.env: expected a list"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_FILES, ids=lambda v: str(v)[:40])
def test_what_would_break_cvats_list_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_function(write(tmp_path / "f", **changes))


def test_folders_that_are_no_function(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a folder with a function\.yaml"):
        read_function(tmp_path)
    (tmp_path / "function.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(UsageError, match="is not YAML"):
        read_function(tmp_path)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="both named 'probe'"):
        Host([PROBE, PROBE], port=0, say=print)


def test_a_port_that_is_taken_is_said(host: Host) -> None:
    with pytest.raises(ServiceError, match="is another one running"):
        Host([PROBE], port=host.port, say=print)


@pytest.mark.parametrize(
    ("code", "message"),
    [("raise RuntimeError('no weights')", "no weights"), ("handler = 1/0", "ZeroDivisionError"), ("x = 1", "handler")],
)
def test_a_function_that_cannot_start_is_said_at_once(code: str, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "f")
    (folder / "main.py").write_text(code, encoding="utf-8")
    lines: list[str] = []
    with (
        Host([folder], port=0, say=lines.append) as running,
        pytest.raises(ServiceError, match=rf"probe cannot start: .*{message}"),
    ):
        assert Client(running.port).invoke("probe", b"")[0] == 503
        running.wait_ready()


@pytest.mark.parametrize(
    ("text", "value"),
    [("120s", 120), ("1m30s", 90), ("50ms", 0.05), ("1.5h", 5400), ("120", None), ("", None), ("5 s", None)],
)
def test_durations(text: str, value: float | None) -> None:
    assert seconds(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("name", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_what_only_this_machine_reaches(name: str, expected: bool) -> None:
    assert is_loopback(name) == expected


def test_the_command_says_what_opening_means_and_stops_in_order_on_sigterm() -> None:
    command = [sys.executable, "-m", "audit.serving.host", str(PROBE), "--port", "0", "--host", "0.0.0.0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        lines = []
        while not any("ready, also on" in line for line in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        text = "".join(lines)
        assert OPEN_WARNING in text
        port = int(text.split("http://0.0.0.0:")[1].split(";")[0])
        pid = json.loads(Client(port).invoke("probe", b"")[2])["pid"]
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(Client(port).invoke, "probe", {"do": "nap"})
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert answer.result()[0] == 200, "what was being answered is answered"
        assert process.wait(10) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        process.kill()
        process.communicate()
