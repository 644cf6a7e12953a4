"""What CVAT sends, and what anybody else might."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.serving.requests import (
    BadRequestError,
    Picture,
    detector_request,
    parse_body,
    prompt_request,
)
from tests.serving.cases import GOLDEN, RECORDED, disc, encoded, file_of, picture

IMAGE = picture(32, 24)


def prompts(**keys: Any) -> dict[str, Any]:
    return {"image": IMAGE, "pos_points": [[1, 2]], "neg_points": [], "obj_bbox": None, **keys}


@pytest.mark.parametrize("call", RECORDED, ids=lambda c: c["kind"])
def test_everything_cvat_was_seen_to_send_is_understood(call: dict[str, Any]) -> None:
    body = {**call["body"], "image": IMAGE}
    if call["kind"] == "detector":
        assert detector_request(body, 0.25).threshold == body.get("threshold", 0.25)
    else:
        found = prompt_request(body)
        assert found.positive.tolist() == body["pos_points"] and found.negative.tolist() == body["neg_points"]
        assert (found.box is None) == (not body["obj_bbox"])


def test_the_recordings_give_what_is_kept_of_them() -> None:
    from tests.serving.distil import RECORDINGS, distil

    if not RECORDINGS.exists():
        pytest.skip("the recordings are not beside this checkout")
    assert distil() == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("box", [None, []])
def test_no_box(box: object) -> None:
    assert prompt_request(prompts(obj_bbox=box)).box is None


def test_a_box_drawn_from_right_below_is_turned() -> None:
    assert prompt_request(prompts(obj_bbox=[[9, 1], [2, 8]])).box is not None
    assert np.array_equal(prompt_request(prompts(obj_bbox=[[9, 8], [2, 1]])).box, [2, 1, 9, 8])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytes, str])
def test_json_that_nuclio_left_unparsed_is_parsed(kind: type) -> None:
    text = json.dumps({"image": IMAGE})
    assert parse_body(text.encode() if kind is bytes else text)["image"] == IMAGE


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1]", b"5", b"null", None, 5, [], "x", b"[" * 100_000])
def test_a_body_that_is_no_object(body: object) -> None:
    with pytest.raises(BadRequestError, match="expected a JSON object with the key 'image'"):
        parse_body(body)


BAD_PROMPTS: list[tuple[dict[str, Any], str]] = [
    ({"image": None}, "image: expected base64 of an image file, got nothing"),
    ({"image": ""}, "image: expected base64"),
    ({"image": 5}, "got a number"),
    ({"image": {"a": 1}}, "got an object"),
    ({"image": "ä"}, "other characters"),
    ({"pos_points": "x"}, "pos_points: expected a list"),
    ({"pos_points": [[1]]}, r"pos_points\[0\]: expected \[x, y\], got a list of 1"),
    ({"pos_points": [[1, 2], [1, "2"]]}, r"pos_points\[1\]: expected a number, got text"),
    ({"pos_points": [[1, float("nan")]]}, "expected a finite number, got nan"),
    ({"pos_points": [[1, float("inf")]]}, "expected a finite number, got inf"),
    ({"pos_points": [[1, 10**400]]}, "expected a finite number, got inf"),
    ({"pos_points": [[True, 1]]}, "expected a number, got true or false"),
    ({"pos_points": [[1, 2]] * 1001}, "at most 1000"),
    ({"neg_points": {}}, "neg_points: expected a list"),
    ({"obj_bbox": [[1, 2]]}, "obj_bbox: expected two corners"),
    ({"obj_bbox": [1, 2, 3, 4]}, r"obj_bbox\[0\]: expected \[x, y\]"),
    ({"output": "svg"}, "output: expected one of mask, polygon, rectangle, legacy"),
]


@pytest.mark.parametrize(("change", "message"), BAD_PROMPTS, ids=lambda v: str(v)[:30])
def test_bad_prompts_get_one_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequestError, match=message) as caught:
        prompt_request(prompts(**change))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_prompts_must_be_named_but_may_be_empty() -> None:
    with pytest.raises(BadRequestError, match="none of these keys"):
        prompt_request({"image": IMAGE})
    assert prompt_request({"image": IMAGE, "pos_points": []}).box is None


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), -0.1, 1.1, "0.5", True, []])
def test_bad_thresholds(threshold: object) -> None:
    with pytest.raises(BadRequestError, match="threshold: expected"):
        detector_request({"image": IMAGE, "threshold": threshold}, 0.25)


@pytest.mark.parametrize("threshold", [0, 0.5, 1, None])
def test_good_thresholds(threshold: Any) -> None:
    expected = 0.25 if threshold is None else threshold
    assert detector_request({"image": IMAGE, "threshold": threshold}, 0.25).threshold == expected


def sixteen_bit() -> bytes:
    return file_of(Image.fromarray(np.full((24, 32), 0x8000, np.uint16)), "PNG")


@pytest.mark.parametrize(
    ("data", "hw"),
    [
        (file_of(disc(32, 24)), (24, 32)),
        (file_of(disc(32, 24), "PNG"), (24, 32)),
        (file_of(disc(32, 24).convert("CMYK")), (24, 32)),
        (file_of(disc(32, 24).convert("L")), (24, 32)),
        (file_of(disc(32, 24).convert("P"), "PNG"), (24, 32)),
        (file_of(disc(32, 24).convert("RGBA"), "PNG"), (24, 32)),
        (sixteen_bit(), (24, 32)),
        (file_of(disc(1, 1), "PNG"), (1, 1)),
    ],
    ids=["jpeg", "png", "cmyk", "grey", "palette", "alpha", "16-bit", "1x1"],
)
def test_pictures_of_all_kinds_become_rgb(data: bytes, hw: tuple[int, int]) -> None:
    pixels = Picture(encoded(data)).pixels(80)
    assert pixels.shape == (*hw, 3) and pixels.dtype == np.uint8


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    assert Picture(encoded(sixteen_bit())).pixels(80).max() == 0x80


def test_a_photo_turned_by_exif_is_turned_as_cvat_shows_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = Picture(encoded(file_of(disc(32, 24), exif=exif))).pixels(80)
    assert pixels.shape == (32, 24, 3)


def huge_png() -> bytes:
    """A header that promises 100 megapixels; the pixels are never needed."""
    data = bytearray(file_of(disc(8, 8), "PNG"))
    data[16:24] = (10_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("not base64!", "image: expected base64 of an image file"),
        ("YWJj", "the image is not an image"),
        (encoded(b"<svg/>" * 50), "the image is not an image"),
        (encoded(file_of(disc())[:2000]), "the image is not a whole image"),
        (encoded(huge_png()), "10000 x 10000 px, more than the 80 megapixels allowed"),
    ],
    ids=["no base64", "no image", "svg", "truncated", "100 megapixels"],
)
def test_bad_images(image: str, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        Picture(image).pixels(80)


def test_the_digest_needs_no_decoding() -> None:
    one = Picture("!!!")  # not base64 at all
    assert one.digest == Picture("!!!").digest != Picture("???").digest
