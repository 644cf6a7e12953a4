from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from audit.core.annotations import ShapeType
from audit.errors import UsageError

from .conftest import Silent, picture, write_folder
from .samples import datumaro

NAME = "annotations/default.json"


def shape(kind: str, **more: object) -> dict[str, object]:
    return {"id": 0, "type": kind, "label_id": 0, "group": 0, "z_order": 0, "attributes": {"occluded": False}} | more


def test_items_without_annotations(read):
    snapshot = read({NAME: datumaro([])})
    assert snapshot.frames.name.tolist() == ["a.png", "b.png"] and len(snapshot.annotations) == 0
    assert snapshot.frames.width.tolist() == [40, 40] and snapshot.frames.height.tolist() == [30, 30]
    assert snapshot.labels == ("car", "pose")


def test_every_kind_of_shape(read):
    blob = np.zeros((30, 40), np.uint8)
    blob[2:5, 3:9] = 1
    packed = coco_mask.encode(np.asfortranarray(blob))
    rle = {"counts": packed["counts"].decode(), "size": [30, 40]}
    elements = [
        {"type": "points", "points": [5.0, 6.0], "visibility": [2], "label_id": 2},
        {"type": "points", "points": [99.0, 99.0], "visibility": [0], "label_id": 2},
    ]
    cube = [float(v) for v in range(16)]
    snapshot = read(
        {
            NAME: datumaro(
                [
                    shape("bbox", bbox=[1, 2, 3, 4], attributes={"occluded": True, "rotation": 0.0}),
                    shape("polygon", points=[0, 0, 4, 0, 4, 4]),
                    shape("polyline", points=[0, 0, 4, 0]),
                    shape("points", points=[7, 8], visibility=[2]),
                    shape("ellipse", points=[10, 10, 20, 16]),
                    shape("mask", rle=rle),
                    shape("cuboid_2d", points=[cube[i : i + 2] for i in range(0, 16, 2)]),
                    shape("skeleton", label_id=1, elements=elements),
                    shape("label"),
                    shape("caption"),
                ]
            )
        }
    )
    a = snapshot.annotations
    assert a.shape.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert a.xyxy[0].tolist() == [1, 2, 4, 6] and a.occluded[0]
    assert a.xyxy[4].tolist() == [10, 10, 20, 16]
    assert a.xyxy[5].tolist() == [3, 2, 9, 5]
    assert np.array_equal(coco_mask.decode({"size": [30, 40], "counts": a.mask[5]}), blob)
    assert len(a.points[6][0]) == 8 and a.xyxy[7].tolist() == [5, 6, 5, 6]
    assert "type 'caption'" in snapshot.notes[0]


def test_ids_are_the_files_if_they_tell_shapes_apart(read):
    box = [1, 2, 3, 4]
    assert read(
        {NAME: datumaro([shape("bbox", id=i, bbox=box) for i in (9, 4)])}
    ).annotations.annotation_id.tolist() == [
        9,
        4,
    ]


@pytest.mark.parametrize("ids", [(0, 0), (3, 3), (0, 1)])
def test_else_ids_are_positions(read, ids):
    shapes = [shape("bbox", id=i, bbox=[1, 2, 3, 4]) for i in ids]
    assert read({NAME: datumaro(shapes)}).annotations.annotation_id.tolist() == [1, 2]


@pytest.mark.parametrize(
    "bad",
    [
        shape("bbox", bbox=[1, 2]),
        shape("polygon", points=[1, 2, 3]),
        shape("mask", rle={"counts": [3], "size": [30, 40]}),
        shape("mask"),
        shape("ellipse", points=[1]),
        shape("skeleton", elements=[]),
        shape("skeleton", elements="x"),
    ],
)
def test_one_bad_shape_is_a_problem(read, bad):
    snapshot = read({NAME: datumaro([bad, shape("bbox", bbox=[1, 2, 3, 4])])})
    assert len(snapshot.annotations) == 1 and snapshot.problems[0].where == "a.png"


@pytest.mark.parametrize("label", [7, -1, None, "car"])
def test_an_unknown_label_is_an_error(read, label):
    with pytest.raises(UsageError, match=r"image 'a\.png', annotation 1: label id .* not declared"):
        read({NAME: datumaro([shape("bbox", bbox=[1, 2, 3, 4], label_id=label)])})


def test_a_points_label_gets_a_code_only_when_used(read):
    snapshot = read({NAME: datumaro([shape("points", label_id=2, points=[1, 2])])})
    assert snapshot.labels == ("car", "pose", "head") and snapshot.annotations.label.tolist() == [2]


def test_odd_items_are_problems_and_bad_numbers_nan(read):
    data = json.loads(datumaro([shape("bbox", bbox=["x", 2, 3, 4])]))
    data["items"] += [5, {"annotations": []}]
    snapshot = read({NAME: json.dumps(data)})
    assert np.isnan(snapshot.annotations.xyxy[0]).tolist() == [True, False, True, False]
    assert len(snapshot.problems) == 2 and len(snapshot.frames) == 2


def test_images_of_a_subset(opened, tmp_path):
    store = opened(write_folder(tmp_path / "d", {NAME: datumaro([]), "images/default/a.png": picture()}))
    snapshot = store.snapshot(Silent())
    assert [type(i).__name__ for i in store.images(snapshot, [0, 1])] == ["FrameImage", "FrameProblem"]


def test_a_rotated_box_is_one_rectangle(read):
    a = read({NAME: datumaro([shape("bbox", bbox=[10, 10, 20, 10], attributes={"rotation": 90.0})])}).annotations
    assert a.shape.tolist() == [ShapeType.RECTANGLE]
    np.testing.assert_allclose(a.xyxy[0], [15, 5, 25, 25])
