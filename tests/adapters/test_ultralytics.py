"""Real weights on real photos: our predictor sees what ultralytics' own ``predict`` sees."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.ultralytics.decoding import Detections, frame_masks
from audit.adapters.ultralytics.detector import Detector, open_model
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.geometry import network_input, place
from audit.adapters.ultralytics.weights import find_weights
from audit.core import masks
from audit.core.annotations import Predictions
from audit.core.table import objects
from audit.errors import UsageError
from audit.ports import PredictItem

KNOWN = {
    "bus.jpg": [("bus", 0.94), ("person", 0.888), ("person", 0.878), ("person", 0.856), ("person", 0.622)],
    "zidane.jpg": [("person", 0.84), ("person", 0.779), ("tie", 0.452)],
}


def item(data: bytes | None, size_hw: tuple[int, int] = (0, 0)) -> PredictItem:
    return PredictItem(frame=0, name="x", image_id=-1, task=-1, number=0, size_hw=size_hw, sha256="", data=data)


def photo(name: str) -> Path:
    return Path(str(load_ultralytics().__file__)).parent / "assets" / name


def table(result: Predictions | str) -> Predictions:
    assert isinstance(result, Predictions), result
    return result


def named(model: Detector, found: Predictions, above: float) -> list[tuple[str, float]]:
    return [(model.labels[c], float(s)) for c, s in zip(found.label, found.score, strict=True) if s > above]


@pytest.fixture(scope="module")
def weights() -> Path:
    return find_weights("yolo11n")


@pytest.fixture(scope="module", params=["onnx", "torch"])
def model(request: pytest.FixtureRequest, weights: Path) -> Any:
    opened = open_model(weights, runtime=request.param, device="cpu")
    yield opened
    opened.close()


def lively(architecture: str, seed: int) -> Any:
    """Random weights, but activations of ordinary size and likely classes, so that the model "finds" things."""
    import torch

    ultralytics = load_ultralytics()
    torch.manual_seed(seed)
    yolo = ultralytics.YOLO(architecture)
    network = yolo.model
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # the next pass in training mode sets its statistics
    rgb = np.asarray(Image.open(photo("bus.jpg")))
    pixels = network_input(rgb, place((rgb.shape[0], rgb.shape[1]), (640, 640), 32))
    network.train()
    with torch.no_grad():
        network(torch.from_numpy(pixels))
    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.clamp_(min=0.05)  # a channel that hardly varies would blow rounding errors up
    head = network.model[-1]
    for branch in [*head.cv3, *getattr(head, "one2one_cv3", [])]:
        torch.nn.init.normal_(branch[-1].weight, std=0.08)
        torch.nn.init.constant_(branch[-1].bias, -4.0)
    if head.reg_max == 1:  # distances come as they are: keep them positive
        for branch in [*head.cv2, *head.one2one_cv2]:
            torch.nn.init.normal_(branch[-1].weight, std=0.01)
            torch.nn.init.constant_(branch[-1].bias, 3.0)
        for branch in [*head.cv3, *head.one2one_cv3]:
            torch.nn.init.constant_(branch[-1].bias, -2.0)
    return yolo


@pytest.fixture(scope="module")
def segmenter_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mask model with random weights."""
    path = tmp_path_factory.mktemp("segmenter") / "random-seg.pt"
    lively("yolo11n-seg.yaml", seed=6).save(str(path))
    return path


def test_no_items_give_no_answers(model: Detector) -> None:
    assert model.predict([]) == []


def test_a_frame_without_anything_has_an_empty_table(model: Detector) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "PNG")
    found = table(model.predict([item(buffer.getvalue())])[0])
    assert found.xyxy.shape[1] == 4
    assert (found.score < 0.25).all()


@pytest.mark.parametrize("name", KNOWN)
def test_known_photos_give_known_scores(model: Detector, name: str) -> None:
    found = table(model.predict([item(photo(name).read_bytes())])[0])
    seen = named(model, found, 0.25)
    assert [n for n, _ in seen] == [n for n, _ in KNOWN[name]]
    assert np.allclose([s for _, s in seen], [s for _, s in KNOWN[name]], atol=2e-3)
    assert (found.score > 0.01).all()
    assert (np.diff(found.score) <= 0).all()


@pytest.mark.parametrize("name", KNOWN)
def test_agrees_with_ultralytics_own_predict(model: Detector, weights: Path, name: str) -> None:
    own = load_ultralytics().YOLO(str(weights)).predict(str(photo(name)), conf=0.01, iou=0.7, verbose=False)[0]
    found = table(model.predict([item(photo(name).read_bytes())])[0])
    boxes = own.boxes.xyxy.cpu().numpy()
    visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    assert len(found) == visible.sum()
    assert np.allclose(found.score, own.boxes.conf.cpu().numpy()[visible], atol=1e-3)
    likely = found.score > 0.05  # below, rounding changes the order of rows of nearly equal score
    assert np.array_equal(found.label[likely], own.boxes.cls.cpu().numpy()[visible][likely])
    assert np.allclose(found.xyxy[likely], boxes[visible][likely], atol=0.5)


def test_labels_are_in_the_order_of_the_class_indices(model: Detector) -> None:
    assert len(model.labels) == 80
    assert (model.labels[0], model.labels[5], model.labels[79]) == ("person", "bus", "toothbrush")


def test_a_bad_picture_is_said_and_the_others_go_on(model: Detector) -> None:
    whole = photo("bus.jpg").read_bytes()
    answers = model.predict([item(whole[:4000]), item(b""), item(whole), item(None), item(whole, (10, 10))])
    assert [isinstance(a, str) for a in answers] == [True, True, False, True, True]
    assert "not a whole image" in str(answers[0])
    assert len(table(answers[2])) > 5


def test_the_answer_for_a_frame_does_not_depend_on_its_neighbours(model: Detector) -> None:
    bus, zidane = (photo(n).read_bytes() for n in KNOWN)
    alone = table(model.predict([item(bus)])[0])
    together = model.predict([item(zidane), item(bus), item(bus), item(zidane)])
    for answer in (together[1], together[2]):
        assert np.allclose(table(answer).score, alone.score, atol=1e-5)
        assert np.allclose(table(answer).xyxy, alone.xyxy, atol=0.01)


def test_a_rotated_photo_is_seen_as_it_is_shown(weights: Path) -> None:
    detector = open_model(weights)
    upright = Image.open(photo("bus.jpg"))
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # "turn clockwise to show"
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=95, exif=exif)
    found = table(detector.predict([item(buffer.getvalue(), (upright.height, upright.width))])[0])
    assert named(detector, found, 0.5)[0][0] == "bus"
    detector.close()


def test_on_a_cpu_onnxruntime_is_the_default_and_digests_tell_settings_apart(weights: Path) -> None:
    settings: list[dict[str, Any]] = [{}, {"image_size": 320}, {"iou": 0.5}, {"confidence": 0.1}, {"runtime": "torch"}]
    models = [open_model(weights, device="cpu", **s) for s in settings]
    assert [m.runtime.kind for m in models] == ["onnx"] * 4 + ["torch"]
    assert len({m.digest for m in models}) == len(settings)
    assert open_model(weights, device="cpu").digest == models[0].digest
    assert models[0].notes == ()


def test_a_model_already_exported_starts_without_torch(weights: Path) -> None:
    open_model(weights, device="cpu")
    program = (
        "import sys; from pathlib import Path; from audit.adapters.ultralytics.detector import open_model;"
        "open_model(Path(sys.argv[1]), device='cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(weights)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"


def visible(xyxy: Any) -> Any:
    return (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])


def pair_ious(left: list[bytes], right: list[bytes], hw: tuple[int, int]) -> Any:
    sizes = np.array([hw] * len(left))
    return masks.pair_iou(objects(left), objects(right), sizes)


def test_masks_agree_with_ultralytics_own_predict(segmenter_weights: Path) -> None:
    own = load_ultralytics().YOLO(str(segmenter_weights))
    path = photo("bus.jpg")
    expected = own.predict(str(path), conf=0.05, iou=0.7, verbose=False, retina_masks=True)[0]
    detector = open_model(segmenter_weights, runtime="torch", confidence=0.05, device="cpu")
    found = table(detector.predict([item(path.read_bytes())])[0])
    boxes = expected.boxes.xyxy.cpu().numpy()
    apart = np.abs(found.xyxy[:, None] - boxes[None]).max(axis=2)
    same = (apart.min(axis=1) < 0.1) & (found.xyxy[:, 2:] - found.xyxy[:, :2] > 20).all(axis=1)
    assert same.sum() > 20, "the random model finds next to nothing: this test would prove nothing"
    drawn = expected.masks.data.cpu().numpy()
    theirs = [masks.encode(drawn[k]) for k in apart.argmin(axis=1)[same]]
    iou = pair_ious(list(found.mask[same]), theirs, expected.orig_shape)
    # random masks are confetti, nearly all outline; real ones overlap far better (see the next test)
    assert np.median(iou) > 0.85
    detector.close()


@pytest.mark.parametrize("frame_hw", [(1080, 810), (480, 640), (97, 301)])
def test_smooth_masks_agree_to_the_pixel_with_ultralytics_own(frame_hw: tuple[int, int]) -> None:
    import torch

    load_ultralytics()
    from ultralytics.utils.ops import process_mask_native

    p = place(frame_hw, (640, 640), 32)
    h, w = p.input_hw[0] // 4, p.input_hw[1] // 4
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    prototypes = np.stack([np.ones_like(x), x / w, y / h, np.sin(x / w * 6), np.sin(y / h * 6)]).astype(np.float32)
    rng = np.random.default_rng(1)
    coefficients = rng.normal(size=(30, 5)).astype(np.float32)
    corners = np.sort(rng.random((30, 2, 2)), axis=1).reshape(30, 4) * [*frame_hw[::-1], *frame_hw[::-1]]
    boxes = corners.astype(np.float32)
    found = Detections(boxes, np.ones(30, np.float32), np.zeros(30, np.int64), coefficients)
    ours = frame_masks(found, boxes, prototypes, p)
    drawn = process_mask_native(*map(torch.from_numpy, (prototypes, coefficients, boxes)), frame_hw).numpy()
    differing = [
        int((masks.decode(m, frame_hw) != d.astype(bool)).sum()) if m else int(d.sum())
        for m, d in zip(ours, drawn, strict=True)
    ]
    outline = 2 * (frame_hw[0] + frame_hw[1])
    assert sum(m is not None for m in ours) > 10
    assert max(differing) < 0.25 * outline


def test_torch_and_onnx_give_the_same_masks(segmenter_weights: Path) -> None:
    data = photo("zidane.jpg").read_bytes()
    one, other = (
        table(open_model(segmenter_weights, runtime=r, confidence=0.05, device="cpu").predict([item(data)])[0])
        for r in ("torch", "onnx")
    )
    assert abs(len(one) - len(other)) <= 0.1 * len(one)
    assert {type(m) for m in other.mask} == {bytes}
    apart = np.abs(one.xyxy[:, None] - other.xyxy[None]).max(axis=2)
    same = apart.min(axis=1) < 0.1
    assert same.mean() > 0.8
    iou = pair_ious(list(one.mask[same]), list(other.mask[apart.argmin(axis=1)[same]]), (720, 1280))
    assert np.median(iou) > 0.99


def test_an_onnx_file_of_fixed_size_runs_as_ultralytics_runs_it(weights: Path, tmp_path: Path) -> None:
    ultralytics = load_ultralytics()
    copy = tmp_path / "fixed.pt"
    copy.write_bytes(weights.read_bytes())
    made = Path(ultralytics.YOLO(str(copy)).export(format="onnx", imgsz=320, simplify=False, verbose=False))
    own = ultralytics.YOLO(str(made), task="detect").predict(str(photo("bus.jpg")), conf=0.25, verbose=False)[0]
    detector = open_model(made, confidence=0.25)
    found = table(detector.predict([item(photo("bus.jpg").read_bytes())])[0])
    assert len(found) >= 4
    assert np.allclose(found.score, own.boxes.conf.cpu().numpy(), atol=1e-3)
    assert np.allclose(found.xyxy, own.boxes.xyxy.cpu().numpy(), atol=0.5)


@pytest.mark.parametrize("form", ["torch", "onnx", "end to end"])
def test_a_model_with_two_heads_agrees_with_ultralytics(form: str, tmp_path: Path) -> None:
    ultralytics = load_ultralytics()
    yolo = lively("yolo26n.yaml", seed=7)
    path = tmp_path / "two-heads.pt"
    yolo.model.end2end = True
    yolo.save(str(path))
    if form == "end to end":
        path = Path(ultralytics.YOLO(str(path)).export(format="onnx", nms=False, imgsz=320, simplify=False))
    yolo = ultralytics.YOLO(str(path), task="detect")
    own = yolo.predict(str(photo("bus.jpg")), conf=0.05, max_det=5000, verbose=False)[0]
    expected = own.boxes.conf.cpu().numpy()[visible(own.boxes.xyxy.cpu().numpy())]
    assert len(expected) > 5, "the random model finds nothing: this test would prove nothing"
    runtime: Any = "torch" if form == "torch" else "onnx"
    detector = open_model(path, confidence=0.05, max_detections=5000, runtime=runtime, device="cpu")
    found = table(detector.predict([item(photo("bus.jpg").read_bytes())])[0])
    assert detector.runtime.facts.end_to_end == (form == "end to end")
    assert abs(len(found) - len(expected)) <= 0.05 * len(expected)
    assert np.allclose(found.score[:5], expected[:5], atol=2e-3)
    detector.close()


@pytest.mark.parametrize("kind", ["cls", "pose", "obb"])
def test_models_for_other_tasks_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"other-{kind}.pt"
    load_ultralytics().YOLO(f"yolo11n-{kind}.yaml").save(str(path))
    with pytest.raises(UsageError, match=r"supported are detection \('detect'\) and masks \('segment'\)"):
        open_model(path)


@pytest.mark.parametrize("name", ["text.pt", "text.onnx", "empty.pt", "empty.onnx", "half.pt"])
def test_files_that_are_no_weights_are_refused_in_one_line(name: str, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes({"text": b"not weights", "empty": b"", "half": weights.read_bytes()[:1_000_000]}[path.stem])
    with pytest.raises(UsageError) as caught:
        open_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


class _Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_code_inside_weights_does_not_run(tmp_path: Path) -> None:
    import torch

    path, proof = tmp_path / "evil.pt", tmp_path / "it-ran"
    torch.save({"model": _Evil(f"touch {proof}")}, path)
    torch.load(path, weights_only=False)
    assert proof.exists(), "the trap itself does not work: this test would prove nothing"
    proof.unlink()
    with pytest.raises(UsageError):
        open_model(path)
    assert not proof.exists()


def test_wrong_settings_are_refused(weights: Path) -> None:
    wrong: list[dict[str, Any]] = [{"image_size": 650}, {"confidence": 2}, {"iou": -1}, {"max_detections": 0}]
    for settings in [*wrong, {"device": "abacus"}, {"runtime": "onnx", "device": "cuda"}]:
        with pytest.raises(UsageError):
            open_model(weights, **settings)
    with pytest.raises(UsageError, match=r"\.pt or \.onnx"):
        open_model(weights.with_suffix(".txt"))


def test_without_the_extra_the_error_says_what_to_install(weights: Path, tmp_path: Path) -> None:
    blocker = "import sys; sys.modules['onnxruntime'] = sys.modules['torch'] = None\n"
    program = blocker + (
        "from pathlib import Path; from audit.errors import UsageError\n"
        "from audit.adapters.ultralytics.detector import open_model\n"
        "try: open_model(Path(sys.argv[1]), runtime='torch')\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(weights)], capture_output=True, text=True, check=True)
    assert "pip install 'cvat-audit[ultralytics]'" in done.stdout


def test_loading_ultralytics_is_offline_and_silent(tmp_path: Path) -> None:
    program = (
        "import json; from audit.adapters.ultralytics.environment import load_ultralytics\n"
        "u = load_ultralytics(); import ultralytics.utils as x; from ultralytics.nn import tasks\n"
        "print(json.dumps([x.ONLINE, x.AUTOINSTALL, tasks.SAFE_LOAD, str(x.USER_CONFIG_DIR)]))"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    online, autoinstall, safe, folder = json.loads(done.stdout)
    assert (online, autoinstall, safe) == (False, False, True)
    assert folder.startswith(str(tmp_path))
