"""The report in a real browser without a network: no script of others, no request, no complaint."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.core.annotations import Frames
from audit.core.findings import Findings
from audit.report.html import write_report
from audit.runs import RunFolder
from tests.report.conftest import JOBS, Silent

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCRIPT = "<script>alert(1)</script>\"'&"
BREAK_OUT = "</bdi></script></style>--><img src=x onerror=alert(2)>{{ 7*7 }}"
LONG = SCRIPT + "x" * 10_000
RTL = "\u202eהולך רגל 🚶🏽‍♀️ إنسان"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium; Debian: apt install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """A page opened from disk, offline, with all that happened on it."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(offline=True, **options)
        self.page = context.new_page()
        self.page.on("dialog", lambda d: (self.complaints.append(f"dialog: {d.message}"), d.dismiss()))
        self.page.on("console", lambda m: self.complaints.append(f"console: {m.text}"))
        self.page.on("pageerror", lambda e: self.complaints.append(f"error: {e}"))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(path.as_uri())

    def outside(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]


def report(run: RunFolder) -> Path:
    path = run.path / "report.html"
    write_report(run, path, progress=Silent())
    return path


@pytest.fixture
def hostile(run_of: Callable[..., RunFolder]) -> Path:
    labels = [SCRIPT, BREAK_OUT, LONG, RTL]
    run = run_of(
        frames=Frames(name=[SCRIPT, BREAK_OUT, LONG, RTL], number=range(4), job=[7] * 4),
        findings=Findings(
            type=[0, 1, 2, 3],
            frame=range(4),
            score=[0.9, 0.8, 0.7, 0.6],
            label=[-1, 1, 2, 3],
            suggested_label=[0, 1, 2, -1],
            suggested_xyxy=[[1, 2, 30, 40]] * 4,
            reason=[SCRIPT, BREAK_OUT, LONG, RTL],
        ),
        labels=labels,
        source=SCRIPT,
        notes=[BREAK_OUT],
        problems=[{"where": SCRIPT, "reason": BREAK_OUT}],
        models=[{"name": SCRIPT, "digest": SCRIPT, "labels": labels}],
        settings={SCRIPT: BREAK_OUT},
        versions={BREAK_OUT: SCRIPT},
        link="javascript:alert(3)//{number}",
        jobs=[{**JOBS[0], "assignee": BREAK_OUT}],
        counts={"not_compared": {SCRIPT: 1}},
        read_at=SCRIPT,
    )
    return report(run)


def test_hostile_texts_are_shown_as_texts(browser: Any, hostile: Path) -> None:
    visit = Visit(browser, hostile)
    titles = visit.page.locator("article h3").all_inner_texts()
    assert titles[0] == f"Missing label: {SCRIPT} (90.0 %)"
    assert titles[1] == f"Low IoU: {BREAK_OUT} (80.0 %)"
    assert titles[2].startswith(f"Wrong label: {SCRIPT}xxx")
    assert titles[3] == f"Extra label: {RTL} (60.0 %)"
    assert visit.page.locator("article img, article script").count() == 0
    assert visit.page.locator("script").count() == 1
    assert visit.page.locator("a[href^=javascript]").count() == 0
    assert (visit.complaints, visit.outside(), len(visit.requests)) == ([], [], 1)


def test_the_policy_stops_a_script_that_got_in_all_the_same(browser: Any, hostile: Path) -> None:
    text = hostile.read_text(encoding="utf-8")
    hostile.write_text(text.replace("</main>", "<script>alert(4)</script><img src=//example.org/x></main>"))
    visit = Visit(browser, hostile)
    assert any("Content Security Policy" in line for line in visit.complaints)
    assert not [line for line in visit.complaints if line.startswith("dialog")]


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_of_photos_fits_its_screen_and_keeps_quiet(browser: Any, real_run: RunFolder, width: int) -> None:
    visit = Visit(browser, report(real_run), viewport={"width": width, "height": 800})
    sizes = visit.page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(sizes) == 5
    assert all(size > 100 for size in sizes)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    assert (visit.complaints, visit.outside()) == ([], [])


def test_long_words_do_not_break_the_layout(browser: Any, hostile: Path) -> None:
    visit = Visit(browser, hostile, viewport={"width": 390, "height": 800})
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_what_a_report_was_made_with_breaks_between_words(browser: Any, run_of: Callable[..., RunFolder]) -> None:
    types, kept = ["duplicate_annotation", "inconsistent_frames"], {"ultralytics-opencv-headless": "8.4.190"}
    settings = {"allow_unmatched": False, "types": types, "name": "<b>a_b</b>"}
    page = Visit(browser, report(run_of(settings=settings, versions={"torch": "2.13.0+cpu", **kept}))).page
    facts = page.locator(".facts dl")
    assert facts.nth(0).locator("dd").all_inner_texts() == ["no", ", ".join(types), "<b>a_b</b>"]
    lines = "e => { const r = document.createRange(); r.selectNodeContents(e); return r.getClientRects().length }"
    versions = page.locator(".facts > div", has_text="Versions").locator("dd bdi")
    assert versions.all_inner_texts()[-2:] == ["2.13.0+cpu", "8.4.190"]
    assert [versions.nth(i).evaluate(lines) for i in range(versions.count())] == [1] * versions.count()
    assert facts.nth(0).locator("wbr").count() == 4


def test_filters_work_with_the_keyboard(browser: Any, real_run: RunFolder) -> None:
    page = Visit(browser, report(real_run)).page
    page.select_option("#kind", "missing_annotation")
    assert page.locator("article:visible").count() == 2
    page.select_option("#label", label="cat")
    assert page.locator("article:visible").count() == 1
    assert page.locator("#shown").inner_text() == "1 of 7 cards match."
    page.select_option("#kind", "")
    page.select_option("#label", "")
    assert page.locator("article:visible").count() == 7
    page.focus("#outlines")
    page.keyboard.press("Space")
    assert page.locator("article svg:visible").count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "ARTICLE"


def test_without_scripts_everything_is_there(browser: Any, real_run: RunFolder) -> None:
    page = Visit(browser, report(real_run), java_script_enabled=False).page
    assert page.locator("article:visible").count() == 7
    assert not page.locator("#controls").is_visible()


def test_an_empty_report_keeps_quiet(browser: Any, run_of: Callable[..., RunFolder]) -> None:
    visit = Visit(browser, report(run_of()))
    assert visit.page.locator("h1").inner_text() == "There were no frames to audit."
    assert (visit.complaints, visit.outside()) == ([], [])
