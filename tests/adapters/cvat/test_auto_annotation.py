"""serverless/yolo/cvat_function.py through the real ``cvat_sdk.auto_annotation`` against the double."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import pytest
from cvat_sdk import make_client
from PIL import Image

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.cvat.auto_annotation import DetectionFunction
from audit.adapters.cvat.masks import rle_from_points
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.weights import find_weights
from audit.core.masks import decode
from audit.errors import UsageError
from audit.serving.replies import Reply, mask_item, rectangle_item, skeleton_item, tight, turned_item
from audit.serving.requests import BadRequestError
from audit.serving.specs import spec_of, spec_of_poses
from tests.doubles.cvat import ADMIN_TOKEN, FakeCvat

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "serverless" / "yolo" / "cvat_function.py"
HW = (48, 64)


def loaded() -> ModuleType:
    """As ``cvat-cli --function-file`` loads it."""
    spec = importlib.util.spec_from_file_location("__cvat_function__", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights() -> Path:
    """Looked up before a test's own caches hide it."""
    return find_weights("yolo11n")


@pytest.fixture(scope="module")
def bus() -> bytes:
    return (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()


def annotated(cvat: FakeCvat, task: int, function: Any, **options: Any) -> list[dict[str, Any]]:
    with make_client(cvat.url, access_token=ADMIN_TOKEN) as client:
        cvataa.annotate_task(client, task, function, allow_unmatched_labels=True, **options)
    return [s for job in cvat.jobs(task) for s in cvat.annotations(job["id"])["shapes"]]


def test_a_task_is_annotated_with_scores(cvat: FakeCvat, weights: Path, bus: bytes) -> None:
    labels = [{"name": "person", "type": "rectangle"}, {"name": "bus", "type": "any"}]
    task = cvat.add_task("t", {"a.jpg": bus, "b.jpg": bus}, labels, segment_size=1)
    function = loaded().create(model=str(weights), device="cpu")
    shapes = annotated(cvat, task, function, conf_threshold=0.6)
    ids = cvat.labels(task)
    found = sorted((s["frame"], s["label_id"]) for s in shapes)
    assert found.count((0, ids["bus"])) == 1
    assert found.count((0, ids["person"])) >= 3
    assert [x for f, x in found if f == 0] == [x for f, x in found if f == 1]
    assert {s["source"] for s in shapes} == {"auto"}
    assert all(0.6 <= s["score"] < 1 for s in shapes)
    box = next(s["points"] for s in shapes if s["label_id"] == ids["bus"])
    assert np.abs(np.array(box) - [4, 229, 796, 728]).max() < 25


class Handler:
    """A function with a fixed answer. bodies: what it was asked."""

    def __init__(self, spec: list[dict[str, Any]], *items: str) -> None:
        self.spec, self._items = spec, items
        self.bodies: list[Any] = []

    def handle(self, body: Any) -> Reply:
        self.bodies.append(body)
        return Reply(f"[{', '.join(self._items)}]")


def picture(**save: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(HW[0] * HW[1] * 3, dtype=np.uint32).astype(np.uint8).reshape(*HW, 3)).save(
        stream, "PNG", **save
    )
    return stream.getvalue()


@pytest.fixture
def task(cvat: FakeCvat) -> int:
    sub: list[dict[str, Any]] = [{"name": n, "type": "points", "attributes": []} for n in ("head", "tail")]
    labels: list[dict[str, Any]] = [
        {"name": "body", "type": "skeleton", "sublabels": sub, "attributes": []},
        {"name": "cell", "type": "any"},
        {"name": "ship", "type": "rectangle"},
    ]
    return cvat.add_task("t", {"a.png": picture()}, labels)


def test_no_objects_are_no_shapes(cvat: FakeCvat, task: int) -> None:
    assert annotated(cvat, task, DetectionFunction(Handler(spec_of("detect", ["ship"])))) == []


def test_masks_keep_every_pixel_and_become_polygons_when_asked(cvat: FakeCvat, task: int) -> None:
    mask = np.zeros(HW, bool)
    mask[10:30, 12:40] = True
    mask[10:12, 12:20] = False
    region = tight(mask)
    assert region
    function = DetectionFunction(Handler(spec_of("segment", ["cell"]), mask_item("cell", region, 0.72)))
    (shape,) = annotated(cvat, task, function)
    counts, problem = rle_from_points(shape["points"], HW)
    assert (problem, shape["type"], shape["score"]) == ("", "mask", 0.72)
    assert (decode(counts or b"", HW) == mask).all()
    (polygon,) = annotated(cvat, task, function, conv_mask_to_poly=True, clear_existing=True)
    assert (polygon["type"], polygon["score"]) == ("polygon", 0.72)


def test_skeletons_and_turned_boxes(cvat: FakeCvat, task: int) -> None:
    pose = skeleton_item("body", ("head", "tail"), np.array([[5.0, 6], [20, 30]]), np.array([True, False]), 0.8)
    unseen = rectangle_item("body", [1, 2, 3, 4], 0.5)
    function = DetectionFunction(Handler(spec_of_poses(["body"], ("head", "tail")), pose, unseen))
    (shape,) = annotated(cvat, task, function)
    assert (shape["type"], shape["score"]) == ("skeleton", 0.8)
    assert [(e["points"], e["outside"]) for e in shape["elements"]] == [([5.0, 6.0], False), ([20.0, 30.0], True)]
    turned = DetectionFunction(Handler(spec_of("obb", ["ship"]), turned_item("ship", [30, 20, 10, 6, 0.5], 0.9)))
    (shape,) = annotated(cvat, task, turned, clear_existing=True)
    assert (shape["type"], round(shape["rotation"], 2)) == ("rectangle", 28.65)


def test_the_threshold_of_the_caller_goes_first(cvat: FakeCvat, task: int) -> None:
    handler = Handler(spec_of("detect", ["ship"]))
    function = DetectionFunction(handler, threshold=0.4)
    annotated(cvat, task, function)
    annotated(cvat, task, function, conf_threshold=0.7)
    assert [body["threshold"] for body in handler.bodies] == [0.4, 0.7]
    with pytest.raises(UsageError, match="threshold"):
        loaded().create(threshold=2)


def test_a_picture_that_cannot_be_used_is_skipped_and_told(
    cvat: FakeCvat, task: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Handler):
        def handle(self, body: Any) -> Reply:
            raise BadRequestError("the image has too many pixels")

    with caplog.at_level(logging.WARNING, "cvat-audit"):
        assert annotated(cvat, task, DetectionFunction(Refusing(spec_of("detect", ["ship"])))) == []
    assert "a.png: skipped: the image has too many pixels" in caplog.text


def test_the_picture_arrives_as_cvat_shows_it() -> None:
    import base64

    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    handler = Handler(spec_of("detect", ["ship"]))
    image = Image.open(io.BytesIO(picture(exif=exif)))
    context: Any = type("C", (), {"frame_name": "a", "conf_threshold": None, "conv_mask_to_poly": False})()
    DetectionFunction(handler).detect(context, image)
    sent = Image.open(io.BytesIO(base64.b64decode(handler.bodies[0]["image"])))
    assert (sent.size, sent.getexif().get(0x0112, 1)) == ((HW[0], HW[1]), 1)
    assert json.loads(handler.handle({}).text) == []
    for mode in ("CMYK", "L", "I;16"):
        DetectionFunction(handler).detect(context, Image.new(mode, (8, 8)))
    modes = [Image.open(io.BytesIO(base64.b64decode(b["image"]))).mode for b in handler.bodies if b][1:]
    assert [m.partition(";")[0] for m in modes] == ["RGB", "L", "I"]
