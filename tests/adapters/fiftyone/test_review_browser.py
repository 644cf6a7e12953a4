"""The review as a reviewer sees it: in Chromium, on real photographs, by keyboard, with kills in between."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from audit import decisions
from audit.adapters.fiftyone.board import import_run
from audit.adapters.fiftyone.database import URI
from audit.adapters.fiftyone.review_app import review_server
from audit.core.annotations import Annotations, Frames
from audit.core.decisions import Verdict, standing
from audit.core.findings import Findings, FindingType
from audit.runs import RunFolder
from tests.adapters.fiftyone import runs
from tests.adapters.fiftyone.conftest import Notes
from tests.demo.audited import audited
from tests.report.conftest import save_run

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
LABELS = ("person", HOSTILE, "הולך רגל \u202e🚶🏽‍♀️", "x" * 10_000)
MANY = 10_000

COMMAND = "import sys; from audit.cli import main; sys.argv[0] = 'cvat-audit'; main()"

LATENCY = """async (presses) => {
  const shown = () => document.querySelector('.cvat-audit [data-finding]').dataset.finding;
  const took = [];
  for (let i = 0; i < presses; i++) {
    const before = shown(), start = performance.now();
    window.dispatchEvent(new KeyboardEvent('keydown', { key: i % 3 ? 'y' : 'n', bubbles: true }));
    while (shown() === before) {
      if (performance.now() - start > 5000) throw new Error('the next question did not show');
      await new Promise((next) => requestAnimationFrame(next));
    }
    const image = document.querySelector('.cvat-audit .shot img');
    await image.decode();
    took.push(performance.now() - start);
    await new Promise((next) => setTimeout(next, 350));
  }
  return took;
}"""


def many(folder: Path, findings: int, frames: int, labels: tuple[str, ...] = LABELS) -> RunFolder:
    """A run on two photographs, shown again and again under other names, with findings of all types."""
    rng = np.random.default_rng(5)
    paths = [str(p) for p in runs.photos(folder)]
    sizes = np.array(list(runs.SIZES.values()))[np.arange(frames) % 2]
    table = Frames(
        name=[f"street {i:05d} {HOSTILE if i % 7 == 0 else ''}.jpg" for i in range(frames)],
        number=np.arange(frames),
        width=sizes[:, 0],
        height=sizes[:, 1],
        task=[42] * frames,
        job=np.where(np.arange(frames) % 2 == 0, 7, 8),
        path=[paths[i % 2] for i in range(frames)],
    )
    frame = np.sort(rng.integers(0, frames, findings))
    corner = rng.uniform(0, 0.7, (findings, 2)) * sizes[frame]
    box = np.hstack([corner, corner + rng.uniform(40, 200, (findings, 2))])
    kind = rng.choice([0, 1, 2, 3], findings)
    own, moved = np.where((kind == 0)[:, None], np.nan, box), np.where((kind == 3)[:, None], np.nan, box + 9)
    label = rng.integers(0, len(labels), findings)
    annotations = Annotations(xyxy=box, frame=frame, label=label, annotation_id=np.arange(findings) + 1)
    missing = kind == FindingType.MISSING_ANNOTATION
    found = Findings(
        type=kind,
        frame=frame,
        score=rng.uniform(0, 1, findings),
        annotation=np.where(missing, -1, np.arange(findings)),
        annotation_id=np.where(missing, -1, np.arange(findings) + 1),
        label=np.where(missing, -1, label),
        suggested_label=np.where(kind == 3, -1, (label + (kind == 2)) % len(labels)),
        xyxy=own,
        suggested_xyxy=moved,
        reason=[HOSTILE] * findings,
    )
    return save_run(folder / "run", table, annotations, findings=found, labels=list(labels))


class Visit:
    """A page on the review, with all that went wrong on it."""

    def __init__(self, browser: Any, url: str) -> None:
        self.failed: list[str] = []
        self.page = browser.new_page(viewport={"width": 1280, "height": 800})
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.on("dialog", lambda d: (self.failed.append(f"dialog {d.message}"), d.dismiss()))
        self.page.goto(url)
        self.question.wait_for(timeout=60_000)

    @property
    def question(self) -> Any:
        return self.page.locator(".cvat-audit h2")

    def shown(self) -> str:
        return str(self.page.locator(".cvat-audit [data-finding]").get_attribute("data-finding"))

    def press(self, key: str) -> str:
        """Answer by key; gives the finding that was asked, once another is shown."""
        asked = self.shown()
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "asked => document.querySelector('.cvat-audit [data-finding]')?.dataset.finding !== asked", arg=asked
        )
        return asked


@contextmanager
def command(run: RunFolder, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``cvat-audit review`` as a process; gives the address it tells. Killed afterwards."""
    arguments = ["review", str(run.path), "--reviewer", "ann", "--blind-sample", "0%", "--no-browser", *options]
    own = {"XDG_STATE_HOME": str(run.path.parent / "state")}  # and so a database of its own
    environment = {name: value for name, value in os.environ.items() if name != URI} | own
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if "http://" in line:
                break
        yield next(word for word in said.split() if word.startswith("http://127.0.0.1:")), process
    finally:
        started = psutil.Process(process.pid).children() if process.poll() is None else []
        for p in (*started, process):
            p.kill()
        process.communicate()


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What ``scripts/demo`` shows: real photographs, a real detector, planted mistakes."""
    return RunFolder.open(audited(tmp_path_factory.mktemp("demo")))


def test_ten_answers_by_keyboard_survive_the_kill_of_everything(
    demo_run: RunFolder, browser: Any, tmp_path: Path
) -> None:
    run, findings = demo_run, len(demo_run.findings())
    assert findings > 10
    said = []
    with command(run) as (url, process):
        visit = Visit(browser, url)
        visit.page.locator(".shot img").wait_for()
        visit.page.wait_for_timeout(300)
        visit.page.screenshot(path=tmp_path / "first.png")
        for key in ("y", "n", "u", "ArrowRight", "ArrowLeft", "ArrowDown", "y", "n"):
            said.append(visit.press(key))
        taken_back = said[-1]
        visit.press("z")
        assert visit.shown() == taken_back
        visit.press("u")
        said.append(visit.press("y"))
        said.append(visit.press("n"))
        # the command, the App's server and the database; nothing is ended in order
        servers = psutil.Process(process.pid).children()
        assert len(servers) == 2
        for p in (*servers, process):
            p.send_signal(signal.SIGKILL)
        visit.page.keyboard.press("y")
        visit.page.get_by_text("its server does not answer").wait_for()
        assert visit.failed == []
        visit.page.close()
    stands = standing(decisions.read(run.path))
    assert [finding for finding, _ in stands] == said
    assert {reviewer for _, reviewer in stands} == {"ann"}
    assert stands[taken_back, "ann"].verdict is Verdict.UNSURE
    assert all(d.seconds > 0 for d in stands.values())
    with command(run) as (url, _):
        visit = Visit(browser, url)
        assert f"10 done by you · {findings - 10} left" in visit.page.locator(".numbers").inner_text()
        assert visit.shown() not in said
        visit.press("z")  # also what an earlier session answered can be taken back
        assert visit.shown() == said[-1]
        visit.page.reload()
        visit.question.wait_for(timeout=60_000)
        assert f"9 done by you · {findings - 9} left" in visit.page.locator(".numbers").inner_text()
        assert visit.failed == []
        visit.page.close()


def test_texts_are_shown_as_text_and_another_label_can_be_typed(uri: str, browser: Any, tmp_path: Path) -> None:
    run = many(tmp_path, 60, 8)
    name = import_run(run, progress=Notes())
    with review_server(run, HOSTILE[:40], name) as (url, _):
        visit = Visit(browser, url)
        page = visit.page
        for label in range(1, len(LABELS)):
            page.locator(".filters select").nth(1).select_option(index=1 + sorted(LABELS).index(LABELS[label]))
            page.wait_for_function(
                "t => document.querySelector('.cvat-audit h2')?.textContent.includes(t)", arg=LABELS[label][:25]
            )
            page.screenshot(path=tmp_path / f"label {label}.png")
        page.get_by_role("button", name="Clear").click()
        page.locator(".filters select").first.select_option("missing_annotation")
        page.locator(".kind", has_text="Missing label").wait_for()
        visit.question.wait_for()
        page.keyboard.press("l")
        page.get_by_role("combobox", name="The right label").fill("<script")
        page.screenshot(path=tmp_path / "another label.png")
        asked = visit.shown()
        page.keyboard.press("Enter")
        page.wait_for_function("a => document.querySelector('[data-finding]')?.dataset.finding !== a", arg=asked)
        said = decisions.read(run.path)
        assert [(d.finding, d.verdict, d.label) for d in said] == [(asked, Verdict.ACCEPT, HOSTILE)]
        page.keyboard.press("l")
        page.keyboard.press("Escape")
        page.get_by_text("Yes, add it").wait_for()
        reached = set()
        for _ in range(12):  # every control by keyboard alone, and never into the App behind
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.innerText.split('\\n')[0]"))
        assert {"Yes, add it", "No, nothing to add", "Unsure", "Other label …", "Undo", "All labels"} <= reached
        assert page.evaluate("document.querySelectorAll('.cvat-audit script, .cvat-audit img[onerror]').length") == 0
        assert visit.failed == []
        page.close()


def test_the_next_of_ten_thousand_questions_is_there_at_once(
    uri: str, browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = many(tmp_path, MANY, 500, runs.LABELS)
    name = import_run(run, progress=Notes())
    began = time.monotonic()
    with review_server(run, "ann", name) as (url, process):
        visit = Visit(browser, url)
        opened = time.monotonic() - began
        visit.page.wait_for_timeout(2000)
        took = visit.page.evaluate(LATENCY, 25)
        memory = psutil.Process(process.pid).memory_info().rss / 1e6
        assert visit.failed == []
        visit.page.close()
    assert len(standing(decisions.read(run.path))) == 25
    with capsys.disabled():
        told = f"median {statistics.median(took):.0f} ms, worst {max(took):.0f} ms"
        print(f"\n{MANY} findings: key to next question {told}; open in {opened:.1f} s; App server {memory:.0f} MB")
    assert statistics.median(took) < 500  # what is wanted is 150 ms; a busy machine must not fail the test
