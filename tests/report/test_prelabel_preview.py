"""The page that ``prelabel`` writes: what would be drawn, in every form, and nothing that runs or loads."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.core.annotations import Annotations, Frames, ShapeType, Snapshot
from audit.core.corrections import Action, Correction
from audit.core.masks import encode, rotated_rectangle
from audit.core.proposals import Proposal, posed, turned_box
from audit.core.skeletons import COCO_BONES, COCO_KEYPOINTS
from audit.report.prelabel_preview import MOST_FRAMES, write_preview
from tests.doubles.progress import Noted

EVIL = '<script>alert("x")</script>'
SIDE = 200


def held(folder: Path, count: int) -> Snapshot:
    stream = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(stream, "PNG")
    (folder / "a.png").write_bytes(stream.getvalue())
    frames = Frames(
        name=[f"{i}{EVIL}.png" for i in range(count)],
        number=np.arange(count),
        width=np.full(count, SIDE),
        height=np.full(count, SIDE),
        path=[str(folder / "a.png")] * (count - 1) + [""] * min(count, 1),
    )
    link = "https://cvat.test/tasks/{task}/jobs/{job}?frame={number}"
    return Snapshot(EVIL, ("person", EVIL), frames, Annotations(), link=link)


def creation(frame: int, shape: ShapeType, place: Proposal | None, label: str = "person") -> Correction:
    return Correction(Action.CREATE, ("k",), frame, label=label, shape=shape, geometry=place, score=0.5)


def page(folder: Path, snapshot: Snapshot, drawn: list[Correction]) -> str:
    write_preview(folder / "preview.html", snapshot, drawn, model=EVIL, progress=Noted())
    return (folder / "preview.html").read_text()


def test_nothing_drawn_is_a_page_without_pictures(tmp_path: Path) -> None:
    text = page(tmp_path, held(tmp_path, 2), [])
    assert "0 pre-labels on 0 frames" in text
    assert "<figure>" not in text


def test_every_form_is_drawn(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:60, 30:90] = True
    xy = np.random.default_rng(0).uniform(10, 190, (17, 2))
    sure = np.ones(17)
    sure[0] = 0.1
    ring = rotated_rectangle((50, 60, 110, 90), 30)
    drawn = [
        creation(0, ShapeType.RECTANGLE, Proposal((10, 20, 30, 40))),
        creation(0, ShapeType.MASK, Proposal((30, 20, 90, 60), mask=encode(mask)), EVIL),
        creation(0, ShapeType.RECTANGLE, turned_box(ring, 30)),
        creation(0, ShapeType.SKELETON, posed(COCO_KEYPOINTS, xy, sure, least=0.5)),
        creation(1, ShapeType.POLYGON, Proposal((0, 0, 9, 9), ring=((0, 0), (9, 0), (5, 9)))),
        creation(1, ShapeType.SKELETON, posed(("a", "b"), xy[:2], np.ones(2), least=0.5)),
    ]
    text = page(tmp_path, held(tmp_path, 2), drawn)
    assert "6 pre-labels on 2 frames" in text
    first, second = text.split("<figure>")[1:]
    paths = [d for d in re.findall(r'<path d="([^"]*)"', first) if d]
    assert paths[0] == "M10.0 20.0L30.0 20.0L30.0 40.0L10.0 40.0Z"
    assert paths[2] == "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring.round(2)) + "Z"
    assert paths[3].count("M") == sum(0 not in (a - 1, b - 1) for a, b in COCO_BONES)
    assert (first.count("<circle"), second.count("<circle")) == (16, 2)
    assert "data:image/jpeg" in first
    assert "<image" not in second  # its picture is not at hand
    assert "person 0.50" in first


def test_names_are_text_and_nothing_is_loaded(tmp_path: Path) -> None:
    drawn = [creation(i, ShapeType.RECTANGLE, Proposal((1, 1, 9, 9)), EVIL) for i in range(2)]
    text = page(tmp_path, held(tmp_path, 2), drawn)
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.search(r'(?:src|href)="(?!data:|https://cvat\.test/)', text)


@pytest.mark.parametrize(("frames", "shown"), [(MOST_FRAMES, MOST_FRAMES), (10 * MOST_FRAMES, MOST_FRAMES)])
def test_of_many_frames_some_are_shown_from_first_to_last(tmp_path: Path, frames: int, shown: int) -> None:
    drawn = [creation(i, ShapeType.RECTANGLE, Proposal((1, 1, 9, 9))) for i in range(frames)]
    text = page(tmp_path, held(tmp_path, frames), drawn)
    names = re.findall(r'aria-label="(\d+)', text)
    assert (len(names), names[0], names[-1]) == (shown, "0", str(frames - 1))
    assert ("from the first to the last" in text) == (frames > shown)
