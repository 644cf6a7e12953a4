"""The functions in serverless over HTTP, with what CVAT 2.73 was seen to send; answers checked by its contract."""

from __future__ import annotations

import importlib.util
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

if importlib.util.find_spec("ultralytics") is None:  # not importorskip: importing it first must be ours
    pytest.skip("the ultralytics extra is not installed", allow_module_level=True)
pytest.importorskip("nuclio_sdk", reason="nuclio-sdk is not installed")

import yaml

from audit.adapters.ultralytics.environment import load_ultralytics
from audit.adapters.ultralytics.weights import find_weights
from audit.serving.detecting import DetectorFunction
from audit.serving.host.config import TAKEN_BY_THE_UI, read_function
from audit.serving.host.serve import Host
from audit.serving.sam_weights import KNOWN_SAM_WEIGHTS
from tests.serving.cases import (
    RECORDED,
    ROOT,
    Client,
    disc,
    disc_box,
    encoded,
    file_of,
    iou,
    mask_of_crop,
    mask_of_runs,
    picture,
)
from tests.serving.test_requests import huge_png, sixteen_bit

SAM, YOLO = "cvat-audit-sam", "cvat-audit-yolo"
FOLDERS = [ROOT / "serverless" / "yolo", ROOT / "serverless" / "sam"]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    find_weights("yolo11n")
    find_weights("lite_medsam", known=KNOWN_SAM_WEIGHTS)  # fetched here, not within the time of a worker's start
    with Host(FOLDERS, port=0, say=print) as host:
        host.wait_ready()
        yield Client(host.port)


@pytest.fixture(scope="module")
def bus() -> bytes:
    return (Path(str(load_ultralytics().__file__)).parent / "assets" / "bus.jpg").read_bytes()


def answered(client: Client, name: str, body: dict[str, Any]) -> Any:
    status, content_type, text = client.invoke(name, body)
    assert (status, content_type) == (200, "application/json"), text
    return json.loads(text)


def prompts(**keys: Any) -> dict[str, Any]:
    return {"image": picture(), "pos_points": [], "neg_points": [], "obj_bbox": [], **keys}


def check_interactor(reply: Any, frame_hw: tuple[int, int]) -> None:
    """One mask at most, its runs filling its box, its confidence as text."""
    assert set(reply) == {"shapes"} and len(reply["shapes"]) <= 1
    for shape in reply["shapes"]:
        assert shape["type"] == "mask" and mask_of_runs(shape["points"], frame_hw).any()
        (attribute,) = shape["attributes"]
        assert attribute["spec_id"] == 0 and isinstance(attribute["value"], str)
        assert 0 <= float(attribute["value"]) <= 1


def check_detector(reply: Any, labels: set[str]) -> None:
    assert isinstance(reply, list)
    for item in reply:
        assert item["label"] in labels and item["type"] == "rectangle" and len(item["points"]) == 4
        assert isinstance(item["confidence"], str) and 0 <= float(item["confidence"]) <= 1


@pytest.mark.parametrize("call", RECORDED, ids=lambda c: c["kind"])
def test_what_cvat_sent_is_answered_as_it_wants(client: Client, call: dict[str, Any]) -> None:
    size = call["body"]["image"]
    name = SAM if call["kind"] == "interactor" else YOLO
    body = {**call["body"], "image": picture(size["width"], size["height"])}
    headers = {**call["headers"], "x-nuclio-function-name": name}
    status, content_type, text = client.request("POST", "/api/function_invocations", json.dumps(body).encode(), headers)
    assert (status, content_type) == (200, "application/json"), text
    if call["kind"] == "interactor":
        check_interactor(json.loads(text), (size["height"], size["width"]))
    else:
        check_detector(json.loads(text), set(labels_of(client)))


def labels_of(client: Client) -> list[str]:
    annotations = client.functions()[YOLO]["metadata"]["annotations"]
    return [label["name"] for label in json.loads(annotations["spec"])]


def test_the_list_has_what_decides_whether_the_wand_works(client: Client) -> None:
    listed = client.functions()
    assert set(listed) == {SAM, YOLO} and TAKEN_BY_THE_UI not in listed
    assert all({"metadata", "spec", "status"} <= set(f) and f["status"]["state"] == "ready" for f in listed.values())
    wand = listed[SAM]["metadata"]["annotations"]
    assert wand["type"] == "interactor" and int(wand["version"]) >= 2
    assert int(wand["min_pos_points"]) == 0, "else a box alone sends nothing"
    assert wand["startswith_box_optional"] == "true" and "startswith_box" not in wand


def test_the_labels_are_the_weights_own(client: Client) -> None:
    own = labels_of(client)
    assert len(own) == 80 and own[0] == "person"
    for file in ("function.yaml", "function-gpu.yaml"):
        stated = json.loads(read_function(FOLDERS[0] / file).annotations["spec"])
        assert [label["name"] for label in stated] == own


def test_the_bus_has_its_people(client: Client, bus: bytes) -> None:
    found = [(i["label"], float(i["confidence"])) for i in answered(client, YOLO, {"image": encoded(bus)})]
    assert found[:4] == [("bus", 0.94), ("person", 0.89), ("person", 0.88), ("person", 0.86)]
    few = answered(client, YOLO, {"image": encoded(bus), "threshold": 0.88})
    many = answered(client, YOLO, {"image": encoded(bus), "threshold": 0.01})
    assert len(few) == 2 < len(found) < len(many)
    assert {json.dumps(i) for i in few} <= {json.dumps(i) for i in many}


def test_a_detector_that_finds_nothing_answers_an_empty_list(client: Client) -> None:
    assert answered(client, YOLO, {"image": picture(64, 64), "threshold": 1}) == []


def test_a_box_alone_gives_the_mask(client: Client) -> None:
    (shape,) = answered(client, SAM, prompts(obj_bbox=disc_box()))["shapes"]
    y, x = np.mgrid[:240, :320]
    assert iou(mask_of_runs(shape["points"], (240, 320)), (x - 160) ** 2 + (y - 120) ** 2 < 3600) > 0.9
    assert float(shape["attributes"][0]["value"]) >= 0.5


def test_the_legacy_reply_for_those_who_ask(client: Client) -> None:
    mask = answered(client, SAM, prompts(obj_bbox=disc_box(), output="legacy"))["mask"]
    assert np.array(mask).shape == (240, 320) and {v for row in mask for v in row} == {0, 1}


@pytest.mark.parametrize(
    "change",
    [
        {"neg_points": [[5.5, 5.5]]},
        {"pos_points": [[9999, 9999]]},
        {"obj_bbox": None},
        {"obj_bbox": [[500, 500], [600, 600]]},
    ],
    ids=["right click first", "outside", "no prompt", "box outside"],
)
def test_nothing_found_is_an_empty_list_with_200(client: Client, change: dict[str, Any]) -> None:
    assert answered(client, SAM, prompts(**change)) == {"shapes": []}


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_of(disc(320, 200).rotate(90, expand=True), exif=exif)


@pytest.mark.parametrize(
    ("data", "hw"),
    [
        (file_of(disc(1, 1), "PNG"), (1, 1)),
        (file_of(disc().convert("CMYK")), (240, 320)),
        (sixteen_bit(), (24, 32)),
        (turned(), (200, 320)),
    ],
    ids=["1x1", "CMYK", "16-bit", "EXIF"],
)
def test_odd_pictures_are_answered(client: Client, data: bytes, hw: tuple[int, int]) -> None:
    check_detector(answered(client, YOLO, {"image": encoded(data)}), set(labels_of(client)))
    h, w = hw
    box = [[w / 4 - 2, h / 4 - 2], [w * 3 / 4 + 2, h * 3 / 4 + 2]]
    check_interactor(answered(client, SAM, prompts(image=encoded(data), obj_bbox=box)), hw)


def test_a_photo_turned_by_exif_has_its_mask_where_cvat_shows_the_object(client: Client) -> None:
    (shape,) = answered(client, SAM, prompts(image=encoded(turned()), obj_bbox=disc_box(320, 200)))["shapes"]
    y, x = np.mgrid[:200, :320]
    assert iou(mask_of_runs(shape["points"], (200, 320)), (x - 160) ** 2 + (y - 100) ** 2 < 2500) > 0.85


BAD: list[tuple[str, Any]] = [
    ("not base64", {"image": "what?"}),
    ("not an image", {"image": encoded(b"hello")}),
    ("truncated", {"image": encoded(file_of(disc())[:3000])}),
    ("100 megapixels", {"image": encoded(huge_png())}),
    ("no image", {}),
    ("image is null", {"image": None}),
    ("a list", [1, 2]),
    ("text", "hello"),
    ("no JSON", b"{broken"),
    ("empty", b""),
    ("binary", bytes(range(256))),
]


@pytest.mark.parametrize("name", [SAM, YOLO])
@pytest.mark.parametrize(("case", "body"), BAD, ids=[c for c, _ in BAD])
def test_bad_input_is_a_400_with_one_sentence(client: Client, name: str, case: str, body: Any) -> None:
    if isinstance(body, dict) and name == SAM:
        body = {"pos_points": [[1, 1]], "neg_points": [], "obj_bbox": None, **body}
    status, content_type, text = client.invoke(name, body)
    assert (status, content_type) == (400, "application/json"), case
    assert set(json.loads(text)) == {"error"} and "\n" not in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (YOLO, {"threshold": float("nan")}),
        (YOLO, {"threshold": "high"}),
        (SAM, {"pos_points": [[float("nan"), 1]]}),
        (SAM, {"pos_points": "x"}),
        (SAM, {"obj_bbox": [1, 2, 3, 4]}),
    ],
)
def test_bad_values_are_a_400(client: Client, name: str, change: dict[str, Any]) -> None:
    assert client.invoke(name, prompts(**change))[0] == 400


def test_no_bad_input_has_cost_a_worker(client: Client) -> None:
    text = client.request("GET", "/metrics")[2].decode()
    assert [line for line in text.splitlines() if line.startswith("function_worker_restarts_total{")] == [
        f'function_worker_restarts_total{{function="{name}"}} 0' for name in (YOLO, SAM)
    ]


def test_a_body_whose_type_names_a_charset_is_read_all_the_same(client: Client) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert client.invoke(YOLO, {"image": picture(64, 64)}, **headers)[0] == 200


def test_eight_people_click_at_once(client: Client) -> None:
    def click(i: int) -> list[Any]:
        image = picture(seed=i % 2)
        return [client.invoke(SAM, prompts(image=image, obj_bbox=disc_box())) for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        answers = [a for pair in pool.map(click, range(8)) for a in pair]
    assert {a[0] for a in answers} == {200} and len({a[2] for a in answers}) == 2


def test_a_repeated_click_on_a_large_photo_is_much_faster_than_the_first(client: Client) -> None:
    image = picture(3000, 2000, seed=9)
    took = []
    for _ in range(3):
        started = time.perf_counter()
        check_interactor(answered(client, SAM, prompts(image=image, obj_bbox=disc_box(3000, 2000))), (2000, 3000))
        took.append(time.perf_counter() - started)
    assert min(took[1:]) < took[0] / 2


def segmentation_weights(folder: Path) -> Path:
    """yolo11n's masks with random weights: that shapes are encoded rightly does not hang on what they show."""
    ultralytics = load_ultralytics()
    torch: Any = __import__("torch")
    torch.manual_seed(1)
    path = folder / "random-seg.pt"
    ultralytics.YOLO("yolo11n-seg.yaml").save(str(path))
    return path


def test_a_segmentation_model_gives_masks_with_polygons(tmp_path: Path, bus: bytes) -> None:
    function = DetectorFunction(segmentation_weights(tmp_path), threshold=0.0, device="cpu")
    assert {label["type"] for label in function.spec} == {"mask"}
    found = json.loads(function.handle({"image": encoded(bus)}).text)
    assert found, "with a threshold of 0 a random model finds something"
    width, height = Image.open(io.BytesIO(bus)).size
    for item in found[:20]:
        assert item["type"] == "mask" and mask_of_crop(item["mask"], (height, width)).any()
        assert len(item["points"]) >= 6 and len(item["points"]) % 2 == 0


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_gpus_file_differs_only_in_what_a_gpu_needs(folder: Path) -> None:
    plain, gpu = (
        yaml.safe_load((folder / f).read_text(encoding="utf-8")) for f in ("function.yaml", "function-gpu.yaml")
    )
    assert gpu["spec"].pop("resources") == {"limits": {"nvidia.com/gpu": 1}}
    devices = [next(e for e in y["spec"]["env"] if e["name"] == "DEVICE") for y in (plain, gpu)]
    assert [d.pop("value") for d in devices] == ["cpu", "cuda"]
    for one in (plain, gpu):
        del one["metadata"]["annotations"]["name"], one["spec"]["build"]
    assert plain == gpu
