from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from audit.core.annotations import ShapeType
from audit.errors import UsageError

from .conftest import Silent, picture, write_folder
from .samples import coco, coco_shape, coco_text

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "exports"
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
NAME = "annotations/instances_default.json"


def bitmap() -> np.ndarray:
    shape = np.zeros((30, 40), np.uint8)
    shape[3:9, 5:12] = 1
    shape[20, 39] = 1
    return shape


def runs(shape: np.ndarray) -> list[int]:
    flat = shape.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]]).astype(int)))
    return np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()


def test_no_annotations_is_an_empty_table(read):
    snapshot = read({NAME: coco_text()})
    assert len(snapshot.frames) == 2 and len(snapshot.annotations) == 0
    assert snapshot.labels == ("car", "person")
    assert snapshot.frames.number.tolist() == [0, 1] and snapshot.frames.image_id.tolist() == [10, 11]


def test_no_images_is_an_error(read):
    with pytest.raises(UsageError, match="expected images, but its list of them is empty"):
        read({NAME: json.dumps(coco([], images=0))})


def test_an_empty_segmentation_is_a_rectangle(read):
    a = read({NAME: coco_text(coco_shape(id=77))}).annotations
    assert a.xyxy.tolist() == [[1, 2, 4, 6]] and a.shape.tolist() == [ShapeType.RECTANGLE]
    assert a.annotation_id.tolist() == [77] and a.label.tolist() == [0] and a.points[0] is None


def test_sections_may_come_in_any_order(read):
    data = coco([coco_shape()])
    backwards = {key: data[key] for key in ("annotations", "images", "categories")}
    assert len(read({NAME: json.dumps(backwards)}).annotations) == 1


def test_a_polygon_of_several_parts_keeps_its_parts_and_its_stated_box(read):
    parts = [[1, 1, 5, 1, 5, 5], [10, 10, 12, 10, 12, 12, 10, 12]]
    a = read({NAME: coco_text(coco_shape(segmentation=parts))}).annotations
    assert [len(ring) for ring in a.points[0]] == [3, 4]
    assert a.shape.tolist() == [ShapeType.POLYGON] and a.xyxy.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_mask_decodes_to_the_same_pixels(read, compressed):
    packed = coco_mask.encode(np.asfortranarray(bitmap()))
    counts = packed["counts"].decode() if compressed else runs(bitmap())
    a = read({NAME: coco_text(coco_shape(segmentation={"size": [30, 40], "counts": counts}, iscrowd=1))}).annotations
    assert a.crowd.tolist() == [True] and a.shape.tolist() == [ShapeType.MASK]
    assert np.array_equal(coco_mask.decode({"size": [30, 40], "counts": a.mask[0]}), bitmap())


def test_crowds_and_keypoints_are_counted(read):
    rle = {"size": [30, 40], "counts": [1200]}
    items = [coco_shape(iscrowd=1, segmentation=rle), coco_shape(id=2, keypoints=[1, 2, 2], num_keypoints=1)]
    notes = read({NAME: coco_text(*items)}).notes
    assert any(n.startswith("1 shapes are marked iscrowd") for n in notes)
    assert any(n.startswith("1 shapes carry keypoints") for n in notes)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [30, 40], "counts": [5, 5]},
        {"size": [30, 41], "counts": [1230]},
        {"size": [30, 40], "counts": [-5, 1205]},
        {"size": [30, 40], "counts": [0.5, 1199.5]},
        {"size": [30, 40], "counts": "~~~~"},
        {"size": [30, 40], "counts": "PPPP"},
        {"size": [30, 40], "counts": ""},
        {"size": [30, 40], "counts": "ünï"},
        {"size": [30, 40]},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": "big", "counts": [1200]},
        {"counts": [1200]},
        [[1, 2, 3]],
        [[]],
        "polygon",
    ],
)
def test_a_broken_segmentation_leaves_the_box_and_a_problem(read, segmentation):
    snapshot = read({NAME: coco_text(coco_shape(segmentation=segmentation), coco_shape(id=2))})
    assert snapshot.annotations.shape.tolist() == [ShapeType.RECTANGLE] * 2
    assert snapshot.annotations.xyxy.tolist() == [[1, 2, 4, 6]] * 2
    assert "annotation 1" in snapshot.problems[0].reason and snapshot.problems[0].where == "0.png"


def test_nan_and_infinity_become_nan_boxes(read):
    text = coco_text(coco_shape(bbox=[float("nan"), 2, 3, float("-inf")]), coco_shape(id=2, bbox=["x", 2, 3, None]))
    assert "NaN" in text and "-Infinity" in text
    boxes = read({NAME: text}).annotations.xyxy
    assert np.isnan(boxes).tolist() == [[True, False, True, True]] * 2


def test_negative_sizes_stay_swapped_corners(read):
    assert read({NAME: coco_text(coco_shape(bbox=[10, 10, -4, -5]))}).annotations.xyxy.tolist() == [[10, 10, 6, 5]]


def test_an_unknown_category_names_image_and_category(read):
    with pytest.raises(UsageError, match=r"image '0\.png', annotation 1: category id 9 is not declared .*3, 5"):
        read({NAME: coco_text(coco_shape(category_id=9))})


def test_a_wrong_image_id_is_a_problem(read):
    snapshot = read({NAME: coco_text(coco_shape(image_id=999), coco_shape(id=2))})
    assert snapshot.annotations.annotation_id.tolist() == [2]
    assert "names image id 999" in snapshot.problems[0].reason


def test_repeated_ids(read):
    data = coco([coco_shape(), coco_shape(image_id=11)])
    data["images"].append({"id": 10, "file_name": "again.png"})
    snapshot = read({NAME: json.dumps(data)})
    assert len(snapshot.annotations) == 2 and len(snapshot.frames) == 2
    assert "stands for several shapes" in snapshot.notes[0]
    assert snapshot.problems[0].where == "image 'again.png'"


def test_entries_that_are_no_objects_are_problems(read):
    data = coco([coco_shape(), 5, None, []])
    data["images"] += [7, {"id": None, "file_name": "x.png"}]
    snapshot = read({NAME: json.dumps(data)})
    assert len(snapshot.annotations) == 1 and len(snapshot.problems) == 5


def test_a_million_problems_do_not_become_a_million_lines(read):
    snapshot = read({NAME: coco_text(*[coco_shape(id=i, image_id=5) for i in range(1200)])})
    assert len(snapshot.problems) == 501 and "700 further" in snapshot.problems[-1].reason


def test_subsets_in_files_of_their_own(opened, tmp_path):
    first, second = coco([coco_shape()]), coco([coco_shape(category_id=8)])
    second["categories"] = [{"id": 8, "name": "person"}]
    files = {
        "annotations/instances_Train.json": json.dumps(first),
        "annotations/instances_Val.json": json.dumps(second),
    }
    files |= {"images/Train/0.png": picture(41), "images/Val/0.png": picture(42)}
    store = opened(write_folder(tmp_path / "c", files))
    snapshot = store.snapshot(Silent())
    assert snapshot.frames.number.tolist() == [0, 1, 2, 3]
    assert snapshot.annotations.frame.tolist() == [0, 2] and snapshot.annotations.label.tolist() == [0, 1]
    found = [item.path.parent.name for item in store.images(snapshot, [0, 2])]
    assert found == ["Train", "Val"]  # the same name in two subsets


def test_the_recorded_export_of_a_real_server(read):
    snapshot = read(GOLDEN / "cvat-2.73-task-coco.zip")
    a = snapshot.annotations
    assert len(snapshot.frames) == 6 and a.annotation_id.tolist() == list(range(1, 9))
    assert a.rotation[2] == 30 and len(a.points[2][0]) == 4
    areas = [int(coco_mask.area({"size": [240, 320], "counts": m})) for m in a.mask[3:5]]
    assert areas == [3883, 16]  # as the file states


@pytest.mark.parametrize("name, size", [("coco128-permissive", (33, 246)), ("bccd143", (143, 2048))])
@pytest.mark.skipif(not DATA.exists(), reason="extra: needs ../shared/data")
def test_real_data_sets_agree_with_pycocotools(opened, name, size):
    store = opened(DATA / name)
    snapshot, oracle = store.snapshot(Silent()), COCO(str(DATA / name / "annotations.json"))
    a, frames = snapshot.annotations, snapshot.frames
    assert (len(frames), len(a)) == size == (len(oracle.imgs), len(oracle.anns))
    for row in range(len(a)):
        ann = oracle.anns[int(a.annotation_id[row])]
        assert frames.image_id[a.frame[row]] == ann["image_id"]
        assert snapshot.labels[a.label[row]] == oracle.cats[ann["category_id"]]["name"]
        x, y, w, h = ann["bbox"]
        np.testing.assert_allclose(a.xyxy[row], [x, y, x + w, y + h])
        assert a.crowd[row] == bool(ann["iscrowd"])
        if a.mask[row]:
            hw = [int(frames.height[a.frame[row]]), int(frames.width[a.frame[row]])]
            assert np.array_equal(coco_mask.decode({"size": hw, "counts": a.mask[row]}), oracle.annToMask(ann))
    assert store.has_images() and not snapshot.problems
    items = list(store.images(snapshot, range(len(frames))))
    assert all(item.path.name == Path(frames.name[item.frame]).name for item in items)
