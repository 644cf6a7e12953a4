from __future__ import annotations

import json

import pytest

from audit.errors import UsageError

from .conftest import picture, write_folder, write_zip
from .samples import YOLO, box, coco, coco_shape, coco_text, cvat_xml, datumaro, image

XML = cvat_xml(image(0, box(1, 2, 3, 4)))
VIDEO = cvat_xml('<track id="0" label="car"></track>', mode="interpolation")
EXPORTS = {
    "cvat-images": {"annotations.xml": XML},
    "cvat-video": {"annotations.xml": VIDEO},
    "coco": {"annotations/instances_default.json": coco_text(coco_shape())},
    "datumaro": {"annotations/default.json": datumaro([])},
    "yolo": {"data.yaml": YOLO, "train.txt": "images/a.png\n", "images/a.png": picture()},
}


@pytest.mark.parametrize("name", EXPORTS)
def test_each_format_is_told_from_its_content(opened, stored, name):
    assert opened(stored(EXPORTS[name])).format == name


@pytest.mark.parametrize("name", EXPORTS)
def test_one_folder_further_down_in_a_zip(read, tmp_path, name):
    path = write_zip(tmp_path / "deep.zip", {f"my export/{k}": v for k, v in EXPORTS[name].items()})
    assert len(read(path).frames) > 0


@pytest.mark.parametrize("name", EXPORTS)
def test_the_annotation_file_itself(opened, tmp_path, name):
    member = next(iter(EXPORTS[name]))
    write_folder(tmp_path / "e", EXPORTS[name] | {"other.xml": XML, "junk.json": "{"})
    assert opened(tmp_path / "e" / member).format == name


def test_a_video_without_tracks_is_told_by_its_mode(opened, tmp_path):
    empty = cvat_xml("", mode="interpolation")
    assert opened(write_folder(tmp_path / "v", {"annotations.xml": empty})).format == "cvat-video"


def test_an_empty_folder_says_what_was_looked_for(opened, tmp_path):
    with pytest.raises(UsageError) as error:
        opened(write_folder(tmp_path, {"readme.md": "hello"}))
    for word in (["annotations", "xml"][0], "data.yaml", "found no .xml", "cvat-images, cvat-video, coco, datumaro"):
        assert word in str(error.value)


def test_files_of_other_kinds_are_named(opened, tmp_path):
    files = {"a.json": '{"x": 1}', "results.json": "[]", "b.xml": "<html/>"}
    with pytest.raises(UsageError, match=r"found a\.json, b\.xml, results\.json; .*expected <annotations>.*<html>"):
        opened(write_folder(tmp_path / "e", files))


def test_two_formats_at_once_ask_for_one(opened, read, tmp_path):
    path = write_folder(tmp_path / "e", EXPORTS["cvat-images"] | EXPORTS["coco"])
    with pytest.raises(UsageError, match="holds coco and cvat-images at once; say which with --format"):
        opened(path)
    assert opened(path, format="coco").format == "coco"
    assert len(read(path, format="cvat-images").annotations) == 1


def test_a_format_that_is_not_there(opened, tmp_path):
    with pytest.raises(UsageError, match="is not --format yolo"):
        opened(write_folder(tmp_path / "e", EXPORTS["coco"]), format="yolo")
    with pytest.raises(UsageError, match="expected one of cvat-images, cvat-video, coco, datumaro, yolo"):
        opened(tmp_path / "e", format="voc")


def test_rival_files_ask_for_one(opened, tmp_path):
    with pytest.raises(UsageError, match="2 files look like cvat-images"):
        opened(write_folder(tmp_path / "e", {"one.xml": XML, "two.xml": XML}))
    assert opened(tmp_path / "e" / "one.xml").format == "cvat-images"


def test_keypoints_and_captions_beside_instances_are_left_alone(read):
    other = json.dumps(coco([], images=1))
    files = {"annotations/instances_a.json": coco_text(coco_shape()), "annotations/captions_a.json": other}
    assert len(read(files).frames) == 2


@pytest.mark.parametrize("name", ["", "gone.zip", "gone.json"])
def test_a_path_that_is_not_there(opened, tmp_path, name):
    with pytest.raises(UsageError):
        opened(tmp_path / "nothing" / name)
