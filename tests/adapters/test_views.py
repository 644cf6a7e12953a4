"""One network that looks at each picture in several ways: each view a predictor of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.ultralytics.detector import LARGER, Detector, open_model
from audit.adapters.ultralytics.weights import find_weights
from audit.cli.sources import PredictorOptions, SourceOptions, open_predictors
from audit.core.annotations import Frames, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.masks import decode
from audit.errors import UsageError
from tests.adapters.test_ultralytics import item, lively, photo, table


@pytest.fixture(scope="module")
def model() -> Detector:
    return open_model(find_weights("yolo11n"), device="cpu")


def rgb_of(name: str) -> np.ndarray:
    return np.asarray(Image.open(photo(name)).convert("RGB"))


def test_a_mirrored_picture_seen_mirrored_is_the_picture_itself(model: Detector) -> None:
    rgb, view = rgb_of("bus.jpg"), model.view("flip")
    plain, turned = model.predict_pixels(rgb), view.predict_pixels(np.ascontiguousarray(rgb[:, ::-1]))
    left, top, right, bottom = plain.xyxy.T
    expected = np.column_stack([rgb.shape[1] - right, top, rgb.shape[1] - left, bottom])
    assert turned.score == pytest.approx(plain.score)
    assert turned.label.tolist() == plain.label.tolist()
    assert turned.xyxy == pytest.approx(expected, abs=0.01)


def test_each_view_finds_the_objects_where_they_are(model: Detector) -> None:
    data = photo("bus.jpg").read_bytes()
    plain = table(model.predict([item(data)])[0])
    for view in (model.view("flip"), model.view("larger")):
        found = table(view.predict([item(data)])[0])
        overlap = iou_matrix(plain.xyxy[:4], found.xyxy) * (plain.label[:4, None] == found.label)
        assert (overlap.max(axis=1) > 0.8).all()  # the bus and three people
        assert found.score.tolist() != plain.score.tolist()
        view.close()


def test_masks_are_turned_back_with_their_boxes(tmp_path: Path) -> None:
    path = tmp_path / "random-seg.pt"
    lively("yolo11n-seg.yaml", seed=6).save(str(path))
    model = open_model(path, runtime="torch", confidence=0.05, device="cpu")
    rgb = rgb_of("bus.jpg")
    plain, turned = model.predict_pixels(rgb), model.view("flip").predict_pixels(np.ascontiguousarray(rgb[:, ::-1]))
    assert len(plain) == len(turned) > 10
    for one, other in zip(plain.mask[:10], turned.mask[:10], strict=True):
        differing = decode(one, rgb.shape[:2]) != decode(other, rgb.shape[:2])[:, ::-1]
        assert differing.mean() < 0.005  # a box's edge between two pixels rounds to the other one


def test_views_are_cached_apart_from_each_other_and_the_model(model: Detector) -> None:
    views = [model, model.view("flip"), model.view("larger")]
    assert len({v.digest for v in views}) == 3
    assert [v.name for v in views] == ["yolo11n.pt", "yolo11n.pt (flip)", "yolo11n.pt (larger)"]
    assert model.view("flip").digest == views[1].digest
    assert LARGER > 1


def test_a_network_of_one_size_has_no_larger_view(model: Detector) -> None:
    facts = SimpleNamespace(labels=("a",), fixed_hw=(320, 320), stride=32)
    fixed = Detector(SimpleNamespace(facts=facts), name="x.onnx", digest="0", image_size=320,
                     thresholds=model._thresholds, batch_size=1)  # type: ignore[arg-type]  # only its facts are asked  # fmt: skip
    assert fixed.view("flip").name == "x.onnx (flip)"
    with pytest.raises(UsageError, match="one size only"):
        fixed.view("larger")


def test_views_go_with_models_only() -> None:
    with pytest.raises(UsageError, match="--model"):
        PredictorOptions((), (), (), None, "auto", 640, ("flip",))
    where = SourceOptions("x", None, None, None, None, None, None, None, 1)
    none = Snapshot("x", (), Frames(), None)  # type: ignore[arg-type]  # is not looked at
    what = PredictorOptions(("yolo11n",), (), (), "cpu", "auto", 640, ("flip", "larger", "flip"))
    opened = open_predictors(what, where, {}, none)
    assert [p.name for p in opened] == ["yolo11n.pt", "yolo11n.pt (flip)", "yolo11n.pt (larger)"]
