"""An audit without a model: what the labels show by themselves, through the real command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Command, write_coco

W, H = 320, 240
N = 24
QUIET = ("--no-fiftyone",)
Box = tuple[float, float, float, float]


def background(seed: int) -> np.ndarray:
    """A smooth picture with contrast, another for each seed."""
    small = np.random.default_rng(seed).integers(40, 200, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((W, H), Image.Resampling.BICUBIC)).copy()


def painted(picture: np.ndarray, boxes: list[Box], colour: tuple[int, int, int] = (230, 30, 40)) -> Image.Image:
    for x1, y1, x2, y2 in boxes:
        picture[int(y1) : int(y2), int(x1) : int(x2)] = colour
        picture[int(y1) + 6 : int(y2) - 6 : 4, int(x1) + 6 : int(x2) - 6] = (20, 20, 30)
    return Image.fromarray(picture)


def cars(frame: int) -> list[Box]:
    """Three cars that drive along their lanes."""
    starts, steps = [(20.0, 30.0), (250.0, 90.0), (30.0, 160.0)], [4.0, -4.0, 3.0]
    corners = [(x + step * frame, y) for (x, y), step in zip(starts, steps, strict=True)]
    return [(x, y, x + 40, y + 30) for x, y in corners]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """CVAT for video: track 0 leaps away on frame 10 and back, 1 is gone on frames 15 and 16; 2 is sound."""
    folder = tmp_path / "video"
    (folder / "images").mkdir(parents=True)
    tracks: list[str] = []
    for k in range(3):
        shapes = []
        for frame in range(N):
            x1, y1, x2, y2 = cars(frame)[k]
            if (k, frame) == (0, 10):
                x1, y1, x2, y2 = x1 + 120, y1 + 90, x2 + 120, y2 + 90
            outside = int(k == 1 and frame in (15, 16))
            shapes.append(
                f'<box frame="{frame}" outside="{outside}" keyframe="1" occluded="0" z_order="0" '
                f'xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"/>'
            )
        tracks.append(f'<track id="{k}" label="car" source="manual">{"".join(shapes)}</track>')
    meta = (
        f"<meta><task><id>7</id><size>{N}</size><mode>interpolation</mode><start_frame>0</start_frame>"
        f"<stop_frame>{N - 1}</stop_frame><labels><label><name>car</name></label></labels>"
        f"<original_size><width>{W}</width><height>{H}</height></original_size></task></meta>"
    )
    (folder / "annotations.xml").write_text(f"<annotations><version>1.1</version>{meta}{''.join(tracks)}</annotations>")
    for frame in range(N):
        painted(background(frame), cars(frame)).save(folder / "images" / f"frame_{frame:06d}.jpg", quality=90)
    return folder


def photos(folder: Path, scenes: list[Image.Image], boxes: list[list[Box]]) -> Path:
    """A COCO export of these scenes, each box a person."""
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for i, (scene, drawn) in enumerate(zip(scenes, boxes, strict=True)):
        name = f"{i:03d}.jpg"
        scene.save(folder / "images" / name, quality=92 if i % 2 else 88)
        images.append({"id": i + 1, "file_name": name, "width": W, "height": H})
        for x1, y1, x2, y2 in drawn:
            annotations.append({"id": len(annotations) + 1, "image_id": i + 1, "category_id": 1,
                                "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0, "segmentation": []})  # fmt: skip
    write_coco(folder / "annotations.json", images, annotations)
    return folder


def found(cvat_audit: Command, source: Path, *more: str) -> list[dict[str, Any]]:
    done = cvat_audit("run", source, "--out", "out", *QUIET, *more)
    assert done.returncode == 0, done.stderr
    assert "No model: only what the labels show by themselves" in done.stderr
    assert "not compared" not in done.stdout
    listed: list[dict[str, Any]] = json.loads(cvat_audit("findings", "out", "--json").stdout)
    return listed


def test_tracks_that_jump_and_blink(cvat_audit: Command, video: Path, tmp_path: Path) -> None:
    listed = found(cvat_audit, video)
    assert [f["type"] for f in listed] == ["broken_track"] * 2
    jump, blink = listed
    assert (jump["frame"], jump["annotation_id"], jump["label"]) == (10, 0, "car")
    assert jump["suggested_bbox_xyxy"] == pytest.approx([60, 30, 100, 60])
    assert "back on the next" in jump["reason"]
    assert (blink["frame"], blink["annotation_id"], blink["bbox_xyxy"]) == (15, 1, None)
    assert "missing on 2 frames" in blink["reason"]
    report = (tmp_path / "out" / "report.html").read_text()
    assert "no model was asked" in report
    assert "Broken track" in report
    assert "Invalid shape" in report
    assert "Missing label" not in report  # nobody looked for it


def test_a_broken_track_can_be_decided_and_a_label_for_it_is_of_no_use(cvat_audit: Command, video: Path) -> None:
    jump = found(cvat_audit, video)[0]
    noted = cvat_audit("decide", "out", "--accept", jump["id"], "--reviewer", "ann")
    assert noted.returncode == 0, noted.stderr


def test_a_frame_left_empty_among_full_ones(cvat_audit: Command, tmp_path: Path) -> None:
    boxes = [[(20.0 + 70 * k, 40.0 + 10 * (i % 5), 70.0 + 70 * k, 120.0) for k in range(2 + i % 3)] for i in range(20)]
    left_out = [[] if i == 12 else drawn for i, drawn in enumerate(boxes)]
    source = photos(tmp_path / "set", [painted(background(i), b) for i, b in enumerate(boxes)], left_out)
    listed = found(cvat_audit, source)
    assert [(f["type"], f["frame"], f["bbox_xyxy"]) for f in listed] == [("empty_frame", 12, None)]
    assert 0.1 < listed[0]["score"] < 0.3
    # once somebody decodes the pictures anyway, and a model sees objects there, these are told instead
    seen = [{"image_id": 13, "category_id": 1, "bbox": [20, 60, 50, 60], "score": 0.9}]
    (tmp_path / "seen.json").write_text(json.dumps(seen))
    with_model = cvat_audit("run", source, "--predictions", tmp_path / "seen.json", "--out", "other", *QUIET)
    assert with_model.returncode == 0, with_model.stderr
    told = json.loads(cvat_audit("findings", "other", "--json").stdout)
    assert {f["type"] for f in told if f["frame"] == 12} == {"missing_annotation"}


def test_near_identical_photos_labelled_differently(cvat_audit: Command, tmp_path: Path) -> None:
    """2 and 3 show the same, compressed differently; 5 and 6 show the same place after a person has left."""
    person, other = (60.0, 50.0, 120.0, 190.0), (200.0, 60.0, 260.0, 200.0)
    scenes = [(i, [person, other]) for i in range(8)]
    scenes[3], scenes[6] = (2, [person, other]), (5, [person])
    boxes = [list(drawn) for _, drawn in scenes]
    boxes[3] = [person]
    source = photos(tmp_path / "set", [painted(background(i), b) for i, b in scenes], boxes)
    listed = found(cvat_audit, source)
    assert [(f["type"], f["frame"]) for f in listed] == [("inconsistent_frames", 3)]
    assert listed[0]["suggested_bbox_xyxy"] == list(other)
    assert "looks the same as frame 2 (002.jpg)" in listed[0]["reason"]


def test_the_very_same_photo_twice(cvat_audit: Command, tmp_path: Path) -> None:
    person = (60.0, 50.0, 120.0, 190.0)
    scenes = [painted(background(i % 3), [person]) for i in range(6)]
    source = photos(tmp_path / "set", scenes, [[person] if i != 4 else [] for i in range(6)])
    for i in (3, 4, 5):
        (source / "images" / f"{i:03d}.jpg").write_bytes((source / "images" / f"{i - 3:03d}.jpg").read_bytes())
    assert [(f["type"], f["frame"], f["score"]) for f in found(cvat_audit, source)] == [
        ("inconsistent_frames", 4, pytest.approx(0.9))
    ]
    assert found(cvat_audit, source, "--type", "empty_frame") == []


def test_without_images_the_labels_still_tell(cvat_audit: Command, video: Path) -> None:
    for image in (video / "images").iterdir():
        image.unlink()
    assert [f["frame"] for f in found(cvat_audit, video)] == [10, 15]


def test_sound_labels_give_nothing(cvat_audit: Command, tmp_path: Path) -> None:
    boxes = [[(20.0 + 70 * k, 40.0, 70.0 + 70 * k, 120.0) for k in range(4)]] * 5
    assert found(cvat_audit, photos(tmp_path / "set", [Image.fromarray(background(i)) for i in range(5)], boxes)) == []
