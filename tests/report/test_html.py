from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.core.annotations import Annotations, Frames
from audit.core.findings import Findings
from audit.errors import ServiceError
from audit.report.gallery import safe_link, shorten
from audit.report.html import headline, write_report
from audit.runs import RunFolder
from tests.report.conftest import Silent

VOID = {"meta", "img", "input", "br", "link", "wbr"}


class Page(HTMLParser):
    """What a page is made of; fails on tags that do not close as they opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words += data

    def all(self, tag: str, of: str = "") -> list[dict[str, str | None]]:
        return [a for name, a in self.tags if name == tag and of in (a.get("class") or "")]


def page(run: RunFolder, **options: Any) -> Page:
    path = run.path / "report.html"
    write_report(run, path, progress=Silent(), **options)
    return Page(path.read_text(encoding="utf-8"))


def test_no_frames(run_of: Callable[..., RunFolder]) -> None:
    shown = page(run_of(counts={}, problems=[], notes=[], models=[], labels=[]))
    assert "There were no frames to audit." in shown.words
    assert "Nothing to show here." in shown.words
    assert shown.all("article") == shown.all("table") == []


def test_frames_that_could_not_be_audited_are_said(run_of: Callable[..., RunFolder]) -> None:
    frames = Frames(name=["a", "b", "c"], number=[0, 1, 2])
    shown = page(run_of(frames=frames, counts={"frames": 3, "frames_audited": 1}, notes=[], problems=[]))
    assert "In 1 frame with 0 labels" in shown.words
    assert "2 of 3 frames could not be audited." in shown.words


def test_no_findings(run_of: Callable[..., RunFolder]) -> None:
    frames = Frames(name=["a", "b"], number=[0, 1])
    shown = page(run_of(frames=frames, annotations=Annotations([[1, 2, 3, 4]], [0], [0], [5])))
    assert "In 2 frames with 1 label we found no place to look at." in shown.words
    assert "Model and labels agree wherever they could be compared." in shown.words


def test_only_weak_findings(run_of: Callable[..., RunFolder]) -> None:
    run = run_of(frames=Frames(name=["a"], number=[0]), findings=Findings(type=[0], frame=[0], score=[0.3]))
    shown = page(run)
    assert "found no place to look at" in shown.words
    assert "1 weaker finding lies below the threshold of 50 % and is not counted." in shown.words
    assert len(shown.all("article")) == 1
    assert "found 1 place to look at" in page(run, threshold=0.3).words


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((33, 246, 41), "In 33 frames with 246 labels we found 41 places to look at."),
        ((1, 1, 1), "In 1 frame with 1 label we found 1 place to look at."),
        ((20_000, 0, 1500), "In 20,000 frames with 0 labels we found 1,500 places to look at."),
    ],
)
def test_headline(counts: tuple[int, int, int], expected: str) -> None:
    assert headline(*counts) == expected


def test_the_page_tells_everything(real_run: RunFolder) -> None:
    shown = page(real_run)
    for words in (
        "In 4 frames with 8 labels we found 6 places to look at.",
        "cvat://cvat.example/tasks/42",
        "yolo11n",
        "2026-11-21 12:00 UTC",
        "1 label not compared with a model: polyline",
        "ground-truth job 12 left out (10 frames)",
        "night.jpg: is not a whole image (truncated)",
        "Low IoU: bus (88.5 %)",
        "Missing label: person (99.9 %)",
        "Wrong label: person, rather tie (91.0 %)",
        "The box covers 62\u00a0% of what the model sees.",
        "By label",
        "By job",
        "By annotator",
        "too few to judge",
        "2.3 s",
    ):
        assert words in shown.words, words


def test_cards_come_worst_first_and_link_to_cvat(real_run: RunFolder) -> None:
    shown = page(real_run)
    assert [a["data-kind"] for a in shown.all("article")] == [
        *("invalid_shape", "missing_annotation", "mismatching_label", "low_overlap"),
        *("duplicate_annotation", "missing_annotation", "extra_annotation"),
    ]
    links = [a for a in shown.all("a") if (a["href"] or "").startswith("http")]
    assert links[1]["href"] == "https://cvat.example/tasks/42/jobs/7?frame=0"
    assert all(a["rel"] == "noopener noreferrer" for a in links)


def test_existing_and_proposed_shapes_are_drawn_apart(real_run: RunFolder) -> None:
    path = real_run.path / "report.html"
    write_report(real_run, path, progress=Silent())
    cards = path.read_text().split("<article")[1:]
    roles = [re.findall(r'"line (\w+)', card) for card in cards]
    assert roles == [
        [],  # a corner that is not a number
        ["proposed"],
        ["existing", "proposed"],
        ["existing", "proposed"],
        ["existing", "other"],
        ["proposed"],
        ["existing"],
    ]
    # the mask's outline, not its box
    assert cards[1].count("L") > 40


def test_pictures_have_words(real_run: RunFolder) -> None:
    shown = page(real_run)
    assert len(shown.all("img")) == 5
    told = [a["alt"] for a in shown.all("img")]
    expected = (
        "Part of the photo bus.jpg, frame 0, with the existing shape and the proposed shape: Low IoU: bus (88.5 %)"
    )
    assert expected in told
    assert all(a.get("aria-hidden") or a.get("aria-label") for a in shown.all("svg"))


def test_frames_without_a_usable_image_get_a_sketch(real_run: RunFolder) -> None:
    shown = page(real_run)
    assert len(shown.all("div", "sketch")) == 2
    assert "no image at hand" in shown.words
    assert "the file is not an image" in shown.words


def test_a_run_without_any_images(run_of: Callable[..., RunFolder]) -> None:
    n = 3
    frames = Frames(name=["a"] * n, number=range(n))  # not even their sizes are known
    findings = Findings(type=[0] * n, frame=range(n), score=[0.9] * n, suggested_xyxy=[[5, 5, 60, 40]] * n)
    shown = page(run_of(frames=frames, findings=findings, link=""))
    assert len(shown.all("article")) == len(shown.all("div", "sketch")) == n
    assert shown.all("img") == []


def test_every_image_is_read_once(real_run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self.name) or original(self))
    page(real_run)
    assert sorted(read) == sorted(set(read))
    assert len(read) == 3


def test_the_gallery_is_cut_where_asked(real_run: RunFolder) -> None:
    assert "The first 2 of 7 findings" in (shown := page(real_run, gallery=2)).words
    assert len(shown.all("article")) == 2
    assert page(real_run, gallery=0).all("article") == []


def test_nothing_is_loaded_from_anywhere(real_run: RunFolder) -> None:
    shown = page(real_run)
    policy = next(a["content"] or "" for a in shown.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert shown.all("link") == []
    assert all((a["src"] or "").startswith("data:image/jpeg;base64,") for a in shown.all("img"))
    assert all("src" not in a for a in shown.all("script"))
    # an inline handler or style would be refused by that policy
    assert not [name for _, a in shown.tags for name in a if name.startswith("on") or name == "style"]


def test_two_hundred_noisy_crops_stay_below_15_megabytes(run_of: Callable[..., RunFolder], tmp_path: Path) -> None:
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (800, 1000, 3), np.uint8)).save(noise)
    n, rng = 300, np.random.default_rng(1)
    corners = rng.uniform(0, 500, (n, 2))
    findings = Findings(
        type=[0] * n, frame=[0] * n, score=rng.random(n), suggested_xyxy=np.hstack([corners, corners + 200])
    )
    run = run_of(
        frames=Frames(name=["noise"], number=[0], width=[1000], height=[800], path=[str(noise)]), findings=findings
    )
    assert len(page(run).all("img")) == 200
    assert 2_000_000 < (run.path / "report.html").stat().st_size < 15_000_000


def test_a_link_that_is_no_web_address_is_not_one() -> None:
    assert safe_link("javascript:alert(1)") == safe_link("data:text/html,x") == safe_link(None) == ""
    assert safe_link("https://cvat.example/") == "https://cvat.example/"


def test_long_texts_are_cut_and_say_so() -> None:
    assert shorten("x" * 300) == "x" * 300
    assert shorten("x" * 10_000) == "x" * 300 + "… (10,000 characters)"


def test_a_folder_that_cannot_be_written_is_said(real_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot write"):
        write_report(real_run, tmp_path / "file" / "report.html", progress=Silent())


def test_the_same_run_gives_the_same_page(real_run: RunFolder) -> None:
    texts = []
    for name in ("a.html", "b.html"):
        write_report(real_run, real_run.path / name, progress=Silent())
        texts.append((real_run.path / name).read_bytes())
    assert texts[0] == texts[1]


def test_settings_are_told_in_words(run_of: Callable[..., RunFolder]) -> None:
    settings = {"map": {}, "allow_unmatched": False, "types": ["low_overlap", "empty_frame"], "pairs": {"a": "b"}}
    words = page(run_of(settings=settings)).words
    for expected in ("mapnone", "allow_unmatchedno", "typeslow_overlap, empty_frame", "pairsa=b"):
        assert expected in words
