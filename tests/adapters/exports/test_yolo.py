from __future__ import annotations

import numpy as np
import pytest

from audit.core.annotations import ShapeType
from audit.errors import UsageError

from .conftest import Silent, picture
from .samples import YOLO


def export(lines: str = "", **more: bytes | str) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {
        "data.yaml": YOLO,
        "train.txt": "images/train/a.png\nimages/train/b.png\n",
        "images/train/a.png": picture(40, 30),
        "images/train/b.png": picture(20, 10),
        "labels/train/a.txt": lines,
    }
    return files | more


def test_frames_without_labels(read, stored):
    snapshot = read(stored(export()))
    assert snapshot.frames.name.tolist() == ["images/train/a.png", "images/train/b.png"]
    assert snapshot.frames.width.tolist() == [40, 20] and len(snapshot.annotations) == 0
    assert snapshot.labels == ("car", "no: 1")


def test_detection(read, stored):
    a = read(stored(export("1 0.5 0.5 0.5 0.2\n\n0 0.25 0.5 0.1 0.2 17\n"))).annotations
    np.testing.assert_allclose(a.xyxy, [[10, 12, 30, 18], [8, 12, 12, 18]])
    assert a.label.tolist() == [1, 0] and a.annotation_id.tolist() == [1, 2]


def test_segmentation_and_obb_are_polygons(read):
    a = read(export("0 0 0 0.5 0 0.5 0.5\n0 0 0 0.5 0 0.5 0.5 0 0.5\n")).annotations
    assert a.shape.tolist() == [ShapeType.POLYGON] * 2
    np.testing.assert_allclose(a.points[1][0], [[0, 0], [20, 0], [20, 15], [0, 15]])
    np.testing.assert_allclose(a.xyxy[0], [0, 0, 20, 15])


def test_pose_is_a_skeleton_with_its_stated_box(read):
    files = export("0 0.5 0.5 0.5 0.5 0.5 0.5 2 0 0 0\n") | {"data.yaml": YOLO + "kpt_shape: [2, 3]\n"}
    a = read(files).annotations
    assert a.shape.tolist() == [ShapeType.SKELETON] and a.points[0][0].tolist() == [[20, 15]]
    np.testing.assert_allclose(a.xyxy[0], [10, 7.5, 30, 22.5])


def test_splits_given_as_folders_and_one_folder_up(read):
    yaml = "train: ../train/images\nval: nowhere\nnames: [car]\n"
    files = {"data.yaml": yaml, "train/images/a.png": picture(), "train/labels/a.txt": "0 .5 .5 .5 .5"}
    snapshot = read(files)
    assert snapshot.frames.name.tolist() == ["train/images/a.png"] and len(snapshot.annotations) == 1
    assert snapshot.problems[0].where == "val: nowhere"


@pytest.mark.parametrize("line", ["x 0.5 0.5 0.1 0.1", "0", "0 0.5 0.5", "0 1 2 3 4 5 6 7", "1.5 0.1 0.1 0.1 0.1"])
def test_a_bad_line_is_a_problem_with_its_number(read, line):
    snapshot = read(export(f"{line}\n0 0.5 0.5 0.5 0.5\n"))
    assert len(snapshot.annotations) == 1
    assert snapshot.problems[0].where == "labels/train/a.txt line 1"


@pytest.mark.parametrize("word", ["nan", "inf", "abc"])
def test_a_coordinate_that_is_no_number_becomes_nan(read, word):
    assert np.isnan(read(export(f"0 {word} 0.5 0.5 0.5")).annotations.xyxy[0]).tolist() == [True, False, True, False]


def test_an_unknown_class_names_image_line_and_classes(read):
    with pytest.raises(UsageError, match=r"image 'images/train/a\.png', labels/train/a\.txt line 1: class 7"):
        read(export("7 0.5 0.5 0.5 0.5"))


@pytest.mark.parametrize("broken", [b"", b"not an image", picture()[:20]])
def test_an_image_whose_size_cannot_be_read_is_skipped(read, broken):
    snapshot = read(export("0 .5 .5 .5 .5") | {"images/train/a.png": broken})
    assert snapshot.frames.name.tolist() == ["images/train/b.png"] and len(snapshot.annotations) == 0
    assert snapshot.problems[0].where == "images/train/a.png"


def test_a_listed_image_that_is_missing_is_a_problem(read):
    snapshot = read(export() | {"train.txt": "images/train/a.png\nimages/train/zzz.png\n"})
    assert len(snapshot.frames) == 1 and "was not found" in snapshot.problems[0].reason


def test_without_any_image_sizes_are_unknown_so_it_says_what_to_do(read):
    files = {k: v for k, v in export().items() if not k.endswith(".png")}
    with pytest.raises(UsageError, match="--images"):
        read(files)


def test_images_elsewhere(read, tmp_path):
    files = {k: v for k, v in export("0 .5 .5 .5 .5").items() if not k.endswith(".png")}
    (tmp_path / "elsewhere").mkdir()
    for name in "ab":
        (tmp_path / "elsewhere" / f"{name}.png").write_bytes(picture(40, 30))
    assert read(files, images=tmp_path / "elsewhere").annotations.xyxy.tolist() == [[10, 7.5, 30, 22.5]]


@pytest.mark.parametrize("place", ["../../etc/passwd.txt", "/etc/passwd.txt"])
def test_a_list_never_reaches_outside(read, tmp_path, place):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd.txt").write_text("images/train/a.png\n")
    with pytest.raises(UsageError, match="names an image"):
        read(export() | {"data.yaml": f"train: {place}\nnames: [car]\n"})


def test_an_image_name_that_climbs_out_is_refused(read, tmp_path):
    (tmp_path / "secret.png").write_bytes(picture())
    snapshot = read(export() | {"train.txt": "images/train/a.png\n../secret.png\n"})
    assert len(snapshot.frames) == 1 and "leads out" in snapshot.problems[0].reason


@pytest.mark.parametrize("names", ["names: 5", "names: {a: b}", "names: [[1]]", "names: []"])
def test_names_that_are_no_names(read, names):
    with pytest.raises(UsageError, match="names"):
        read(export() | {"data.yaml": f"train: train.txt\n{names}\n"})


def test_images_are_handed_out_by_the_listed_name(opened, stored):
    store = opened(stored(export()))
    snapshot = store.snapshot(Silent())
    assert [i.data for i in store.images(snapshot, [1, 0])] == [picture(20, 10), picture(40, 30)]
