"""``tests/live`` finds its server by the environment, passes there, and is silent without one."""

import os
import subprocess
import sys
from pathlib import Path

from tests.doubles.cvat import FakeCvat

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = ("CVAT_URL", "CVAT_ACCESS_TOKEN", "CVAT_USER", "PASS")


def _run(**environment: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "pytest", "-q", "tests/live", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout


def test_without_a_server_nothing_is_collected_and_one_line_says_so() -> None:
    status, text = _run()
    assert status == 5, text
    assert "tests/live: not run, CVAT_URL is not set" in text
    assert "skipped" not in text


def test_with_a_server_the_suite_passes_and_leaves_nothing_behind() -> None:
    with FakeCvat() as server:
        server.add_user("lead", password="lead-password")
        status, text = _run(CVAT_URL=server.url + "/", CVAT_USER="lead", PASS="lead-password")
        assert status == 0, text
        assert any(request.path.endswith("/annotations") for request in server.requests)
        assert (server.state.projects, server.state.tasks) == ({}, {})


def test_a_server_without_credentials_is_an_error() -> None:
    status, text = _run(CVAT_URL="http://127.0.0.1:9")
    assert status == 1
    assert "set CVAT_ACCESS_TOKEN too" in text
