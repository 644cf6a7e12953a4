"""cvat-audit prelabel with a function file, and on an export: through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.errors import UsageError
from tests.annotating.scene import CAR, PERSON, Scene, invoke, photos, xyxy

FUNCTION = """
import cvat_sdk.auto_annotation as cvataa

class Function:
    def __init__(self, score):
        parts = [cvataa.keypoint_spec("head", 0)]
        self.spec = cvataa.DetectionFunctionSpec(labels=[
            cvataa.label_spec("car", 7, type="rectangle"), cvataa.label_spec("person", 9),
            cvataa.skeleton_label_spec("body", 11, parts)])
        self.score = score

    def detect(self, context, image):
        if context.frame_name == "001.jpg":
            raise ValueError("no mood for this one")
        ring = [20, 30, 100, 30, 100, 90, 20, 90]
        return [cvataa.rectangle(7, [120, 120, 170, 160], score=self.score), cvataa.polygon(9, ring, score=0.8),
                cvataa.skeleton(11, [cvataa.keypoint(0, [5, 5])], score=0.9)]

def create(score=0.5):
    return Function(score)
"""


def test_a_function_file_as_for_cvat_cli(scene: Scene) -> None:
    path = scene.folder / "function.py"
    path.write_text(FUNCTION)
    options = ("--function-file", path, "-p", "score=float:0.75", "--as", "polygon")
    done = scene.call("prelabel", *options, "--yes")
    assert done.exit_code == 1, done.output
    assert "conflict 5 x the model gives no mask of it" in done.stdout
    assert "the function failed: ValueError: no mood for this one" in done.stderr
    assert "body" not in done.output  # the task has no such label
    assert {s["frame"] for s in scene.shapes()} == {0, 2, 3, 4, 5}
    person = scene.server.labels(scene.task)["person"]
    assert {(s["type"], s["label_id"], s["score"]) for s in scene.shapes()} == {("polygon", person, 0.8)}
    boxes = scene.call("prelabel", *options[:4], "--as", "rectangle", "--replace-auto", "--yes", "--json")
    assert boxes.exit_code == 0, boxes.output
    assert sorted((s["points"], s["score"]) for s in scene.shapes(0)) == [
        (xyxy(PERSON), 0.8), ([120.0, 120.0, 170.0, 160.0], 0.75)
    ]  # fmt: skip


def test_a_file_that_is_no_function_is_told(scene: Scene) -> None:
    path = scene.folder / "function.py"
    for text, options, words in (
        ("spec = 1", (), "is not a detection function"),
        ("import nothing_of_that_name", (), "cannot be loaded"),
        (FUNCTION, ("-p", "colour=str:red"), "create cannot be called so"),
    ):
        path.write_text(text)
        done = scene.call("prelabel", "--function-file", path, *options)
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)
    assert scene.call("prelabel", "--function-file", path, "-p", "score=0.5").exit_code == 2


def test_an_export_gets_a_pre_labelled_copy(tmp_path: Path, export: Path) -> None:
    results = tmp_path / "results.json"
    rows = [{"image_id": 10 + i, "category_id": 1, "bbox": PERSON, "score": 0.9} for i in range(4)]
    results.write_text(json.dumps(rows))
    out = tmp_path / "out"
    before = (export / "annotations.json").read_bytes()
    dry = invoke("prelabel", export, "--predictions", results, "--out", out)
    assert (dry.exit_code, (out / "corrected.json").exists()) == (0, False), dry.output
    done = invoke("prelabel", export, "--predictions", results, "--out", out, "--yes")
    assert done.exit_code == 0, done.output
    body = json.loads((out / "corrected.json").read_text())
    assert [(a["image_id"], a["bbox"]) for a in body["annotations"]] == [(10, CAR), (11, PERSON), (12, PERSON)]
    assert "undo" not in done.stdout
    assert (export / "annotations.json").read_bytes() == before
    assert isinstance(
        invoke("prelabel", export, "--predictions", results, "--out", out, "--replace-auto").exception, UsageError
    )


def test_nothing_of_an_export_or_of_a_foreign_folder_is_overwritten(tmp_path: Path, export: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps([{"image_id": 11, "category_id": 1, "bbox": PERSON, "score": 0.9}]))
    files = {p: p.read_bytes() for p in export.rglob("*") if p.is_file()}
    into = invoke("prelabel", export, "--predictions", results, "--out", export, "--yes")
    assert "is what is to be read" in str(into.exception)
    # the same export under the name that the copy would get
    (export / "annotations.json").rename(export / "corrected.json")
    beside = invoke(
        "prelabel", export / "corrected.json", "--images", export / "images", "--predictions", results, "--out", export,
        "--yes",
    )  # fmt: skip
    assert "corrected.json that cvat-audit did not make" in str(beside.exception)
    (export / "corrected.json").rename(export / "annotations.json")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "corrected.json").write_text("somebody's")
    foreign = invoke("prelabel", export, "--predictions", results, "--out", theirs, "--yes")
    assert isinstance(foreign.exception, UsageError)
    assert [p.name for p in theirs.iterdir()] == ["corrected.json"]
    (theirs / "corrected.json").rename(theirs / "notes.json")
    assert invoke("prelabel", export, "--predictions", results, "--out", theirs, "--yes").exit_code == 0
    assert (theirs / "notes.json").read_text() == "somebody's"
    assert {p: p.read_bytes() for p in export.rglob("*") if p.is_file()} == files


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Three photos; the first is labelled."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    images = []
    for i, (name, data) in enumerate(photos(3).items()):
        (folder / "images" / name).write_bytes(data)
        images.append({"id": 10 + i, "file_name": name, "width": 200, "height": 200})
    mine = {"id": 1, "image_id": 10, "category_id": 1, "bbox": CAR, "area": 2000, "iscrowd": 0, "segmentation": []}
    body = {"images": images, "annotations": [mine], "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations.json").write_text(json.dumps(body))
    return folder
