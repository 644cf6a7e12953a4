"""A FiftyOne database of the tests' own, stopped after each module that used it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from audit.adapters.fiftyone.database import URI, database

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Notes:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: list[str] = []
        self.steps = 0

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[object]:
        self.tasks.append(description)
        yield self.advance

    def advance(self, steps: int = 1) -> None:
        self.steps += steps

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running database in a state folder of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv(URI, raising=False)
        with database(Notes()) as address:
            yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with playwright.sync_playwright() as running:
        program = program or running.chromium.executable_path
        if not Path(program).exists():
            reason = "no Chromium here; get one with: playwright install --with-deps chromium"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        opened = running.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()
