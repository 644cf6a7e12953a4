"""CVAT's JSON to the core's tables, against distilled recordings and field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from audit.adapters.cvat.convert import JobFrames, annotations_of, digest_of, job_of, labels_of
from audit.core.annotations import Annotations, ShapeType

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cvat"
HW = (240, 320)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def job_frames(numbers: Any, hw: tuple[int, int] = HW, every: Any = None) -> JobFrames:
    numbers = list(numbers)
    every = list(every if every is not None else numbers)
    return JobFrames({n: i for i, n in enumerate(numbers)}, dict.fromkeys(every, hw), frozenset(every), "job 1")


def shape(**changes: Any) -> dict[str, Any]:
    plain = {"id": 1, "type": "rectangle", "frame": 0, "label_id": 1, "points": [1.0, 2.0, 3.0, 4.0]}
    return {**plain, "rotation": 0.0, "occluded": False, "outside": False, "source": "manual", **changes}


def convert(*shapes: dict[str, Any], frames: JobFrames | None = None) -> tuple[Annotations, list[Any]]:
    return annotations_of({"shapes": list(shapes)}, frames or job_frames(range(5)), {1: 0})


def pixels(counts: bytes, hw: tuple[int, int]) -> np.ndarray:
    return coco_mask.decode({"counts": counts, "size": list(hw)})


def test_nothing_gives_an_empty_table() -> None:
    for data in ({}, {"tags": [], "shapes": [], "tracks": []}, {"shapes": None}):
        table, problems = annotations_of(data, job_frames([]), {})
        assert len(table) == 0
        assert table.xyxy.shape == (0, 4)
        assert problems == []


def test_every_recorded_shape_converts_field_by_field() -> None:
    case = golden("convert_shapes.json")
    names = labels_of(case["labels"])
    codes = {id_: code for code, id_ in enumerate(names)}
    labels = list(names.values())
    table, problems = annotations_of(case["given"], job_frames(range(case["frames"])), codes)
    assert problems == []
    assert len(table) == len(case["expected"])
    for i, want in enumerate(case["expected"]):
        where = f"row {i}, id {want['annotation_id']}"
        assert ShapeType(table.shape[i]).name.lower() == want["shape"], where
        assert labels[table.label[i]] == want["label"], where
        np.testing.assert_allclose(table.xyxy[i], want["xyxy"], atol=1e-9, err_msg=where)
        for name in ("frame", "annotation_id", "rotation", "track", "occluded", "source"):
            assert getattr(table, name)[i] == want[name], (where, name)
        _check_points(table.points[i], want, where)
        _check_mask(table.mask[i], want, where)


def _check_points(points: Any, want: dict[str, Any], where: str) -> None:
    if "points_count" in want:
        assert [len(ring) for ring in points] == want["points_count"], where
        np.testing.assert_allclose([*points[0].min(0), *points[0].max(0)], want["xyxy"], atol=0.02, err_msg=where)
    elif want["points"] is None:
        assert points is None, where
    else:
        assert [ring.ravel().tolist() for ring in points] == want["points"], where


def _check_mask(mask: Any, want: dict[str, Any], where: str) -> None:
    if "mask_pixels" not in want:
        assert mask is None, where
        return
    set_pixels = np.argwhere(pixels(mask, HW))[:, ::-1].tolist()
    assert sorted(set_pixels) == sorted(want["mask_pixels"]), where


@pytest.mark.parametrize("index", [0, 1])
def test_recorded_tracks_show_where_cvat_shows_them(index: int) -> None:
    job = golden("convert_tracks.json")["jobs"][index]
    numbers = range(job["start"], job["stop"] + 1)
    table, problems = annotations_of(job["given"], job_frames(numbers), {72: 0})
    assert problems == []
    assert [numbers[f] for f in table.frame] == [want["frame"] for want in job["expected"]]
    assert table.annotation_id.tolist() == [want["annotation_id"] for want in job["expected"]]
    assert table.xyxy.tolist() == [want["xyxy"] for want in job["expected"]]
    assert table.track.all()
    assert len(set(table.digest)) == 1


def test_a_rotated_rectangle_turns_clockwise_and_comes_with_its_outline() -> None:
    table, _ = convert(shape(points=[10.0, 10.0, 30.0, 20.0], rotation=90.0))
    np.testing.assert_allclose(table.points[0][0], [[25, 5], [25, 25], [15, 25], [15, 5]], atol=1e-9)
    np.testing.assert_allclose(table.xyxy[0], [15, 5, 25, 25], atol=1e-9)


def test_a_rotated_ellipse_has_the_box_of_its_outline() -> None:
    table, _ = convert(shape(type="ellipse", points=[100.0, 100.0, 140.0, 70.0], rotation=37.0))
    ring = table.points[0][0]
    np.testing.assert_allclose(table.xyxy[0], [*ring.min(0), *ring.max(0)], atol=0.1)
    upright, _ = convert(shape(type="ellipse", points=[100.0, 100.0, 140.0, 70.0], rotation=90.0))
    np.testing.assert_allclose(upright.xyxy[0], [70, 60, 130, 140], atol=1e-9)


def test_swapped_corners_and_nan_are_kept_for_the_check_that_looks_for_them() -> None:
    table, problems = convert(shape(points=[30.0, 40.0, 3.0, 4.0]), shape(points=["nan", 1.0, 2.0, 3.0], rotation=10.0))
    assert table.xyxy[0].tolist() == [30, 40, 3, 4]
    assert np.isnan(table.xyxy[1, 0])
    assert problems == []


def test_a_skeletons_box_holds_its_visible_points() -> None:
    def element(x: float, **more: Any) -> dict[str, Any]:
        return {"type": "points", "points": [x, 2 * x], "outside": False, **more}

    visible = shape(type="skeleton", points=[], elements=[element(10), element(20), element(90, outside=True)])
    hidden = shape(id=2, type="skeleton", points=[], elements=[element(10, outside=True), element(20, outside=True)])
    empty = shape(id=3, type="skeleton", points=[], elements=[])
    table, problems = convert(visible, hidden, empty)
    assert table.xyxy[0].tolist() == table.xyxy[1].tolist() == [10, 20, 20, 40]
    assert len(table.points[0][0]) == 2
    assert np.isnan(table.xyxy[2]).all()
    assert problems == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (shape(label_id=99), "label id 99"),
        (shape(type="blob"), "'blob' is unknown"),
        (shape(points=[1.0, 2.0, 3.0]), "with 3 numbers"),
        (shape(type="polygon", points=[1.0, 2.0, 3.0, 4.0]), "with 4 numbers"),
        (shape(points=["x", 1, 2, 3]), "not numbers"),
        (shape(points=[None, 1, 2, 3]), "not numbers"),
        (shape(frame=99), "frame 99, outside of its job"),
        ({"id": 5}, "does not make sense"),
        ("nonsense", "does not make sense"),
        (None, "does not make sense"),
        ({"id": [], "frame": {}}, "does not make sense"),
    ],
)
def test_what_is_no_shape_is_said_and_the_others_stay(raw: Any, said: str) -> None:
    table, problems = convert(raw, shape(id=2))
    assert table.annotation_id.tolist() == [2]
    assert len(problems) == 1
    assert said in problems[0].reason


def test_frames_that_are_not_audited_are_left_out_without_a_word() -> None:
    frames = job_frames([0, 2], every=range(4))
    table, problems = convert(shape(frame=1), shape(frame=2), frames=frames)
    assert table.frame.tolist() == [1]  # row 1 is frame 2
    assert problems == []


def test_bad_mask_runs_are_said_and_what_can_be_told_is_kept() -> None:
    short = shape(type="mask", points=[1, 2, 10, 10, 13, 11])  # 3 of 8 pixels
    long = shape(id=2, type="mask", points=[0, 50, 10, 10, 13, 11])
    broken = shape(id=3, type="mask", points=[10, 10, 13, 11])
    inverted = shape(id=4, type="mask", points=[1, 2, 13, 11, 10, 10])
    huge = shape(id=5, type="mask", points=[1, 2, 0, 0, 10**9, 10**9])
    outside = shape(id=6, type="mask", points=[0, 4, -1, -1, 0, 0])
    table, problems = convert(short, long, broken, inverted, huge, outside)
    assert table.annotation_id.tolist() == [1, 2, 3, 4, 5, 6]
    assert [m is None for m in table.mask] == [False, False, True, True, True, False]
    assert np.argwhere(pixels(table.mask[0], HW)).tolist() == [[10, 11], [10, 12]]
    assert pixels(table.mask[1], HW).sum() == 8
    assert np.argwhere(pixels(table.mask[5], HW)).tolist() == [[0, 0]]  # the part inside the picture
    assert [p.where for p in problems] == [f"job 1, shape {i}" for i in (1, 2, 3, 4, 5)]


def test_the_digest_sees_every_change_but_not_the_order_of_parts() -> None:
    a = shape(attributes=[{"spec_id": 1, "value": "x"}, {"spec_id": 2, "value": "y"}])
    turned = dict(reversed(list(shape(attributes=[a["attributes"][1], a["attributes"][0]], rotation=0).items())))
    assert digest_of(a) == digest_of(turned)
    others = [shape(points=[1.0, 2.0, 3.0, 4.5]), shape(occluded=True), shape(z_order=3), shape(label_id=2)]
    changed = [digest_of(o) for o in others] + [digest_of({**a, "attributes": a["attributes"][:1]})]
    assert len({digest_of(a), *changed}) == 6


def test_jobs_and_labels() -> None:
    raw = {"id": 7, "task_id": 4, "assignee": None, "stage": "annotation", "state": "new"}
    assert job_of(raw).assignee == ""
    assert job_of({**raw, "assignee": {"username": "ann"}}).assignee == "ann"
    listed = [{"id": 1, "name": "pose", "has_parent": False}, {"id": 2, "name": "head", "has_parent": True}]
    assert labels_of(listed) == {1: "pose"}
