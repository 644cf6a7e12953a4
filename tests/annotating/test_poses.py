"""Skeletons and turned boxes: models of the true architecture with random weights, and predictions of our own."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.adapters.ultralytics import poses
from audit.core.annotations import Predictions
from audit.core.masks import rotated_rectangle
from audit.core.table import objects
from audit.errors import UsageError
from audit.ports import PredictItem
from tests.annotating.scene import Scene, invoke, photos
from tests.doubles.cvat import FakeCvat

POINTS = ("nose", "left_eye", "right_eye")
XY = np.array([[40.0, 30.0], [60.0, 50.0], [20.0, 90.0]])
SURE = np.array([0.9, 0.8, 0.2])
UPRIGHT = (50.0, 60.0, 110.0, 90.0)


def skeleton_label(name: str, points: Sequence[str], **more: Any) -> dict[str, Any]:
    parts = [{"name": p, "type": "points", "attributes": []} for p in points]
    return {"name": name, "type": "skeleton", "sublabels": parts, "attributes": [], **more}


class Given:
    """What a pose or oriented-box model gives, without one. moved: pixels to the right. score: of every object."""

    needs_images, batch_size, digest, notes = True, 4, "given-1", ()
    keypoints: dict[str, tuple[str, ...]]

    def __init__(self, task: str, *, moved: float = 0.0, score: float = 0.9) -> None:
        self.task, self.moved, self.score = task, moved, score
        self.name, self.digest = f"{task}.pt", f"{task}-{moved}-{score}"
        self.labels: tuple[str, ...] = ("person", "ghost") if task == "pose" else ("ship",)
        self.keypoints = dict.fromkeys(self.labels, POINTS) if task == "pose" else {}

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        return [self._posed() if self.task == "pose" else self._turned() for _ in items]

    def close(self) -> None: ...

    def _posed(self) -> Predictions:
        xy = XY + np.array([self.moved, 0.0])
        hidden = np.full((3, 2), 0.1)
        return Predictions(
            xyxy=[[*xy.min(axis=0), *xy.max(axis=0)], [100, 100, 150, 180]],
            label=[0, 1],
            score=[self.score, self.score],
            points=objects([(xy, np.column_stack([SURE, SURE])), (XY + 80, hidden)]),
        )

    def _turned(self) -> Predictions:
        x1, y1, x2, y2 = UPRIGHT
        ring = rotated_rectangle((x1 + self.moved, y1, x2 + self.moved, y2), 30)
        box = [*ring.min(axis=0), *ring.max(axis=0)]
        return Predictions(xyxy=[box], label=[0], score=[self.score], points=objects([(ring,)]), rotation=[30.0])


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what ``--model x.pt`` opens."""

    def opens(given: Given) -> None:
        monkeypatch.setattr(importlib.import_module("audit.cli.prelabel"), "_model", lambda *_: given)

    return opens


def posed_scene(server: FakeCvat, folder: Path, label: dict[str, Any]) -> Scene:
    ghost = skeleton_label("ghost", POINTS)
    return Scene(server, folder, server.add_task("t", photos(6), [label, ghost], segment_size=3))


@pytest.fixture
def people(server: FakeCvat, tmp_path: Path) -> Scene:
    return posed_scene(server, tmp_path, skeleton_label("person", ("right_eye", "nose", "left_eye")))


@pytest.fixture
def ships(server: FakeCvat, tmp_path: Path) -> Scene:
    labels = [{"name": "ship", "type": "any"}]
    return Scene(server, tmp_path, server.add_task("t", photos(6), labels, segment_size=3))


def elements(scene: Scene, shape: dict[str, Any]) -> dict[str, tuple[list[float], bool]]:
    names = {i: name for name, i in scene.server.labels(scene.task).items()}
    return {names[e["label_id"]].partition("/")[2]: (e["points"], e["outside"]) for e in shape["elements"]}


def test_skeletons_are_drawn_by_the_names_of_their_points(people: Scene, model: Any) -> None:
    model(Given("pose"))
    dry = people.call("prelabel", "--model", "x.pt", "--json")
    told = json.loads(dry.stdout)
    # the ghost's keypoints are all too unsure
    assert told["counts"] == {"to do": 6, "conflict": 6}, dry.output
    assert {c["reason"] for c in told["changes"] if c["status"] == "conflict"} == {
        "the model gives no keypoint of it that is sure enough"
    }
    assert people.shapes() == []
    page = (people.out / "preview.html").read_text()
    assert ("6 pre-labels on 6 frames" in page, page.count("<figure>"), page.count("<circle")) == (True, 6, 12)
    done = people.call("prelabel", "--model", "x.pt", "--yes")
    assert done.exit_code == 1, done.output  # the ghosts
    stored = people.shapes()
    assert [(s["frame"], s["type"], s["source"], s["score"]) for s in sorted(stored, key=lambda s: s["frame"])] == [
        (i, "skeleton", "auto", 0.9) for i in range(6)
    ]
    for shape in stored:
        assert elements(people, shape) == {
            "right_eye": ([20.0, 90.0], True), "nose": ([40.0, 30.0], False), "left_eye": ([60.0, 50.0], False)
        }  # fmt: skip
    planned = [c["after"] for c in told["changes"] if c["status"] == "to do"]
    assert [p["elements"][0]["points"] for p in planned] == [[20.0, 90.0]] * 6


def test_a_doubled_run_adds_no_skeleton_and_undo_takes_all_back(people: Scene, model: Any) -> None:
    model(Given("pose"))
    people.call("prelabel", "--model", "x.pt", "--yes")
    before = people.shapes()
    again = people.call("prelabel", "--model", "x.pt", "--yes")
    other = invoke("prelabel", people.source, "--out", people.folder / "other", "--model", "x.pt", "--yes")
    assert people.shapes() == before
    assert "drawn by an earlier run" in again.stdout
    assert "this very shape is there" in other.stdout
    assert people.undo().exit_code == 0
    assert people.shapes() == []


def test_a_lost_answer_doubles_no_skeleton(people: Scene, model: Any) -> None:
    model(Given("pose"))
    people.server.faults.add(r"/annotations/?\?action=create", drop=True, times=1)
    people.call("prelabel", "--model", "x.pt", "--yes")
    people.call("prelabel", "--model", "x.pt", "--yes")
    assert len(people.shapes()) == 6
    people.undo()
    assert people.shapes() == []


def test_replace_auto_keeps_a_skeleton_of_which_one_point_was_moved(people: Scene, model: Any) -> None:
    model(Given("pose"))
    people.call("prelabel", "--model", "x.pt", "--yes")
    touched = next(s for s in people.shapes() if s["frame"] == 1)
    touched["elements"][0]["points"] = [25.0, 95.0]
    people.change(touched)
    model(Given("pose", moved=5.0))
    kept = people.shapes()
    people.call("prelabel", "--model", "x.pt", "--yes")
    assert people.shapes() == kept
    people.call("prelabel", "--model", "x.pt", "--yes", "--replace-auto")
    noses = {s["frame"]: elements(people, s)["nose"][0][0] for s in people.shapes()}
    assert noses == {0: 45.0, 1: 40.0, 2: 45.0, 3: 45.0, 4: 45.0, 5: 45.0}
    assert elements(people, next(s for s in people.shapes() if s["frame"] == 1))["right_eye"][0] == [25.0, 95.0]


def test_points_of_other_names_go_by_their_order_and_that_is_said(server: FakeCvat, tmp_path: Path, model: Any) -> None:
    scene = posed_scene(server, tmp_path, skeleton_label("person", ("1", "2", "3")))
    model(Given("pose"))
    done = scene.call("prelabel", "--model", "x.pt", "--yes")
    assert "its points are taken in their order" in done.stderr
    assert elements(scene, scene.shapes()[0]) == {
        "1": ([40.0, 30.0], False), "2": ([60.0, 50.0], False), "3": ([20.0, 90.0], True)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ({"name": "person", "type": "rectangle"}, "is no skeleton, and the model gives skeletons"),
        ({"name": "person", "type": "any"}, "is no skeleton"),
        (skeleton_label("person", ("nose", "tail", "wing")), "the model's 'nose', 'left_eye', 'right_eye'"),
        (skeleton_label("person", ("a", "b")), "its points are 'a', 'b'"),
    ],
)  # fmt: skip
def test_a_label_that_cannot_take_the_skeletons_is_told_before_anything_is_predicted(
    server: FakeCvat, tmp_path: Path, model: Any, label: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = posed_scene(server, tmp_path, label)
    model(Given("pose"))
    monkeypatch.setattr(Given, "predict", lambda *_: pytest.fail("predicted all the same"))
    refused = scene.call("prelabel", "--model", "x.pt", "--yes")
    assert isinstance(refused.exception, UsageError)
    assert said in str(refused.exception)
    assert "--as rectangle" in str(refused.exception)


def test_boxes_of_a_pose_model_where_they_are_asked_for(server: FakeCvat, tmp_path: Path, model: Any) -> None:
    scene = posed_scene(server, tmp_path, {"name": "person", "type": "rectangle"})
    model(Given("pose"))
    scene.call("prelabel", "--model", "x.pt", "--as", "rectangle", "--yes")
    assert {(s["type"], tuple(s["points"])) for s in scene.shapes()} == {("rectangle", (20.0, 30.0, 60.0, 90.0))}


def test_turned_boxes_are_turned_rectangles_or_outlines(ships: Scene, model: Any) -> None:
    model(Given("obb"))
    done = ships.call("prelabel", "--model", "x.pt", "--yes")
    assert done.exit_code == 0, done.output
    assert {(s["type"], tuple(s["points"]), s["rotation"]) for s in ships.shapes()} == {("rectangle", UPRIGHT, 30.0)}
    before = ships.shapes()
    assert ships.call("prelabel", "--model", "x.pt", "--yes").exit_code == 0
    assert ships.shapes() == before
    model(Given("obb", moved=6.0))
    assert ships.call("prelabel", "--model", "x.pt", "--yes", "--replace-auto").exit_code == 0
    assert {(s["points"][0], s["rotation"]) for s in ships.shapes()} == {(56.0, 30.0)}
    assert ships.call("prelabel", "--model", "x.pt", "--yes", "--replace-auto", "--as", "polygon").exit_code == 0
    (ring,) = {tuple(s["points"]) for s in ships.shapes()}
    corners = rotated_rectangle((56.0, 60.0, 116.0, 90.0), 30)
    assert np.allclose(np.array(ring).reshape(-1, 2), corners, atol=0.01)
    assert ships.call("prelabel", "--model", "x.pt", "--yes", "--replace-auto", "--as", "mask").exit_code == 0
    assert {s["type"] for s in ships.shapes()} == {"mask"}
    assert ships.undo().exit_code == 0
    assert ships.shapes() == []


FUNCTION = """
import cvat_sdk.auto_annotation as cvataa

PARTS = [cvataa.keypoint_spec(name, i) for i, name in enumerate(("nose", "left_eye", "right_eye"))]
spec = cvataa.DetectionFunctionSpec(labels=[
    cvataa.skeleton_label_spec("person", 4, PARTS), cvataa.label_spec("ghost", 9, type="cuboid"),
    cvataa.label_spec("ship", 2, type="rectangle")])

def detect(context, image):
    if context.frame_name == "001.jpg":  # lacks a point
        return [cvataa.skeleton(4, [cvataa.keypoint(0, [1, 2])], score=0.9)]
    points = [cvataa.keypoint(2, [20, 90], outside=True), cvataa.keypoint(0, [40, 30]), cvataa.keypoint(1, [60, 50])]
    return [cvataa.skeleton(4, points, score=0.9),
            cvataa.rectangle(2, [150, 60, 190, 90], rotation=30, score=0.8)]
"""


def test_function_files_may_give_both(server: FakeCvat, tmp_path: Path) -> None:
    labels = [skeleton_label("person", POINTS), {"name": "ship"}]
    scene = Scene(server, tmp_path, server.add_task("t", photos(6), labels, segment_size=3))
    path = tmp_path / "function.py"
    path.write_text(FUNCTION)
    done = scene.call("prelabel", "--function-file", path, "--yes")
    assert done.exit_code == 0, done.output
    assert "these are left out: 'ghost'" in done.stderr
    assert "a skeleton needs all of its 3 points" in done.stderr
    assert {s["frame"] for s in scene.shapes()} == {0, 2, 3, 4, 5}
    person, ship = sorted(scene.shapes(0), key=lambda s: str(s["type"]), reverse=True)
    assert elements(scene, person) == {
        "nose": ([40.0, 30.0], False), "left_eye": ([60.0, 50.0], False), "right_eye": ([20.0, 90.0], True)
    }  # fmt: skip
    assert (ship["type"], ship["points"], ship["rotation"]) == ("rectangle", [150.0, 60.0, 190.0, 90.0], 30.0)
    before = scene.shapes()
    assert scene.call("prelabel", "--function-file", path, "--yes").exit_code == 0
    assert scene.shapes() == before


def test_an_export_is_not_given_skeletons(tmp_path: Path, model: Any) -> None:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for name, data in photos(1).items():
        (folder / "images" / name).write_bytes(data)
    body = {
        "images": [{"id": 1, "file_name": "000.jpg", "width": 200, "height": 200}],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "ship"}],
    }
    (folder / "annotations.json").write_text(json.dumps(body))
    model(Given("pose"))
    refused = invoke("prelabel", folder, "--out", tmp_path / "out", "--model", "x.pt", "--yes")
    assert "cannot be given skeletons" in str(refused.exception)
    model(Given("obb"))
    turned = invoke("prelabel", folder, "--out", tmp_path / "out", "--model", "x.pt", "--yes")
    assert (turned.exit_code, "COCO holds no turned boxes" in turned.stdout) == (1, True), turned.output
    polygons = invoke("prelabel", folder, "--out", tmp_path / "out", "--model", "x.pt", "--yes", "--as", "polygon")
    assert polygons.exit_code == 0, polygons.output
    (drawn,) = json.loads((tmp_path / "out" / "corrected.json").read_text())["annotations"]
    assert len(drawn["segmentation"][0]) == 8


needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="the ultralytics extra is not installed"
)


def saved(kind: str, folder: Path) -> Path:
    """The true architecture with random weights; real ones are not to be had without a model hub."""
    from audit.adapters.ultralytics.environment import load_ultralytics

    model = load_ultralytics().YOLO(f"yolo11n-{kind}.yaml")
    model.model.names = {i: f"class {i}" for i in range(80)}
    model.save(str(folder / f"{kind}.pt"))
    return folder / f"{kind}.pt"


@needs_ultralytics
@pytest.mark.parametrize("kind", ["pose", "obb"])
def test_models_of_the_true_architecture_draw_what_ultralytics_sees(
    kind: str, server: FakeCvat, tmp_path: Path, bus: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit.adapters.pictures import decode_rgb
    from audit.adapters.ultralytics.environment import load_ultralytics

    monkeypatch.setattr(poses, "LOWEST", 1e-4)  # random weights are sure of nothing
    monkeypatch.setattr("audit.loop.prelabels.VISIBLE", 0.0)
    weights = saved(kind, tmp_path)
    names = [f"class {i}" for i in range(80)]
    labels = [skeleton_label(n, poses.COCO_KEYPOINTS) if kind == "pose" else {"name": n} for n in names]
    scene = Scene(server, tmp_path, server.add_task("t", {"a.jpg": bus}, labels))
    call = ("prelabel", "--model", weights, "--image-size", "320", "--threshold", "0.0001", "--yes", "--json")
    done = scene.call(*call)
    theirs = load_ultralytics().YOLO(str(weights)).predict(
        np.ascontiguousarray(decode_rgb(bus)[..., ::-1]), conf=1e-4, imgsz=320, verbose=False
    )[0].cpu().numpy()  # fmt: skip
    found = theirs.boxes if kind == "pose" else theirs.obb
    assert len(found) > 0
    stored = scene.shapes()
    told = json.loads(done.stdout)["changes"]
    assert {c["after"]["type"] for c in told if c["after"]} == {"skeleton" if kind == "pose" else "rectangle"}
    assert len(stored) == sum(c["status"] == "done" for c in told) > 0
    ids = scene.server.labels(scene.task)
    rows = np.flatnonzero(found.conf.round(4) == found.conf.max().round(4)).tolist()
    assert rows
    drawn = [s for s in stored if s["score"] == pytest.approx(float(found.conf.max()), abs=1e-4)]
    assert any(_same(kind, s, theirs, row, ids, names) for s in drawn for row in rows)
    monkeypatch.setattr(poses.PoseModel, "run", lambda *_: pytest.fail("the model ran twice on the same picture"))
    monkeypatch.setattr(poses.PoseModel, "__init__", _reopened(kind, names))
    scene.call(*call)
    assert scene.shapes() == stored


def _same(kind: str, shape: Any, theirs: Any, row: int, ids: dict[str, int], names: list[str]) -> bool:
    """Whether a stored shape is what ultralytics gives in this row."""
    if kind == "pose":
        name = names[int(theirs.boxes.cls[row])]
        points = {e["label_id"]: e["points"] for e in shape["elements"]}
        found = [points.get(ids[f"{name}/{p}"], [-1.0, -1.0]) for p in poses.COCO_KEYPOINTS]
        return shape["label_id"] == ids[name] and np.allclose(found, theirs.keypoints.xy[row], atol=0.01)
    ring = rotated_rectangle(shape["points"], shape["rotation"])
    corners = np.sort(theirs.obb.xyxyxyxy[row], axis=0)
    return shape["label_id"] == ids[names[int(theirs.obb.cls[row])]] and np.allclose(
        np.sort(ring, axis=0), corners, atol=0.1
    )


def _reopened(kind: str, names: list[str]) -> Any:
    """Opens without the first run."""

    def opened(self: poses.PoseModel, *_: Any, **__: Any) -> None:
        self.task, self.labels = kind, tuple(names)
        self.keypoints = poses.COCO_KEYPOINTS if kind == "pose" else ()

    return opened
