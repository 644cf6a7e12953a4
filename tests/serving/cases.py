"""Pictures, functions and calls that the tests of this folder share; masks decoded as CVAT does."""

from __future__ import annotations

import base64
import http.client
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "serving" / "invocations.json"
RECORDED = json.loads(GOLDEN.read_text(encoding="utf-8"))
"""What CVAT 2.73 really sent, see ``distil``."""
CVAT_HEADERS = {
    "x-nuclio-project-name": "cvat",
    "x-nuclio-function-namespace": "nuclio",
    "x-nuclio-invoke-via": "domain-name",
    "X-Nuclio-Invoke-Timeout": "120s",
    "x-nuclio-path": "/",
}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def file_of(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def disc(width: int = 320, height: int = 240, seed: int = 0) -> Image.Image:
    """A bright disc in the middle of a dark, noisy picture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 4) ** 2
    pixels = np.where(inside[..., None], [200, 120, 140], [60, 70, 60]) + rng.integers(0, 20, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def picture(width: int = 320, height: int = 240, seed: int = 0) -> str:
    return encoded(file_of(disc(width, height, seed)))


def disc_box(width: int = 320, height: int = 240) -> list[list[float]]:
    r = min(width, height) / 4 + 4
    return [[width / 2 - r, height / 2 - r], [width / 2 + r, height / 2 + r]]


def mask_of_runs(points: list[float], frame_hw: tuple[int, int]) -> np.ndarray:
    """The whole frame's mask from an interactor's points: runs of the inclusive box, row by row, zeros first."""
    assert all(float(p).is_integer() for p in points)
    *runs, left, top, right, bottom = (int(p) for p in points)
    height, width = bottom - top + 1, right - left + 1
    flat = np.repeat(np.arange(len(runs)) % 2, runs)
    assert flat.size == height * width, "the runs must fill the box"
    return placed(flat.reshape(height, width), left, top, frame_hw)


def mask_of_crop(numbers: list[int], frame_hw: tuple[int, int]) -> np.ndarray:
    """The whole frame's mask from a detector's item: 0 and 1 row by row, then the inclusive box."""
    *flat, left, top, right, bottom = numbers
    assert set(flat) <= {0, 1}
    return placed(np.array(flat).reshape(bottom - top + 1, right - left + 1), left, top, frame_hw)


def placed(crop: np.ndarray, left: int, top: int, frame_hw: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(frame_hw, bool)
    part = whole[top : top + crop.shape[0], left : left + crop.shape[1]]
    assert part.shape == crop.shape, "the box must lie in the picture"
    part[:] = crop
    return whole


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


class Client:
    """A connection to a host: CVAT's way of calling, and raw requests."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        """Status, content type, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def invoke(self, name: str, body: Any, **headers: str) -> tuple[int, str, bytes]:
        """As CVAT in dashboard mode. body: JSON, or bytes sent as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        own = {"x-nuclio-function-name": name, "Content-Type": "application/json", **headers}
        return self.request("POST", "/api/function_invocations", data, {**CVAT_HEADERS, **own})

    def functions(self) -> dict[str, Any]:
        status, _, body = self.request("GET", "/api/functions", headers=CVAT_HEADERS)
        assert status == 200
        return dict(json.loads(body))
