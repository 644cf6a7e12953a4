"""For sources on disk a push writes a corrected export, which reads back as it should be."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from defusedxml import ElementTree

from audit.adapters.exports import open_store
from audit.adapters.pictures import ImageCache
from audit.cli.push import push, undo
from audit.cli.report import report
from audit.core.annotations import ShapeType, Snapshot
from audit.core.findings import FindingType
from audit.errors import UsageError
from tests.adapters.exports.samples import datumaro
from tests.push.place import Audited, Quiet

T = FindingType
NEW = [12.0, 10.0, 40.0, 31.0]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><id>3</id><name>t</name><size>2</size><mode>annotation</mode><labels>
<label><name>person</name><type>any</type><attributes><attribute><name>pose</name><mutable>False</mutable>
<input_type>text</input_type><default_value></default_value><values></values></attribute></attributes></label>
<label><name>thing</name><type>any</type><attributes></attributes></label></labels>
<segments><segment><id>5</id><start>0</start><stop>1</stop><url>http://cvat.test/api/jobs/5</url></segment></segments>
</task></meta>
<image id="0" name="a&lt;b&gt;.jpg" width="64" height="48">
<box label="person" source="manual" occluded="1" xtl="1.00" ytl="2.00" xbr="30.00" ybr="40.00" z_order="3" group_id="4">
<attribute name="pose">sits</attribute></box>
<polygon label="thing" source="manual" occluded="0"
points="3.00,3.00;20.00,3.00;20.00,20.00" z_order="0"></polygon>
<mask label="thing" source="manual" occluded="0"
rle="1, 2, 1" left="10" top="10" width="2" height="2" z_order="0"></mask>
<ellipse label="person" source="manual" occluded="0"
cx="30.00" cy="20.00" rx="10.00" ry="10.00" z_order="0"></ellipse>
<box label="person" source="manual" occluded="0"
xtl="5.00" ytl="5.00" xbr="9.00" ybr="9.00" rotation="30.00" z_order="0"></box>
</image>
<image id="1" name="b.jpg" width="64" height="48">
<box label="thing" source="manual" occluded="0" xtl="1.00" ytl="2.00" xbr="30.00" ybr="40.00" z_order="0"></box>
</image></annotations>
"""
COCO: dict[str, Any] = {
    "images": [{"id": 10 + i, "file_name": f"{name}.jpg", "width": 64, "height": 48} for i, name in enumerate("ab")],
    "categories": [{"id": 1, "name": "person"}, {"id": 7, "name": "thing", "extra": "kept"}],
    "annotations": [
        {"id": 100, "image_id": 10, "category_id": 1, "bbox": [1, 2, 29, 38], "attributes": {"occluded": True}},
        {"id": 101, "image_id": 10, "category_id": 7, "bbox": [3, 3, 17, 17], "segmentation": [[3, 3, 20, 3, 20, 20]]},
        {"id": 102, "image_id": 11, "category_id": 7, "bbox": [1, 2, 29, 38], "iscrowd": 0, "segmentation": []},
    ],
    "info": {"year": 2026},
}


def blob() -> np.ndarray:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:31, 12:40] = 1
    return mask


def read(path: Path, folder: Path) -> Snapshot:
    store = open_store(path, cache=ImageCache(folder / "cache"))
    try:
        return store.snapshot(Quiet())
    finally:
        store.close()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["xml", "xml in a zip", "coco"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "coco":
        return written(tmp_path / "annotations.json", json.dumps(COCO))
    if request.param == "xml":
        return written(tmp_path / "annotations.xml", XML)
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", XML)
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def audited(source: Path, tmp_path: Path) -> Audited:
    snapshot = read(source, tmp_path)
    place: Any = None
    return Audited(place, tmp_path / "run", replace(snapshot, labels=("person", "thing", "body")), [], [])


def call(*arguments: object) -> Any:
    return CliRunner().invoke(push, [str(a) for a in arguments])


def facts(snapshot: Snapshot) -> list[tuple[Any, ...]]:
    a, names = snapshot.annotations, snapshot.frames.name
    return [
        (
            names[frame],
            snapshot.labels[label],
            ShapeType(shape).name,
            box.round(2).tolist(),
            bool(occluded),
            float(turn),
        )
        for frame, label, shape, box, occluded, turn in zip(
            a.frame, a.label, a.shape, a.xyxy, a.occluded, a.rotation, strict=True
        )
    ]


def of_type(run: Audited, shape: ShapeType, frame: int = 0) -> int:
    a = run.snapshot.annotations
    return int(a.annotation_id[(a.shape == shape) & (a.frame == frame)][0])


def test_nothing_accepted_is_the_same_export(source: Path, tmp_path: Path) -> None:
    run = audited(source, tmp_path)
    run.write()
    name = "out.json" if source.suffix == ".json" else "out.xml"
    done = call(run.path, "--as", "fixes", "--yes", "--to", tmp_path / name)
    assert done.exit_code == 0, done.output
    assert "A copy as it was" in done.output
    (out,) = tmp_path.glob("out.*")
    assert facts(read(out, tmp_path)) == facts(read(source, tmp_path))


def test_every_kind_of_fix(source: Path, tmp_path: Path) -> None:
    run = audited(source, tmp_path)
    before, data = facts(read(source, tmp_path)), source.read_bytes()
    box, polygon = of_type(run, ShapeType.RECTANGLE), of_type(run, ShapeType.POLYGON)
    run.finding(T.LOW_OVERLAP, box, suggested_label=0, suggested_xyxy=NEW)
    run.finding(T.MISMATCHING_LABEL, polygon, suggested_label=0, suggested_xyxy=NEW)
    run.finding(T.EXTRA_ANNOTATION, of_type(run, ShapeType.RECTANGLE, 1))
    run.finding(T.MISSING_ANNOTATION, frame=1, suggested_label=1, suggested_xyxy=NEW)
    run.accept_all()
    dry = call(run.path, "--as", "fixes")
    assert (dry.exit_code, "4 to do" in dry.stdout) == (0, True), dry.output
    assert not list(run.path.glob("corrected.*"))
    done = call(run.path, "--as", "fixes", "--yes")
    assert (done.exit_code, "4 done" in done.stdout) == (0, True), done.output
    (out,) = run.path.glob("corrected.*")
    assert source.read_bytes() == data
    after = facts(read(out, tmp_path))
    assert after[0] == (*before[0][:3], NEW, *before[0][4:])
    assert after[1] == (before[1][0], "person", *before[1][2:])
    assert after[2:-1] == before[2:-1]
    assert after[-1] == ("b.jpg", "thing", "RECTANGLE" if source.suffix == ".json" else after[-1][2], NEW, False, 0.0)


def test_polygons_masks_and_ellipses_keep_their_type(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.xml", XML), tmp_path)
    for shape in (ShapeType.POLYGON, ShapeType.MASK, ShapeType.ELLIPSE):
        run.finding(T.LOW_OVERLAP, of_type(run, shape), suggested_label=1, suggested_xyxy=NEW, mask=blob())
    run.finding(T.MISSING_ANNOTATION, frame=1, suggested_label=1, suggested_xyxy=NEW, mask=blob())
    run.accept_all()
    assert call(run.path, "--as", "fixes", "--yes").exit_code == 0
    found = read(run.path / "corrected.xml", tmp_path)
    for shape in (ShapeType.POLYGON, ShapeType.MASK, ShapeType.ELLIPSE):
        rows = np.flatnonzero((found.annotations.shape == shape) & (found.annotations.frame == 0))
        np.testing.assert_allclose(found.annotations.xyxy[rows[0]], NEW, atol=0.01)


def test_what_xml_holds_besides_is_kept(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.xml", XML), tmp_path)
    run.finding(T.LOW_OVERLAP, of_type(run, ShapeType.RECTANGLE), suggested_label=0, suggested_xyxy=NEW)
    run.accept_all()
    call(run.path, "--as", "fixes", "--yes")
    root = ElementTree.fromstring((run.path / "corrected.xml").read_bytes())
    box = root.find("image").find("box")
    assert (box.get("z_order"), box.get("group_id"), box.find("attribute").text) == ("3", "4", "sits")
    assert root.find("meta/task/name").text == "t"
    assert root.find("image").get("name") == "a<b>.jpg"


def test_coco_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.json", json.dumps(COCO)), tmp_path)
    run.finding(T.MISMATCHING_LABEL, 100, suggested_label=1, suggested_xyxy=NEW)
    run.accept_all()
    call(run.path, "--as", "fixes", "--yes")
    body = json.loads((run.path / "corrected.json").read_text())
    assert body["info"] == COCO["info"]
    assert body["categories"] == COCO["categories"]
    first = COCO["annotations"][0]
    assert body["annotations"][0] == {**first, "category_id": 7}


def test_what_changed_on_disk_since_is_left_alone(tmp_path: Path) -> None:
    source = written(tmp_path / "annotations.xml", XML)
    run = audited(source, tmp_path)
    run.finding(T.EXTRA_ANNOTATION, of_type(run, ShapeType.RECTANGLE))
    run.finding(T.EXTRA_ANNOTATION, of_type(run, ShapeType.RECTANGLE, 1))
    run.accept_all()
    source.write_text(XML.replace('xtl="1.00"', 'xtl="1.50"', 1))
    done = call(run.path, "--as", "fixes", "--yes")
    assert (done.exit_code, "1 done, 1 conflict" in done.stdout) == (1, True), done.output
    assert len(read(run.path / "corrected.xml", tmp_path).annotations) == 5


@pytest.mark.parametrize(
    ("was", "now"), [("20.00,3.00;", "20.00,3.00;15.00,9.00;"), ('rotation="30.00"', 'rotation="31.00"')]
)
def test_a_shape_redrawn_in_its_own_box_was_changed(tmp_path: Path, was: str, now: str) -> None:
    source = written(tmp_path / "annotations.xml", XML)
    run = audited(source, tmp_path)
    a = run.snapshot.annotations
    for key in a.annotation_id[(a.shape == ShapeType.POLYGON) | (a.rotation > 0)].tolist():
        run.finding(T.EXTRA_ANNOTATION, key)
    run.accept_all()
    source.write_text(XML.replace(was, now, 1))
    assert "1 done, 1 conflict" in call(run.path, "--as", "fixes", "--yes").stdout


def test_what_an_export_cannot_have(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.xml", XML), tmp_path)
    turned = int(run.snapshot.annotations.annotation_id[run.snapshot.annotations.rotation > 0][0])
    run.finding(T.LOW_OVERLAP, turned, suggested_label=0, suggested_xyxy=NEW)
    run.accept_all()
    assert "1 conflict" in call(run.path, "--as", "fixes").stdout
    for arguments, expected in (
        ((run.path, "--as", "issues"), "has no issues"),
        ((run.path, "--as", "fixes", "--yes", "--to", tmp_path / "annotations.xml"), "is part of the export"),
    ):
        assert expected in str(call(*arguments).exception)
    assert "an export on disk" in str(CliRunner().invoke(undo, [str(run.path)]).exception)


def test_other_formats_say_so(tmp_path: Path) -> None:
    source = written(tmp_path / "default.json", datumaro([]))
    run = audited(source, tmp_path)
    run.snapshot = replace(run.snapshot, labels=("car", "pose", "head"))
    run.write()
    error = call(run.path, "--as", "fixes", "--yes").exception
    assert isinstance(error, UsageError)
    assert "cvat-images, cvat-video and coco, not of datumaro" in str(error)


def test_no_file_of_the_export_is_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    source = written(folder / "annotations.json", json.dumps(COCO))
    run = audited(folder, tmp_path)
    run.write()
    said = call(run.path, "--as", "fixes", "--yes", "--to", source)
    assert isinstance(said.exception, UsageError)
    assert "part of the export" in str(said.exception)
    assert source.read_text(encoding="utf-8") == json.dumps(COCO)


def test_a_file_that_is_there_is_written_over_only_when_told(source: Path, tmp_path: Path) -> None:
    run = audited(source, tmp_path)
    run.write()
    to = tmp_path / ("mine.json" if source.suffix == ".json" else "mine.xml")
    to.write_text("mine")
    for extra in ((), ("--yes",)):
        said = call(run.path, "--as", "fixes", "--to", to, *extra)
        assert isinstance(said.exception, UsageError)
        assert "is there already; give another name, or --replace" in str(said.exception)
    assert to.read_text() == "mine"
    assert call(run.path, "--as", "fixes", "--to", to, "--replace", "--yes").exit_code == 0
    assert facts(read(to, tmp_path)) == facts(read(source, tmp_path))
    # by default the copy lies in the run's folder, where it is written anew each time
    for _ in range(2):
        assert call(run.path, "--as", "fixes", "--yes").exit_code == 0


def test_a_report_is_written_over_another_file_only_when_told(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.xml", XML), tmp_path)
    run.write()
    to = tmp_path / "index.html"
    to.write_text("mine")
    said = CliRunner().invoke(report, [str(run.path), "--to", str(to)])
    assert "is there already" in str(said.exception)
    assert to.read_text() == "mine"
    assert CliRunner().invoke(report, [str(run.path), "--to", str(to), "--replace"]).exit_code == 0
    assert "<html" in to.read_text()


def test_the_copy_is_named_for_what_it_is(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.xml", XML), tmp_path)
    run.write()
    said = call(run.path, "--as", "fixes", "--yes", "--to", tmp_path / "fixed.zip")
    assert "is one .xml file" in str(said.exception)
    assert not (tmp_path / "fixed.zip").exists()


def test_what_changes_is_told_under_the_name_of_the_image(tmp_path: Path) -> None:
    run = audited(written(tmp_path / "annotations.json", json.dumps(COCO)), tmp_path)
    run.finding(T.MISMATCHING_LABEL, 100, suggested_label=1)
    run.finding(T.LOW_OVERLAP, 102, suggested_label=1, suggested_xyxy=NEW)
    run.accept_all()
    rows = call(run.path, "--as", "fixes").stdout.splitlines()
    assert rows[0] == "a.jpg"
    assert "label thing" in rows[1]
    assert (rows[2], f"box {NEW}" in rows[3]) == ("b.jpg", True)
    assert not any(row.startswith("job") for row in rows)
