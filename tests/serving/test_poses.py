"""Pose models become skeletons, oriented boxes turned rectangles; against ultralytics' own answers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.pictures import decode_rgb
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.weights import find_weights
from audit.errors import UsageError
from audit.serving.detecting import open_function
from audit.serving.host.config import annotation_fault, read_function
from audit.serving.poses import IMAGE_SIZE, PoseFunction
from audit.serving.rendering import Rendering, render
from audit.serving.replies import skeleton_item, turned_item
from audit.serving.specs import COCO_BONES, COCO_KEYPOINTS, COCO_PLACES, skeleton_svg
from tests.serving.cases import encoded

LOW = 1e-4
"""Random weights are sure of nothing."""


def saved(kind: str, folder: Path) -> Path:
    """The true architecture with random weights; real ones are not to be had without a model hub."""
    model = load_ultralytics().YOLO(f"yolo11n-{kind}.yaml")
    model.model.names = {i: f"class {i}" for i in range(80)}
    model.save(str(folder / f"{kind}.pt"))
    return folder / f"{kind}.pt"


@pytest.fixture(scope="module")
def pose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("pose", tmp_path_factory.mktemp("pose"))


@pytest.fixture(scope="module")
def obb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved("obb", tmp_path_factory.mktemp("obb"))


@pytest.fixture(scope="module")
def bus() -> bytes:
    return (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()


def answered(weights: Path, bus: bytes, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    """What the function says of the bus, and what ultralytics does."""
    reply = open_function(weights, threshold=LOW, **options).handle({"image": encoded(bus)})
    bgr = np.ascontiguousarray(decode_rgb(bus)[..., ::-1])
    theirs = load_ultralytics().YOLO(str(weights)).predict(bgr, conf=LOW, imgsz=IMAGE_SIZE, verbose=False)[0]
    return json.loads(reply.text), theirs.cpu().numpy()


def test_skeletons_carry_every_keypoint_and_hide_the_unsure_ones(pose: Path, bus: bytes) -> None:
    found, theirs = answered(pose, bus, score_attribute="score")
    assert len(found) == len(theirs.boxes) > 0
    skeletons = [i for i, item in enumerate(found) if item["type"] == "skeleton"]
    assert [i for i, seen in enumerate(theirs.keypoints.conf) if (seen >= 0.5).any()] == skeletons
    for i in skeletons:
        elements = found[i]["elements"]
        assert [e["label"] for e in elements] == list(COCO_KEYPOINTS)
        assert np.allclose([e["points"] for e in elements], theirs.keypoints.xy[i], atol=0.006)
        assert [e["outside"] for e in elements] == (theirs.keypoints.conf[i] < 0.5).tolist()
        assert {e["type"] for e in elements} == {"points"}
    assert all(item["attributes"][0]["name"] == "score" for item in found)


def test_turned_boxes_cover_the_corners_that_ultralytics_gives(obb: Path, bus: bytes) -> None:
    found, theirs = answered(obb, bus)
    assert len(found) == len(theirs.obb) > 0
    for item, corners in zip(found, theirs.obb.xyxyxyxy, strict=True):
        assert item["type"] == "rectangle"
        assert np.allclose(np.sort(turned(item), axis=0), np.sort(corners, axis=0), atol=0.1)


def turned(item: dict[str, Any]) -> np.ndarray:
    """(4, 2) corners of a rectangle as CVAT draws it: turned clockwise about its middle."""
    x1, y1, x2, y2 = item["points"]
    corners, middle = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]), np.array([x1 + x2, y1 + y2]) / 2
    a = np.radians(item["rotation"])
    return (corners - middle) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + middle


@pytest.mark.parametrize(("radians", "degrees"), [(0, 0), (np.pi / 2, 90), (-np.pi / 4, 315), (-1e-9, 0), (7, 41.07)])
def test_rotation_is_within_a_full_turn(radians: float, degrees: float) -> None:
    item = json.loads(turned_item("ship", [50, 40, 20, 10, radians], 0.5))
    assert (item["points"], item["rotation"]) == ([40, 35, 60, 45], degrees)


def test_a_skeleton_without_keypoints_is_empty() -> None:
    item = json.loads(skeleton_item("p", [], np.zeros((0, 2)), np.zeros(0, bool), 0.5))
    assert (item["elements"], item["points"]) == ([], [])


def test_the_picture_of_a_skeleton_names_each_node_once() -> None:
    for names in (COCO_KEYPOINTS, ["1", "2", "3"], ['<script>"&'], []):
        drawing = ElementTree.fromstring(f"<svg>{skeleton_svg(names)}</svg>")
        nodes = drawing.findall("circle")
        assert [n.get("data-label-name") for n in nodes] == list(names)
        assert [n.get("data-node-id") for n in nodes] == [str(i + 1) for i in range(len(names))]
        assert all(0 <= float(n.get(c, -1)) <= 100 for n in nodes for c in ("cx", "cy"))
    bones = ElementTree.fromstring(f"<svg>{skeleton_svg(COCO_KEYPOINTS)}</svg>").findall("line")
    assert len(bones) == len(COCO_BONES)
    assert len(COCO_PLACES) == len(set(COCO_PLACES)) == len(COCO_KEYPOINTS) == 17


@pytest.mark.parametrize("kind", ["pose", "obb"])
def test_rendered_functions_of_them_are_valid_for_cvat(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    done = render(str(request.getfixturevalue(kind)), Rendering(f"our-{kind}"), tmp_path)
    config = read_function(done.folder)
    spec = json.loads(config.annotations["spec"])
    assert (done.task, len(spec), spec[0]["name"]) == (kind, 80, "class 0")
    assert spec[0]["type"] == ("skeleton" if kind == "pose" else "rectangle")
    if kind == "pose":
        assert [s["name"] for s in spec[0]["sublabels"]] == list(COCO_KEYPOINTS)
        del spec[0]["svg"]
        assert "sublabels, svg" in annotation_fault("x", {"type": "detector", "spec": json.dumps(spec)})


def test_a_detector_is_no_pose_model() -> None:
    with pytest.raises(UsageError, match="expected one of pose, obb"):
        PoseFunction(find_weights("yolo11n"))
