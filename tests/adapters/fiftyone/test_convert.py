"""Shapes and findings as FiftyOne's labels, without a database."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.adapters.fiftyone import convert, shapes
from audit.adapters.fiftyone.convert import ByFrame
from audit.core.annotations import Annotations, Frames, Predictions, ShapeType, Snapshot
from audit.core.findings import Findings, FindingType
from tests.adapters.fiftyone import runs

SIZE = (200, 100)


def one_frame(labels: tuple[str, ...] = ("car",), link: str = "") -> Snapshot:
    frames = Frames(name=["a.jpg"], number=[3], width=[200], height=[100], task=[1], job=[2], path=["/a.jpg"])
    return Snapshot("test", labels, frames, Annotations(), link=link)


def drawn(shape: ShapeType, points: Any, box: list[float]) -> dict[str, Any]:
    rows = Annotations(xyxy=[box], frame=[0], label=[0], annotation_id=[5], shape=[shape], points=[points])
    return convert.annotation_fields(one_frame(), rows, "k", SIZE)


def test_nothing_gives_empty_fields() -> None:
    seen = one_frame()
    fields = convert.annotation_fields(seen, Annotations(), "k", SIZE)
    fields |= convert.prediction_fields(seen, [], Predictions(), "k", SIZE)
    fields |= convert.finding_fields(seen, Findings(), Predictions(), "k", SIZE, {})
    lists = [v for f in fields.values() if isinstance(f, dict) for k, v in f.items() if k != "_cls"]
    assert lists == [[]] * 7
    assert (fields["finding_count"], fields["worst_score"]) == (0, None)


@pytest.mark.parametrize(("frame", "expected"), [([], [[], []]), ([1, 0, 1], [[1], [0, 2]]), ([-1, 1], [[], [1]])])
def test_rows_are_grouped_by_frame(frame: list[int], expected: list[list[int]]) -> None:
    groups = ByFrame.of(np.array(frame, np.int64), 2)
    assert [groups.rows(i).tolist() for i in range(2)] == expected


def test_keys_of_frames_are_stable_and_unique_even_for_twins() -> None:
    frames = Frames(name=["a", "a", "b"], number=[0, 0, 0])
    twins = Snapshot("s", (), frames, Annotations())
    assert len(set(convert.frame_keys(twins))) == 3
    assert convert.frame_keys(twins) == convert.frame_keys(twins)


def test_a_box_becomes_fractions_of_the_picture() -> None:
    label = drawn(ShapeType.RECTANGLE, None, [20, 10, 120, 60])["annotations"]["detections"][0]
    assert label["bounding_box"] == [0.1, 0.1, 0.5, 0.5]
    assert (label["label"], label["annotation_id"], label["shape"]) == ("car", 5, "rectangle")


def test_swapped_corners_are_put_in_order_and_what_is_no_number_is_not_drawn() -> None:
    label = drawn(ShapeType.RECTANGLE, None, [120, 60, 20, 10])["annotations"]["detections"][0]
    assert label["bounding_box"] == [0.1, 0.1, 0.5, 0.5]
    nowhere = drawn(ShapeType.POLYGON, (np.full((3, 2), np.nan),), [np.nan] * 4)
    assert nowhere["annotations"]["detections"] == nowhere["annotation_outlines"]["polylines"] == []


@pytest.mark.parametrize(
    ("shape", "field", "inner", "closed"),
    [
        (ShapeType.POLYGON, "annotation_outlines", "polylines", True),
        (ShapeType.ELLIPSE, "annotation_outlines", "polylines", True),
        (ShapeType.RECTANGLE, "annotation_outlines", "polylines", True),
        (ShapeType.POLYLINE, "annotation_outlines", "polylines", False),
        (ShapeType.POINTS, "annotation_points", "keypoints", None),
        (ShapeType.SKELETON, "annotation_points", "keypoints", None),
        (ShapeType.CUBOID, "annotation_points", "keypoints", None),
    ],
)
def test_every_shape_is_drawn(shape: ShapeType, field: str, inner: str, closed: bool | None) -> None:
    points = (np.array([[0.0, 0], [200, 0], [200, 100]]),)
    labels = drawn(shape, points, [0, 0, 200, 100])[field][inner]
    assert len(labels) == 1
    corners = labels[0]["points"][0] if closed is not None else labels[0]["points"]
    assert corners == [[0, 0], [1, 0], [1, 1]]
    assert labels[0].get("closed") == closed


def test_tags_are_kept_apart_from_what_has_a_place() -> None:
    fields = drawn(ShapeType.TAG, None, [0, 0, 0, 0])
    assert [t["label"] for t in fields["annotation_tags"]["classifications"]] == ["car"]
    assert fields["annotations"]["detections"] == []


def test_a_mask_is_cropped_to_the_box_it_fills(tmp_path: Path) -> None:
    seen = runs.snapshot(tmp_path)
    predicted = runs.predictions()
    on_frame = predicted[predicted.frame == 1]
    fields = convert.prediction_fields(seen, ["m"], on_frame, "k", (1280, 720))
    label = next(d for d in fields["predictions"]["detections"] if "mask" in d)
    mask = np.load(BytesIO(zlib.decompress(label["mask"])))
    assert mask.shape == (710 - 197, 1111 - 123)
    assert not mask[0, 0] and mask[-1, -1]
    assert label["bounding_box"][0] == pytest.approx(123 / 1280)


def test_only_the_best_predictions_are_shown_best_first() -> None:
    n = convert.MAX_PREDICTIONS + 5
    rows = Predictions(xyxy=np.tile([0.0, 0, 9, 9], (n, 1)), label=np.zeros(n, int), score=np.linspace(0, 1, n))
    labels = convert.prediction_fields(one_frame(), ["m"], rows, "k", SIZE)["predictions"]["detections"]
    scores = [d["confidence"] for d in labels]
    assert len(scores) == convert.MAX_PREDICTIONS
    assert scores == sorted(scores, reverse=True)
    assert len({d["_id"] for d in labels}) == len(labels)


def test_a_finding_stands_around_its_shape_and_is_always_to_be_seen() -> None:
    nan = np.full(4, np.nan)
    shape = np.array([50.0, 40, 80, 60])
    x1, y1, x2, y2 = shapes.finding_box(shape, nan, SIZE)
    assert (x1 < 50, y1 < 40, x2 > 80, y2 > 60) == (True,) * 4
    assert shapes.finding_box(nan, shape, SIZE).tolist() == [x1, y1, x2, y2]
    outside = np.array([900.0, 900, 950, 950])
    for box in (nan, outside, np.array([np.inf, 0, 1, 1])):
        assert shapes.finding_box(box, nan, SIZE).tolist() == [0, 0, 200, 100]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FindingType.MISSING_ANNOTATION, "Missing label: truck"),
        (FindingType.MISMATCHING_LABEL, "Wrong label: car, rather truck"),
        (FindingType.LOW_OVERLAP, "Low IoU: car"),
        (FindingType.INVALID_SHAPE, "Invalid shape: car"),
    ],
)
def test_the_line_beside_a_finding(kind: FindingType, expected: str) -> None:
    assert convert.shown_as(kind, "car", "truck") == expected


def test_a_long_label_is_shortened_in_the_line_only() -> None:
    long = "x" * 10_000
    rows = Findings(type=[1], frame=[0], score=[0.5], label=[0], id=["f"], xyxy=[[0, 0, 9, 9]])
    label = convert.finding_fields(one_frame((long,)), rows, Predictions(), "k", SIZE, {})["findings"]["detections"][0]
    assert len(label["label"]) < 100
    assert label["existing_label"] == long


def test_a_person_s_additions_to_a_label_are_kept_and_our_old_facts_are_not() -> None:
    old = [{"_id": 1, "tags": ["look"], "decision": "accept", "mine": 5, "iou": 0.1, "mask": b"old", "label": "old"}]
    new = [{"_id": 1, "tags": [], "label": "new", "iou": 0.2}, {"_id": 2, "tags": [], "label": "other"}]
    assert convert.kept(new, old) == [
        {"_id": 1, "tags": ["look"], "decision": "accept", "mine": 5, "iou": 0.2, "label": "new"},
        {"_id": 2, "tags": [], "label": "other"},
    ]
