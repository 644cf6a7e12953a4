"""The demo's data: sound truth, honest mistakes, and an export that says what the list of mistakes says."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree

from audit.core.boxes import iou_matrix
from audit.core.findings import MODEL_FREE, FindingType
from audit.demo import export
from audit.demo.export import annotations_xml, labelled, planted, write_export
from audit.demo.scenes import LABELS, MISTAKES, SCENES, Scene, Shape
from audit.errors import UsageError

BY_NAME = {s.name: s for s in SCENES}


def iou(a: Shape, b: Shape) -> float:
    return float(iou_matrix(np.array([a.box], float), np.array([b.box], float))[0, 0])


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.name)
def test_true_boxes_lie_in_their_picture_and_use_the_projects_labels(scene: Scene) -> None:
    width, height = scene.size_wh
    for shape in scene.objects:
        x1, y1, x2, y2 = shape.box
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height, shape
        assert shape.label in LABELS


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.what)
def test_a_mistake_is_what_its_type_says(mistake: object) -> None:
    kind, was, now, scene = mistake.type, mistake.was, mistake.now, BY_NAME[mistake.image]
    assert was is None or was in scene.objects
    if kind is FindingType.MISSING_ANNOTATION:
        assert was is not None and now is None
    elif kind is FindingType.LOW_OVERLAP:
        assert was.label == now.label and 0.4 <= iou(was, now) <= 0.7
    elif kind is FindingType.MISMATCHING_LABEL:
        assert was.box == now.box and was.label != now.label and now.label in LABELS
    elif kind is FindingType.EXTRA_ANNOTATION:
        assert was is None and all(iou(now, o) < 0.2 for o in scene.objects)
    elif kind is FindingType.DUPLICATE_ANNOTATION:
        assert was.label == now.label and iou(was, now) > 0.9
    else:
        x1, y1, x2, y2 = now.box
        assert was is None and (x2 - x1) * (y2 - y1) == 0


def test_every_type_is_planted_and_some_mistakes_are_hard() -> None:
    assert {m.type for m in MISTAKES} == set(FindingType) - set(MODEL_FREE)  # these need many frames
    assert any(m.hard for m in MISTAKES)


def test_an_object_has_at_most_one_mistake() -> None:
    touched = [(m.image, m.was) for m in MISTAKES if m.was]
    assert len(touched) == len(set(touched))


def test_annotation_ids_are_positions_in_the_document() -> None:
    root = ElementTree.fromstring(annotations_xml())
    boxes = [(image.get("name"), box) for image in root.iter("image") for box in image.iter("box")]
    assert len(boxes) == sum(len(labelled(s)) for s in SCENES)
    for p in planted():
        m = p.mistake
        assert len(p.annotation_ids) == {"missing_annotation": 0, "duplicate_annotation": 2}.get(m.type.code, 1)
        if not m.now:
            continue
        name, box = boxes[p.annotation_ids[-1] - 1]
        corners = tuple(float(box.get(k)) for k in ("xtl", "ytl", "xbr", "ybr"))
        assert (name, box.get("label"), corners) == (m.image, m.now.label, m.now.box)


def test_the_zip_holds_labels_and_pictures_and_is_the_same_each_time(tmp_path: Path, pictures: None) -> None:
    write_export(tmp_path / "a.zip")
    write_export(tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert set(archive.namelist()) == {"annotations.xml", *(f"images/{s.name}" for s in SCENES)}
        assert archive.read("images/bus.jpg") == export.picture(BY_NAME["bus.jpg"])


@pytest.fixture
def pictures() -> None:
    """The photographs come with the extras. find_spec, since importing ultralytics takes seconds and patches Pillow."""
    missing = [p for p in {s.package for s in SCENES} if importlib.util.find_spec(p) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(UsageError, match=r"'no_such_package'.*extras"):
        export.picture(Scene("no_such_package", "assets/bus.jpg", (1, 1), ()))


def test_a_picture_that_the_package_lost_is_named(pictures: None) -> None:
    with pytest.raises(UsageError, match=r"gone\.png.*'skimage'"):
        export.picture(Scene("skimage", "data/gone.png", (1, 1), ()))


def test_another_picture_of_that_name_is_refused(pictures: None) -> None:
    with pytest.raises(UsageError, match="is 451 x 300 px, expected 10 x 20"):
        export.picture(Scene("skimage", "data/chelsea.png", (10, 20), ()))


def test_a_file_that_is_no_picture_is_refused(pictures: None) -> None:
    with pytest.raises(UsageError, match=r"README\.txt of 'skimage' is not an image"):
        export.picture(Scene("skimage", "data/README.txt", (10, 20), ()))


def test_only_an_export_of_its_own_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "picture", lambda scene: b"photo")
    path = tmp_path / "demo-export.zip"
    write_export(path)
    first = path.read_bytes()
    write_export(path)
    assert path.read_bytes() == first
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", "mine")
    for mine in (path.read_bytes(), b"no zip", b""):
        path.write_bytes(mine)
        with pytest.raises(UsageError, match="a file that the demo did not make"):
            write_export(path)
        assert path.read_bytes() == mine
