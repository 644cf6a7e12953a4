"""SAM: real LiteMedSAM weights, and the other architectures with random ones, through the same loader.

No weights of MobileSAM, SAM or SAM 2 are to be had where these tests run: theirs are random, so what is
tested is that files load, prompts go in and masks of the right place and size come out, not that they are good.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)

from audit.adapters.pictures import decode_rgb
from audit.adapters.ultralytics.environment import load_ultralytics
from audit.errors import UsageError
from audit.serving import sam_onnx
from audit.serving.drawing import framed
from audit.serving.embeddings import EmbeddingCache
from audit.serving.interacting import Interactor
from audit.serving.requests import BadRequestError, prompt_request
from audit.serving.sam_networks import Network, Prompts, open_sam
from audit.serving.sam_weights import kind_of, open_sam_weights
from tests.serving.cases import disc, disc_box, encoded, file_of, iou, mask_of_runs, picture

ROOT = Path(__file__).resolve().parents[2]
BUS = [4.0, 229, 796, 728]
"""Where the bus is in ultralytics' bus.jpg."""
BLOOD = ROOT.parent / "shared" / "data" / "bccd143"


@pytest.fixture(scope="module")
def lite() -> Network:
    return open_sam("lite_medsam", device="cpu")


@pytest.fixture(scope="module")
def interactor(lite: Network) -> Interactor:
    """Shared by the tests, as annotators share it."""
    return Interactor(lite, EmbeddingCache(50_000_000))


@pytest.fixture
def fresh(lite: Network) -> Interactor:
    return Interactor(lite, EmbeddingCache(50_000_000))


def ask(interactor: Interactor, image: str, **prompts: Any) -> tuple[list[dict[str, Any]], str]:
    reply = interactor.handle({"image": image, "pos_points": [], "neg_points": [], "obj_bbox": None, **prompts})
    return json.loads(reply.text)["shapes"], reply.note


def random_weights(kind: str, folder: Path) -> Path:
    load_ultralytics()
    torch: Any = __import__("torch")
    from ultralytics.models.sam import build

    torch.manual_seed(0)
    path = folder / f"{kind}.pt"
    torch.save({"model": getattr(build, f"build_{kind}")(None).state_dict()}, path)
    return path


def test_a_box_around_a_disc_gives_the_disc(interactor: Interactor) -> None:
    (shape,), _ = ask(interactor, picture(), obj_bbox=disc_box())
    y, x = np.mgrid[:240, :320]
    truth = (x - 160) ** 2 + (y - 120) ** 2 < 60**2
    assert iou(mask_of_runs(shape["points"], (240, 320)), truth) > 0.9
    assert float(shape["attributes"][0]["value"]) > 0.5, "CVAT's slider hides what is below 0.5"


def test_corners_in_any_order_give_the_same_mask(interactor: Interactor) -> None:
    (a, b) = disc_box()
    assert ask(interactor, picture(), obj_bbox=[a, b]) == ask(interactor, picture(), obj_bbox=[b, a])


def test_a_repeated_click_decodes_and_encodes_nothing(fresh: Interactor, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture()
    ask(fresh, image, obj_bbox=disc_box())
    assert (fresh.decoded, fresh.encoded) == (1, 1)

    def never(*_: object) -> None:
        raise AssertionError("a repeated click must not decode the picture")

    monkeypatch.setattr("audit.serving.requests.decode", never)
    monkeypatch.setattr("audit.serving.requests.base64.b64decode", never)
    monkeypatch.setattr(fresh.network, "encode", never)
    for x in (150, 160, 170):
        ask(fresh, image, obj_bbox=disc_box(), pos_points=[[x, 120]])
    assert (fresh.decoded, fresh.encoded) == (1, 1)
    monkeypatch.undo()
    ask(fresh, picture(seed=1), obj_bbox=disc_box())
    assert (fresh.decoded, fresh.encoded) == (2, 2)


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ({}, "no positive click and no box"),
        ({"neg_points": [[5.5, 5.5]]}, "no positive click and no box"),
        ({"pos_points": [[-5, 5], [9999, 5]]}, "all prompts lie outside"),
        ({"obj_bbox": [[400, 300], [500, 400]]}, "all prompts lie outside"),
        ({"obj_bbox": [[50, 50], [50.2, 90]]}, "all prompts lie outside"),
        ({"pos_points": [[1e300, 5]]}, "all prompts lie outside"),
    ],
)
def test_nothing_to_look_for_is_an_empty_answer(interactor: Interactor, prompts: dict[str, Any], reason: str) -> None:
    shapes, note = ask(interactor, picture(), **prompts)
    assert shapes == [] and reason in note


def test_clicks_outside_are_left_out(interactor: Interactor) -> None:
    inside = {"obj_bbox": disc_box(), "pos_points": [[160, 120]]}
    outside = {**inside, "pos_points": [[160, 120], [-3, 5]], "neg_points": [[160, 999]]}
    assert ask(interactor, picture(), **inside) == ask(interactor, picture(), **outside)


def test_a_box_over_the_edge_is_cut_off(interactor: Interactor) -> None:
    (shape,), _ = ask(interactor, picture(), obj_bbox=[[-50, -50], [500, 500]])
    assert mask_of_runs(shape["points"], (240, 320)).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (700, 3), (33, 57)])
def test_pictures_of_odd_sizes(interactor: Interactor, size: tuple[int, int]) -> None:
    w, h = size
    image = encoded(file_of(disc(w, h), "PNG"))
    shapes, _ = ask(interactor, image, pos_points=[[w / 2, h / 2]], obj_bbox=[[0, 0], [w, h]])
    for shape in shapes:
        assert mask_of_runs(shape["points"], (h, w)).any()


def test_a_bad_picture_leaves_the_interactor_as_it_was(fresh: Interactor) -> None:
    with pytest.raises(BadRequestError, match="not a whole image"):
        ask(fresh, encoded(file_of(disc())[:3000]), obj_bbox=disc_box())
    assert len(fresh.cache) == 0
    assert ask(fresh, picture(), obj_bbox=disc_box())[0]


@pytest.mark.parametrize("output", ["polygon", "rectangle"])
def test_other_outputs_fit_the_mask(interactor: Interactor, output: str) -> None:
    (shape,), _ = ask(interactor, picture(), obj_bbox=disc_box(), output=output)
    xy = np.array(shape["points"]).reshape(-1, 2)
    assert shape["type"] == output
    assert np.allclose([*xy.min(axis=0), *xy.max(axis=0)], [100, 60, 220, 180], atol=6)


def test_the_embedding_survives_half_precision_and_bytes(lite: Network) -> None:
    from audit.serving.embeddings import Embedding

    embedding = lite.encode(np.asarray(disc()))
    prompts = Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), np.array(disc_box()).reshape(4))
    again = Embedding.from_bytes(embedding.to_bytes())
    assert again is not None
    assert np.array_equal(lite.decode(embedding, prompts).logits, lite.decode(again, prompts).logits)


def test_boxes_of_real_blood_cells_give_masks_that_fill_them(fresh: Interactor) -> None:
    if not BLOOD.exists():
        pytest.skip("the blood-cell photos are not beside this checkout")
    content = json.loads((BLOOD / "annotations.json").read_text(encoding="utf-8"))
    found, sure = [], []
    for image in content["images"][3:4]:
        data = encoded((BLOOD / image["file_name"]).read_bytes())
        hw = (image["height"], image["width"])
        for x, y, w, h in [a["bbox"] for a in content["annotations"] if a["image_id"] == image["id"]][:8]:
            shapes, _ = ask(fresh, data, obj_bbox=[[x, y], [x + w, y + h]])
            mask = mask_of_runs(shapes[0]["points"], hw) if shapes else np.zeros(hw, bool)
            inside = mask[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1].sum()
            found.append(inside / max(mask.sum(), 1) > 0.8 and 0.25 < inside / (w * h) < 1)
            sure.append(bool(shapes) and float(shapes[0]["attributes"][0]["value"]) >= 0.5)
    assert np.mean(found) > 0.8 and np.mean(sure) > 0.8
    assert fresh.encoded == 1


@pytest.mark.parametrize("kind", ["mobile_sam", "sam2_t"])
def test_other_architectures_load_and_answer(kind: str, tmp_path: Path) -> None:
    network = open_sam(str(random_weights(kind, tmp_path)), device="cpu", runtime="torch")
    assert network.kind == kind
    embedding = network.encode(np.asarray(disc(200, 100)))
    assert embedding.frame_hw == (100, 200)
    box = np.array([50.0, 20, 150, 80])
    none, click = np.zeros((0, 2)), np.array([[100.0, 50]])
    for prompts, count in [
        (Prompts(click, np.ones(1, np.int64), None), 3),
        (Prompts(np.repeat(click, 2, axis=0), np.array([1, 0]), None), 1),
        (Prompts(none, np.zeros(0, np.int64), box), 1),
        (Prompts(click, np.ones(1, np.int64), box), 1),
    ]:
        found = network.decode(embedding, prompts)
        assert found.logits.shape == (count, 256, 256) and found.score.shape == (count,)
        assert np.isfinite(found.logits).all()


def test_onnxruntime_and_torch_give_the_same_masks(lite: Network) -> None:
    assert lite.notes == "" and lite.onnx is not None  # type: ignore[attr-defined]  # only small SAMs have one
    torch_only = open_sam("lite_medsam", device="cpu", runtime="torch")
    photo = Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg"
    for rgb, box in [(np.asarray(disc()), np.array(disc_box()).ravel()), (decode_rgb(photo.read_bytes()), BUS)]:
        prompts = Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), np.asarray(box, np.float64))
        a, b = (n.decode(n.encode(rgb), prompts).logits[0] > 0 for n in (lite, torch_only))
        assert a.any() and iou(a, b) >= 0.99


@pytest.mark.parametrize("kind", ["mobile_sam", "lite_medsam"])
def test_onnxruntime_decodes_any_number_of_prompts_as_torch_does(kind: str, lite: Network, tmp_path: Path) -> None:
    wanted = "lite_medsam" if kind == "lite_medsam" else str(random_weights(kind, tmp_path))
    network: Any = open_sam(wanted, device="cpu", runtime="torch")
    sam_onnx._write_decoder(network.model, tmp_path / "decoder.onnx", threads=2)
    embedding = network.encode(np.asarray(disc(200, 100)))
    box, clicks = np.array([50.0, 20, 150, 80]), np.array([[100.0, 50], [20, 20], [110, 60], [180, 90]])
    asked = [
        Prompts(clicks[:n], np.arange(n) % 2 ^ 1, b) for n in (0, 1, 2, 4) for b in (None, box) if n or b is not None
    ]
    expected = [network.decode(embedding, prompts) for prompts in asked]
    network.onnx = (None, sam_onnx.OnnxDecoder(tmp_path / "decoder.onnx", 2))
    for prompts, theirs in zip(asked, expected, strict=True):
        ours = network.decode(embedding, prompts)
        assert ours.logits.shape == theirs.logits.shape
        assert np.allclose(ours.logits, theirs.logits, atol=5e-3) and np.allclose(ours.score, theirs.score, atol=1e-3)


def test_where_a_prompt_lies_reaches_the_network(lite: Network) -> None:
    """The mask's middle follows the box: frame pixels are scaled to the network's, and back."""
    wide = np.zeros((300, 900, 3), np.uint8)
    wide[100:200, 100:200] = wide[100:200, 700:800] = 200
    embedding = lite.encode(wide)
    for left in (100, 700):
        box = np.array([left - 8.0, 92, left + 108, 208])
        found = lite.decode(embedding, Prompts(np.zeros((0, 2)), np.zeros(0, np.int64), box))
        region = framed(found.logits[0], lite.grid_gain((300, 900)), (300, 900))
        assert region is not None
        assert np.allclose(region.inclusive_box, [left, 100, left + 99, 199], atol=8)


def test_framing_is_exact_where_nothing_is_interpolated() -> None:
    logits = np.full((256, 256), -1.0, np.float32)
    logits[10:20, 30:50] = 1
    region = framed(logits, (1.0, 1.0), (256, 256))
    assert region is not None and region.inclusive_box == [30, 10, 49, 19] and region.mask.all()


@pytest.mark.parametrize("scale", [2, 4, 16])
def test_framing_agrees_with_interpolating_the_whole(scale: int) -> None:
    cv2 = pytest.importorskip("cv2")
    y, x = np.mgrid[:256, :256]
    logits = (60 - np.hypot(x - 100, y - 140)).astype(np.float32)
    whole = cv2.resize(logits, (256 * scale, 256 * scale), interpolation=cv2.INTER_LINEAR) > 0
    region = framed(logits, (1 / scale, 1 / scale), whole.shape)
    assert region is not None
    found = np.zeros(whole.shape, bool)
    h, w = region.mask.shape
    found[region.top : region.top + h, region.left : region.left + w] = region.mask
    assert iou(found, whole) > 0.999


def test_framing_of_nothing_and_of_padding_only() -> None:
    nothing = np.full((256, 256), -1.0, np.float32)
    assert framed(nothing, (1.0, 1.0), (100, 256)) is None
    nothing[200:, :] = 1  # below the picture, in what was padded
    assert framed(nothing, (1.0, 1.0), (100, 256)) is None


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
def test_files_that_are_no_weights(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a file of tensors"):
        open_sam_weights(str(path))


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    path = tmp_path / "evil.pt"
    torch.save({"model": Path("x")}, path)
    with pytest.raises(UsageError, match="safely"):
        open_sam_weights(str(path))


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(UsageError, match=r"nobody\.pt: no such weights file"):
        open_sam_weights("nobody.pt")
    assert open_sam_weights("lite_medsam.pth")[1] == "lite_medsam"


def test_weights_of_something_else_are_named(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    path = tmp_path / "other.pt"
    torch.save({"a.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(UsageError, match="holds no SAM that is known"):
        open_sam_weights(str(path))
    torch.save({"image_encoder.patch_embed.seq.0.c.weight": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(UsageError, match="tensors are missing"):
        open_sam_weights(str(path))
    assert kind_of({}) == ""


def test_an_unknown_output_is_the_callers_fault() -> None:
    with pytest.raises(BadRequestError):
        prompt_request({"image": picture(8, 8), "pos_points": [], "output": 5})
