"""``functions doctor`` finds each known trouble and says what to do; nothing of it is changed."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from audit.cli import cli
from audit.doctor import Check
from audit.errors import ServiceError
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
