"""Runs the contract suite on a real server: CVAT_URL, and CVAT_ACCESS_TOKEN or CVAT_USER with PASS."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contract.place import Connection, Place, make_place

URL = os.environ.get("CVAT_URL", "").rstrip("/")
collect_ignore_glob = [] if URL else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not URL:
        terminalreporter.write_line("tests/live: not run, CVAT_URL is not set")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    token, user = os.environ.get("CVAT_ACCESS_TOKEN", ""), os.environ.get("CVAT_USER", "")
    if not token and not user:
        pytest.fail("CVAT_URL is set: set CVAT_ACCESS_TOKEN too, or CVAT_USER and PASS")
    connection = Connection(URL, token, user, os.environ.get("PASS", ""))
    with make_place(connection, tmp_path_factory.mktemp("pictures")) as made:
        yield made
