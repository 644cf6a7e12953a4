"""``functions doctor`` finds each known trouble and says what to do; nothing of it is changed."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.doctor import Check
from audit.errors import ServiceError
from audit.serving import asking
from audit.serving.doctor import MOST_FUNCTIONS, checks
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat

ROOT = Path(__file__).resolve().parents[2]
DETECTOR = {"name": "A", "type": "detector", "spec": '[{"name": "car"}]'}


@contextmanager
def serving(functions: Any) -> Iterator[str]:
    """A dashboard with these functions; everything else it answers with 200, as a function's health does."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(functions).encode() if self.path == "/api/functions" else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def function(state: str = "ready", message: str = "", **status: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": DETECTOR}, "status": {"state": state, "message": message, **status}}


def only(functions: Any) -> Check:
    """What is said of the one function of a dashboard."""
    with serving(functions) as address:
        dashboard, *found = checks([], address)
    assert dashboard.ok
    assert len(found) == 1
    return found[0]


def test_nothing_to_look_at_is_nothing_wrong() -> None:
    assert checks([], "") == []


def test_no_dashboard_says_how_to_start_one() -> None:
    (found,) = checks([], f"http://127.0.0.1:{free_port()}")
    assert not found.ok
    assert "Connection refused" in found.detail
    assert "functions serve" in found.advice


@pytest.mark.parametrize("answer", ["a page", [1, 2]])
def test_another_program_on_that_port_is_noticed(answer: Any) -> None:
    with serving(answer) as address:
        (found,) = checks([], address)
    assert (found.ok, found.detail) == (False, "answers, but not as Nuclio does")


Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[int]:
    """A port on which a program says to each caller what it likes, and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                caller, _ = listening.accept()
            except OSError:
                return
            with caller, suppress(OSError):
                caller.recv(65536)
                talk(caller)

    Thread(target=serve, daemon=True).start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def saying(*pieces: bytes) -> Talk:
    return lambda caller: caller.sendall(b"".join(pieces))


def answer(status: str, body: bytes = b"", *headers: bytes) -> Talk:
    head = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers]
    return saying(b"\r\n".join(head), b"\r\n\r\n", body)


def dripping(head: bytes) -> Talk:
    """A byte in a while, for ever."""

    def talk(caller: socket.socket) -> None:
        caller.sendall(head)
        while True:
            caller.sendall(b" ")
            time.sleep(0.02)

    return talk


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SILENCE_S", 0.3)
    monkeypatch.setattr(asking, "WHOLE_S", 0.6)


@pytest.mark.parametrize(
    ("talk", "said", "advised"),
    [
        (saying(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "does not speak HTTP", "another program"),
        (saying(b"\x00\xff\x1b[2J\n\n"), "does not speak HTTP", "another program"),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000), "does not speak HTTP", "another program"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"), "cut short", "another program"),
        (saying(), "hangs up without an answer", "another program"),
        (answer("404 Not Found", b"<html>no such page"), "has no list of functions (HTTP 404)", "another program"),
        (answer("401 Unauthorized"), "wants a login (HTTP 401)", "without one"),
        (answer("302 Found", b"", b"Location: http://\x1b[31melsewhere/"), "sends its callers on to http", "own addr"),
        (answer("500 Oops", b"\x1b[2Jno\r\n disk"), "answers HTTP 500: [2Jno disk", "docker logs nuclio"),
        (answer("200 OK", b"[" * 200_000), "not as Nuclio does", "another program"),
        (answer("200 OK", b'{"a":' * 100_000), "not as Nuclio does", "another program"),
        (answer("200 OK", b"\xff{}"), "not as Nuclio does", "another program"),
        (answer("200 OK", b'{"a": 1' + b"0" * 5000 + b"}"), "not as Nuclio does", "another program"),
        (answer("200 OK", b'{"a": '), "not as Nuclio does", "another program"),
    ],
)  # fmt: skip
def test_whatever_answers_there_is_told_in_one_plain_line(talk: Talk, said: str, advised: str) -> None:
    with talking(talk) as port:
        (found,) = checks([], f"http://127.0.0.1:{port}")
    assert not found.ok
    assert said in found.detail
    assert advised in found.advice
    assert (found.detail + found.advice).isprintable()


def test_a_redirect_is_not_followed() -> None:
    called: list[bool] = []
    with talking(lambda _: called.append(True)) as elsewhere:
        to = f"Location: http://127.0.0.1:{elsewhere}/api/functions".encode()
        with talking(answer("307 Elsewhere", b"", to)) as port:
            (found,) = checks([], f"http://127.0.0.1:{port}")
    assert "sends its callers on to http://127.0.0.1" in found.detail
    assert called == []


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("talk", "said"),
    [
        (lambda _: time.sleep(2), "silent for 0.3 s"),
        (dripping(b"HTTP/1.1 200 OK\r\nX-Slow:"), "not complete after 0.6 s"),
        (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"), "not complete after 0.6 s"),
        (dripping(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"), "not complete after 0.6 s"),
        (dripping(b"HTTP/1.1 100 Continue\r\n\r\n"), "not complete after 0.6 s"),
    ],
)
def test_a_slow_answer_is_not_waited_for(talk: Talk, said: str) -> None:
    start = time.monotonic()
    with talking(talk) as port:
        (found,) = checks([], f"http://127.0.0.1:{port}")
        assert time.monotonic() - start < 10  # the machine may be busy; without a bound it never ends
    assert (found.ok, said in found.detail) == (False, True), found


def test_a_huge_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 1 << 20)

    def endless(caller: socket.socket) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            caller.sendall(b" " * 65536)

    with talking(endless) as port:
        (found,) = checks([], f"http://127.0.0.1:{port}")
    assert (found.ok, "an answer of over 1 MiB" in found.detail) == (False, True)


@pytest.mark.parametrize(
    "address",
    ["localhost:8070", "localhost", "ftp://localhost", "http://", "http://a:99999", "http://a:x", "http://[::1",
     "http://a b/", "http://a\x1b[2J/", "//a", "http://a:0"],
)  # fmt: skip
def test_what_is_no_address_is_a_trouble_and_no_error(address: str) -> None:
    (found,) = checks([], address)
    assert (found.ok, "no address of a dashboard" in found.detail) == (False, True)
    assert (found.name + found.detail).isprintable()


def test_a_password_in_the_address_is_not_shown() -> None:
    (found,) = checks([], "http://me:hunter2@localhost:8070")
    assert "without a user name" in found.detail
    assert "hunter2" not in repr(found)


def test_names_from_the_server_are_words_of_a_shell_and_show_no_control_characters() -> None:
    for name, word in (("a; rm -rf ~", "'a; rm -rf ~'"), ("$(id)", "'$(id)'"), ("it's", "it"), ("--all", "--")):
        found = only({name: None})
        command = found.advice.removeprefix("remove it: ")
        assert shlex.split(command).count(name) == 1
        assert word in command
    assert shlex.split(only({"--all": None}).advice)[-2:] == ["--", "--all"]
    evil = only({"a\x1b[2J\nb": None})
    assert (evil.name + evil.detail + evil.advice).isprintable()
    assert "nuctl" not in evil.advice
    broken = only({"x\x1b`id`": function("error\x1b", "\x1b]0;owned\x07 it\u202e broke")})
    assert (broken.name + broken.detail + broken.advice).isprintable()
    assert shlex.split(broken.advice.partition("docker logs ")[2].partition(";")[0]) == ["nuclio-nuclio-x `id`"]
    long = only({"n" * 5000: function("error", "m" * 100_000)})
    assert len(long.name + long.detail + long.advice) < 1000


def test_a_deep_or_odd_spec_is_a_fault_of_that_function() -> None:
    for spec in ("[" * 100_000, '[{"name": 1' + "0" * 5000 + "}]"):
        assert (
            "JSON list of labels"
            in only({"f": {**function(), "metadata": {"annotations": {**DETECTOR, "spec": spec}}}}).detail
        )
    for version in ("²", "9" * 5000):
        annotations = {"type": "interactor", "version": version}
        assert "version" in only({"f": {**function(), "metadata": {"annotations": annotations}}}).detail


def test_another_program_on_a_functions_port_is_told() -> None:
    with talking(saying(b"220 mail.example ESMTP\r\n")) as port:
        found = only({"f": function(httpPort=port)})
    assert (found.ok, "gives no answer (it does not speak HTTP)" in found.detail) == (False, True)
    with talking(answer("404 Not Found")) as port:
        assert only({"f": function(httpPort=port)}).ok  # a function answers so to what it does not know


def test_thousands_of_functions_are_not_all_called() -> None:
    with serving({f"f{i}": None for i in range(MOST_FUNCTIONS + 5)}) as address:
        found = checks([], address)
    assert len(found) == MOST_FUNCTIONS + 2
    assert "only the first" in found[-1].detail


def test_odd_folders_are_a_trouble_and_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    shutil.copytree(ROOT / "serverless" / "yolo", folder)
    yaml = folder / "function.yaml"
    text = yaml.read_text()
    for bad in ("[" * 5000, "a: 2001-99-99", "\x00"):
        yaml.write_text(bad)
        assert "is not YAML" in checks([folder], "")[0].detail
    yaml.write_text(text.replace('value: "yolo11n"', f'value: "{"x" * 5000}"'))
    assert "no such file" in checks([folder], "")[1].detail
    yaml.write_text(text.replace("  triggers:", '  resources:\n    limits:\n      memory: "1.2.3Gi"\n  triggers:'))
    assert len(checks([folder], "")) == 2
    yaml.unlink()
    yaml.mkdir()
    assert "cannot be read" in checks([folder], "")[0].detail


def test_a_cvat_that_answers_too_deeply_is_no_error() -> None:
    def deep() -> Any:
        raise RecursionError

    (found,) = checks([], "", deep)
    assert (found.ok, "too deeply" in found.detail) == (False, True)


def test_an_empty_project_is_no_list() -> None:
    with serving({}) as address:
        (found,) = checks([], address)
    assert (found.ok, "no function" in found.detail) == (False, True)


def test_a_function_without_status_breaks_cvats_whole_list() -> None:
    bad: Any
    for bad in ({"metadata": {}}, None, "text", {"status": None}):
        found = only({"bad": bad})
        assert not found.ok
        assert "whole list" in found.detail
        assert "nuctl delete function bad" in found.advice


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"type": "detector", "spec": "car, bus"}, "a JSON list of labels"),
        ({"type": "detector", "spec": '[{"name": "car"}, {"name": "car"}]'}, "every label name once, got 'car'"),
        ({"type": "interactor", "version": "1"}, "Interact button stays grey"),
        ({"type": "interactor", "version": "2", "min_pos_points": "one"}, "min_pos_points"),
        ({"type": "painter"}, "detector, interactor"),
        (None, "keys and values"),
    ],
)
def test_a_spec_that_is_not_valid_is_named(annotations: Any, said: str) -> None:
    found = only({"bad": {"metadata": {"annotations": annotations}, "status": {"state": "ready"}}})
    assert not found.ok
    assert said in found.detail
    assert not found.detail.startswith("bad:")


@pytest.mark.parametrize(
    ("state", "message", "advice"),
    [
        ("building", "", "being put up"),
        ("error", "Function wasn't ready in time\nMemoryError", "memory is too small"),
        ("unhealthy", "container was Killed (exit code 137)", "memory is too small"),
        ("error", "FileNotFoundError: best.pt", "weights are missing"),
        ("error", "No module named 'audit'", "a package is missing"),
        ("error", "something else", "docker logs nuclio-nuclio-f"),
    ],
)
def test_a_function_that_is_not_ready_is_told_apart(state: str, message: str, advice: str) -> None:
    found = only({"f": function(state, message)})
    assert not found.ok
    assert found.detail.startswith(state)
    assert "\n" not in found.detail
    assert advice in found.advice


def test_a_stale_port_after_a_restart_is_found() -> None:
    found = only({"f": function(httpPort=free_port())})
    assert not found.ok
    assert "nothing answers on its port" in found.detail
    assert "docker restart" in found.advice


def test_a_function_that_answers_is_well() -> None:
    with serving({}) as address:
        port = int(address.rpartition(":")[2])
        found = only({"f": function(httpPort=port)})
    assert (found.ok, found.detail) == (True, f"ready, answers on port {port}")
    assert only({"f": function()}).ok  # through the dashboard


def test_folders_are_looked_at_before_they_are_deployed(tmp_path: Path) -> None:
    folder = tmp_path / "yolo"
    shutil.copytree(ROOT / "serverless" / "yolo", folder)
    assert [c.ok for c in checks([folder], "")] == [True, True]
    yaml = folder / "function.yaml"
    text = yaml.read_text().replace('value: "yolo11n"', 'value: "best.pt"')
    yaml.write_text(text)
    missing = checks([folder], "")[-1]
    assert (missing.ok, "no such file" in missing.detail, str(folder) in missing.advice) == (False, True, True)
    (folder / "best.pt").write_bytes(b"x" * 1000)
    assert checks([folder], "")[-1].ok
    yaml.write_text(text.replace("  triggers:", '  resources:\n    limits:\n      memory: "256Mi"\n  triggers:'))
    small = checks([folder], "")[-1]
    assert (small.ok, "about 600 MB" in small.detail, "268 MB" in small.detail) == (False, True, True)
    (broken,) = checks([tmp_path / "nowhere"], "")
    assert "cannot be read" in broken.detail


def test_a_cvat_that_does_not_see_what_the_dashboard_has() -> None:
    def down() -> Any:
        raise ServiceError("cvat.test answers 503 when asked for the list of functions")

    with serving({"f": function()}) as address:
        assert [c.ok for c in checks([], address, lambda: [{"id": "f"}])] == [True, True, True]
        other = checks([], address, lambda: [{"id": "g"}])[-1]
        unreachable = checks([], address, down)[-1]
    assert (other.ok, "also has f" in other.detail) == (False, True)
    assert (unreachable.ok, "CVAT_NUCLIO_HOST" in unreachable.advice) == (False, True)


def test_the_command_asks_a_real_cvat_through_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*options: str) -> tuple[int, list[dict[str, Any]]]:
        asked = ["functions", "doctor", "--dashboard", "", "--json", *options]
        result = CliRunner().invoke(cli, asked, catch_exceptions=False)
        return result.exit_code, json.loads(result.stdout)

    assert told() == (0, [])
    with FakeCvat() as cvat:
        monkeypatch.setenv("CVAT_ACCESS_TOKEN", ADMIN_TOKEN)
        code, (found,) = told("--cvat", cvat.url)
        assert (code, found["name"]) == (0 if found["ok"] else 3, "CVAT's list")
        monkeypatch.setenv("CVAT_ACCESS_TOKEN", "wrong")
        code, (found,) = told("--cvat", cvat.url)
        assert (code, found["ok"]) == (3, False)
        assert "wrong" not in json.dumps(found)
