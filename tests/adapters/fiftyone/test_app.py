"""The App: served on loopback only, ended with its command, and as a person sees it in a browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from audit.adapters.fiftyone import app
from audit.adapters.fiftyone.app import app_server
from audit.adapters.fiftyone.board import import_run
from audit.errors import ServiceError, UsageError
from tests.adapters.fiftyone import runs
from tests.adapters.fiftyone.conftest import Notes

COMMAND = """
import sys
from audit.adapters.fiftyone.app import serve_app
from tests.adapters.fiftyone.conftest import Notes
class Printed(Notes):
    def note(self, line): print(line, flush=True)
serve_app(sys.argv[1], open_browser=False, progress=Printed())
"""


@pytest.fixture(scope="module")
def dataset(uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    return import_run(runs.small_run(tmp_path_factory.mktemp("small")), name="two photographs", progress=Notes())


@pytest.fixture(scope="module")
def served(dataset: str) -> Iterator[str]:
    told = Notes()
    with app_server(dataset, progress=told) as (url, process):
        assert told.tasks == ["Starting the App"]
        yield url
    assert process.returncode is not None


def status(url: str, host: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        return int(urllib.request.urlopen(request, timeout=20).status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_app_answers_on_loopback_and_for_this_machine_s_name_only(served: str) -> None:
    assert served.startswith("http://127.0.0.1:")
    assert "/datasets/two%20photographs?view=worst-first" in served
    assert status(served) == 200
    assert status(served, "attacker.example") == 400
    port = urlsplit(served).port
    addresses = {c.laddr.ip for p in psutil.Process().children() for c in p.net_connections() if c.laddr.port == port}
    assert addresses == {"127.0.0.1"}


def test_a_taken_port_is_one_line_and_without_one_the_next_is_taken(dataset: str, served: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} is taken"), app_server(dataset, port=port):
            pass
    assert app._port(None) != urlsplit(served).port


def test_an_unknown_dataset_is_one_line(uri: str) -> None:
    with pytest.raises(UsageError, match="no FiftyOne dataset 'nowhere'"), app_server("nowhere"):
        pass


def test_an_app_that_cannot_start_says_why(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # as if another program took the port just after it was found free
        port = taken.getsockname()[1]
        monkeypatch.setattr(app, "_port", lambda _wanted: port)
        told = r"did not start: .*(?i:address already in use)"
        with pytest.raises(ServiceError, match=told), app_server(dataset, port=port):
            pass


def test_if_another_app_is_quicker_to_take_the_port_the_next_one_is_ours(
    dataset: str, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = urlsplit(served).port
    real = app._port
    offered = iter([others])
    monkeypatch.setattr(app, "_port", lambda wanted: next(offered, None) or real(wanted))
    with app_server(dataset) as (url, _):
        assert urlsplit(url).port != others


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_app_ends_with_its_command_however_it_ends(dataset: str, ending: signal.Signals) -> None:
    command = subprocess.Popen([sys.executable, "-c", COMMAND, dataset], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    said = command.stdout.readline()
    assert "FiftyOne App: http://127.0.0.1:" in said
    servers = psutil.Process(command.pid).children()
    command.send_signal(ending)
    command.communicate(timeout=60)
    _, alive = psutil.wait_procs(servers, timeout=30)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    if ending != signal.SIGKILL:
        assert command.returncode == 0


@pytest.mark.browser
def test_a_person_sees_the_findings(served: str, browser: Any, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 950})
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(served)
    looker = page.locator("[data-cy=looker]")
    looker.first.wait_for(timeout=60_000)
    dismiss(page)
    sidebar = page.locator("[data-cy=sidebar]")
    assert {"findings", "suggestions", "annotations"} <= set(sidebar.inner_text().split("\n"))
    assert looker.count() == 2
    assert is_checked(page, "findings") and is_checked(page, "suggestions")
    looker.first.click()
    modal = page.locator("[data-cy=modal]")
    modal.wait_for(timeout=30_000)
    page.wait_for_timeout(2000)  # the picture is drawn on a canvas, which tells nothing when it is done
    modal.screenshot(path=tmp_path / "worst frame.png")
    colours = colours_in(tmp_path / "worst frame.png")
    assert {"findings", "suggestions", "annotations"} <= colours
    assert "predictions" not in colours
    page.keyboard.press("Escape")
    page.get_by_text("Worst first").first.click()
    page.get_by_text("Findings one by one").click()
    page.get_by_text(re.compile(r"^4 patches")).wait_for(timeout=60_000)
    page.get_by_text("Wrong label: person, rather bus").first.wait_for(timeout=30_000)
    page.screenshot(path=tmp_path / "one by one.png")
    assert failed == []
    page.close()


def dismiss(page: Any) -> None:
    """An advertisement covers a part of the grid."""
    button = page.get_by_text("Dismiss", exact=True)
    if button.count():
        button.click()


def is_checked(page: Any, field: str) -> bool:
    return bool(page.locator(f"[data-cy=checkbox-{field}]").first.is_visible())


def colours_in(screenshot: Path) -> set[str]:
    """Which fields' colours are drawn in long straight lines, as boxes are."""
    import numpy as np
    from PIL import Image

    from audit.adapters.fiftyone.appearance import COLOURS

    pixels = np.asarray(Image.open(screenshot).convert("RGB"), np.int64)
    seen = set()
    for field, colour in COLOURS.items():
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        near = np.abs(pixels - wanted).max(axis=2) < 24
        if max(near.sum(axis=0).max(), near.sum(axis=1).max()) > 150:
            seen.add(field)
    return seen
