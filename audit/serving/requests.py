"""What CVAT sends to a function, checked. The image travels as base64 with every call, and has no id."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import PictureError
from audit.core.table import FloatArray
from audit.serving.long_json import quickly_parsed
from audit.serving.pixels import decode, read_header

MAX_MEGAPIXELS = 80.0
"""Default bound on a picture, read from its header before a pixel is decoded."""
MAX_SIDE_PX = 32_000
"""OpenCV resamples nothing larger than 32,767 px."""
MAX_POINTS = 1000
"""Clicks in one request; a person makes a few dozen."""

Output = Literal["mask", "polygon", "rectangle", "legacy"]
OUTPUTS = ("mask", "polygon", "rectangle", "legacy")

Body = Mapping[str, Any]


class BadRequestError(Exception):
    """The caller's fault: HTTP 400. The text is one sentence that says what was expected and what came."""


@dataclass(frozen=True)
class Picture:
    """An image as it came. encoded: base64 text, not decoded before ``data`` is asked for."""

    encoded: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the base64 text: as good as that of the bytes, and known without decoding them."""
        return hashlib.sha256(self.encoded.encode()).hexdigest()

    @cached_property
    def data(self) -> bytes:
        """The image file's bytes. Raises BadRequestError."""
        try:
            return base64.b64decode(self.encoded, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequestError(f"image: expected base64 of an image file ({error})") from None

    def pixels(self, max_megapixels: float) -> NDArray[np.uint8]:
        """(h, w, 3) RGB, turned as EXIF says, which is how CVAT shows it. Raises BadRequestError.

        What its header tells to be larger than allowed is not decoded.
        """
        try:
            header = read_header(self.data)
            width, height = header.width, header.height
            if height * width > max_megapixels * 1e6 or max(height, width) > MAX_SIDE_PX:
                raise BadRequestError(
                    f"the image has {width} x {height} px, more than the {max_megapixels:g} megapixels allowed"
                )
            return decode(self.data, header)
        except PictureError as error:
            raise BadRequestError(f"the image {error}") from None


@dataclass(frozen=True)
class DetectorRequest:
    """threshold: scores below it are not wanted, in [0, 1]."""

    picture: Picture
    threshold: float


@dataclass(frozen=True)
class PromptRequest:
    """Prompts in pixels of the shown picture. positive, negative: (n, 2) xy. box: (4,) xyxy in order, or None."""

    picture: Picture
    positive: FloatArray
    negative: FloatArray
    box: FloatArray | None
    output: Output


def parse_body(body: object) -> Body:
    """The JSON object of a request. Nuclio parses it only for the exact type ``application/json``; else it is bytes."""
    if isinstance(body, (bytes, bytearray, str)):
        try:
            quick = quickly_parsed(body) if isinstance(body, bytes) else None
            body = json.loads(body) if quick is None else quick
        except (ValueError, RecursionError):
            raise BadRequestError(
                "expected a JSON object with the key 'image', got something that is not JSON"
            ) from None
    if not isinstance(body, Mapping):
        raise BadRequestError(f"expected a JSON object with the key 'image', got {_kind(body)}")
    return body


def detector_request(body: Body, default_threshold: float) -> DetectorRequest:
    """What to detect in. Raises BadRequestError."""
    value = body.get("threshold")
    threshold = default_threshold if value is None else _number(value, "threshold")
    if not 0 <= threshold <= 1:
        raise BadRequestError(f"threshold: expected a number from 0 to 1, got {threshold:g}")
    return DetectorRequest(_picture(body), threshold)


def prompt_request(body: Body) -> PromptRequest:
    """What to segment. Raises BadRequestError; no prompt at all in lists that are there is not an error."""
    if not any(key in body for key in ("pos_points", "neg_points", "obj_bbox")):
        raise BadRequestError("expected prompts in 'pos_points', 'neg_points' or 'obj_bbox', got none of these keys")
    output = body.get("output", "mask")
    if output not in OUTPUTS:
        raise BadRequestError(f"output: expected one of {', '.join(OUTPUTS)}, got {str(output)[:40]!r}")
    return PromptRequest(
        picture=_picture(body),
        positive=_points(body.get("pos_points"), "pos_points"),
        negative=_points(body.get("neg_points"), "neg_points"),
        box=_box(body.get("obj_bbox")),
        output=cast(Output, output),
    )


def _picture(body: Body) -> Picture:
    image = body.get("image")
    if not isinstance(image, str) or not image:
        raise BadRequestError(f"image: expected base64 of an image file, got {_kind(image)}")
    if not image.isascii():
        raise BadRequestError("image: expected base64 of an image file, got text with other characters")
    return Picture(image)


def _points(value: object, name: str) -> FloatArray:
    if value is None:
        return np.zeros((0, 2))
    if not isinstance(value, list) or len(value) > MAX_POINTS:
        raise BadRequestError(f"{name}: expected a list of at most {MAX_POINTS} [x, y], got {_kind(value)}")
    rows = []
    for i, point in enumerate(value):
        if not isinstance(point, list) or len(point) != 2:
            raise BadRequestError(f"{name}[{i}]: expected [x, y], got {_kind(point)}")
        rows.append([_number(v, f"{name}[{i}]") for v in point])
    return np.array(rows, np.float64).reshape(-1, 2)


def _box(value: object) -> FloatArray | None:
    """CVAT sends null, [] or [[x1, y1], [x2, y2]] with the corners in any order."""
    corners = _points(value, "obj_bbox")
    if not len(corners):
        return None
    if len(corners) != 2:
        raise BadRequestError(f"obj_bbox: expected two corners [[x1, y1], [x2, y2]], got {len(corners)}")
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadRequestError(f"{name}: expected a number, got {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadRequestError(f"{name}: expected a finite number, got {number}")
    return number


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    names = {bool: "true or false", str: "text", dict: "an object", int: "a number", float: "a number"}
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return names.get(type(value), type(value).__name__)
