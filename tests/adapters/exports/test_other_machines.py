"""Exports that name their images by paths of the machine that made them."""

from __future__ import annotations

import json

import pytest

from .conftest import Silent, picture, write_folder
from .samples import YOLO, coco

LABELS = {"labels/train/a.txt": "0 .5 .5 .5 .5", "labels/val/a.txt": "0 .5 .5 .5 .5\n0 .2 .2 .1 .1"}
IMAGES = {"images/train/a.png": picture(40, 30), "images/val/a.png": picture(20, 10)}


@pytest.mark.parametrize("root", ["/content/set/", "C:\\data\\set\\", "../", "/"])
def test_images_of_coco_are_found_by_the_end_of_their_path(opened, tmp_path, root):
    data = coco([])
    names = ["images/train/a.png", "images/val/a.png", "gone/b.png"]
    data["images"] = [{"id": i, "file_name": root + n, "width": 0, "height": 0} for i, n in enumerate(names)]
    files = IMAGES | {"annotations/instances.json": json.dumps(data)}
    store = opened(write_folder(tmp_path / "e", files))
    train, val, gone = store.images(store.snapshot(Silent()), [0, 1, 2])
    assert (train.data, val.data) == (IMAGES["images/train/a.png"], IMAGES["images/val/a.png"])
    assert "leads out" in gone.reason


def test_an_end_that_several_images_share_is_not_guessed(opened, tmp_path):
    data = coco([])
    data["images"] = [{"id": 1, "file_name": "/other/a.png", "width": 0, "height": 0}]
    store = opened(write_folder(tmp_path / "e", IMAGES | {"annotations/instances.json": json.dumps(data)}))
    (found,) = store.images(store.snapshot(Silent()), [0])
    assert "2 image files are called 'a.png'" in found.reason


@pytest.mark.parametrize("root", ["/content/set/", "D:/set/"])
def test_lists_of_yolo_are_read_where_their_paths_end_alike(read, root):
    lists = {"train.txt": f"{root}images/train/a.png\n", "val.txt": f"{root}images/val/a.png\n"}
    yaml = f"path: {root}\ntrain: {root}train.txt\nval: {root}val.txt\nnames: [car]\n"
    snapshot = read(IMAGES | LABELS | lists | {"data.yaml": yaml})
    assert snapshot.frames.name.tolist() == ["images/train/a.png", "images/val/a.png"]
    assert snapshot.frames.width.tolist() == [40, 20] and snapshot.annotations.frame.tolist() == [0, 1, 1]
    assert snapshot.problems == ()


def test_folders_of_yolo_are_read_where_their_paths_end_alike(read):
    yaml = "train: /content/set/images/train\nval: /content/set/images/val\nnames: [car]\n"
    snapshot = read(IMAGES | LABELS | {"data.yaml": yaml})
    assert snapshot.frames.name.tolist() == ["images/train/a.png", "images/val/a.png"] and snapshot.problems == ()


def test_labels_are_found_though_the_images_lie_elsewhere(opened, tmp_path):
    lists = {"train.txt": "/content/set/images/train/a.png\n", "data.yaml": YOLO}
    export = write_folder(tmp_path / "e", lists | LABELS)
    store = opened(export, images=write_folder(tmp_path / "i", {"train/a.png": picture(40, 30)}))
    snapshot = store.snapshot(Silent())
    assert len(snapshot.annotations) == 1 and [i.data for i in store.images(snapshot, [0])] == [picture(40, 30)]
