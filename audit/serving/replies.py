"""What a function answers, in the encodings CVAT 2.73 takes: masks as runs, as flat crops, as polygons."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audit.adapters.ultralytics.environment import load_opencv
from audit.core.masks import runs_of
from audit.core.table import IntArray

MAX_POLYGON_POINTS = 200
"""More corners than this cannot be edited by hand."""
SIMPLIFY_PX = 1.0
"""How far a polygon may stray from the mask's outline at first; doubled until few enough points are left."""


@dataclass(frozen=True)
class Region:
    """A mask cut out tightly. mask: (h, w) with something in its outermost rows and columns; left, top: where it is."""

    mask: NDArray[np.bool_]
    left: int
    top: int

    @property
    def inclusive_box(self) -> list[int]:
        """Left, top, right, bottom, the last two being the last row and column inside."""
        h, w = self.mask.shape
        return [self.left, self.top, self.left + w - 1, self.top + h - 1]

    @property
    def runs(self) -> IntArray:
        """Lengths row by row, alternately outside (perhaps 0 pixels at first) and inside."""
        flat = self.mask.ravel()
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        return np.diff(np.concatenate([[0, 0] if flat[0] else [0], edges, [flat.size]]))


@dataclass(frozen=True)
class RunRegion:
    """A ``Region`` told by its runs, of which the pixels are drawn only when they are asked for. hw: its size."""

    runs: IntArray
    hw: tuple[int, int]
    left: int
    top: int

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        return np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs).reshape(self.hw)

    @property
    def inclusive_box(self) -> list[int]:
        """As a ``Region``'s."""
        return [self.left, self.top, self.left + self.hw[1] - 1, self.top + self.hw[0] - 1]


AnyRegion: TypeAlias = Region | RunRegion


@dataclass(frozen=True)
class Reply:
    """text: the JSON to send. note: a line for the log, such as why nothing was found."""

    text: str
    note: str = ""


def tight(mask: NDArray[np.bool_], left: int = 0, top: int = 0) -> Region | None:
    """The region of a mask (h, w) whose first pixel lies at (left, top); None if nothing is in it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Region(np.ascontiguousarray(part), left + int(columns[0]), top + int(rows[0]))


def region_of(counts: bytes, frame_hw: tuple[int, int]) -> Region | None:
    """A mask told by COCO's compressed counts, of which only the columns it lies in are drawn; None if it is empty."""
    ends = np.cumsum(runs_of(counts))
    height, inside = frame_hw[0], len(ends) // 2 * 2
    if not inside:
        return None
    first, last = int(ends[0]) // height, (int(ends[inside - 1]) - 1) // height
    within = np.clip(ends, first * height, (last + 1) * height)
    drawn = np.repeat(np.arange(len(ends)) % 2 == 1, np.diff(within, prepend=first * height))
    return tight(drawn.reshape(-1, height).T, left=first)


def mask_points(region: AnyRegion) -> list[int]:
    """CVAT's points of a mask: lengths of runs row by row, zeros first (perhaps 0 of them), then the inclusive box."""
    return [*region.runs.tolist(), *region.inclusive_box]


def polygon_points(region: AnyRegion) -> list[float]:
    """One polygon [x1, y1, x2, y2, ...] around the mask's largest part, along the edges of its pixels.

    Simplified to at most ``MAX_POLYGON_POINTS``; holes and other parts are left out, since a polygon has none.
    """
    cv2 = load_opencv()
    # twice as large with a rim: an outline through the middle of pixels then lies a quarter pixel from their edge
    doubled = np.pad(region.mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1), 1)
    rings, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ring = max(rings, key=cv2.contourArea)
    simple, stray = ring, 2 * SIMPLIFY_PX
    for _ in range(16):
        simple = cv2.approxPolyDP(ring, stray, closed=True)
        if len(simple) <= MAX_POLYGON_POINTS:
            break
        stray *= 2
    if len(simple) < 3 or cv2.contourArea(simple) == 0:
        return _corners(region)
    xy = (simple.reshape(-1, 2) - 0.5) / 2 + [region.left, region.top]
    return [round(float(v), 2) for v in xy.ravel()]


def _corners(region: AnyRegion) -> list[float]:
    x1, y1, x2, y2 = (float(v) for v in region.inclusive_box)
    return [x1, y1, x2 + 1, y1, x2 + 1, y2 + 1, x1, y2 + 1]


def rectangle_points(region: AnyRegion) -> list[float]:
    """Tight box around the mask: left, top, right, bottom along the edges of its pixels."""
    x1, y1, x2, y2 = region.inclusive_box
    return [float(x1), float(y1), float(x2 + 1), float(y2 + 1)]


def confidence_text(confidence: float) -> str:
    """The UI hides a shape whose confidence is below its slider, and takes only text for one: "0.93"."""
    return f"{min(max(confidence, 0.0), 1.0):.2f}"


def interactor_reply(region: AnyRegion | None, confidence: float, output: str, frame_hw: tuple[int, int]) -> str:
    """The answer to prompts: one shape, since CVAT makes an object of each; none if nothing was found.

    output: "mask" (all that CVAT's web UI takes), "polygon" or "rectangle"; "legacy" for ``{"mask": rows}``.
    """
    if output == "legacy":
        return '{"mask": ' + _rows(region, frame_hw) + "}"
    if region is None:
        return json.dumps({"shapes": []})
    encoders: Mapping[str, Callable[[AnyRegion], Sequence[float]]] = {
        "mask": mask_points,
        "polygon": polygon_points,
        "rectangle": rectangle_points,
    }
    points = encoders[output](region)
    attributes = [{"spec_id": 0, "value": confidence_text(confidence)}]
    return json.dumps({"shapes": [{"type": output, "points": points, "attributes": attributes}]})


def rectangle_item(label: str, xyxy: Sequence[float], score: float, attribute: str = "") -> str:
    """A detector's box as JSON. attribute: name of the attribute that keeps the score, "" for none."""
    points = [round(float(v), 2) for v in xyxy]
    return json.dumps({**_item(label, score, attribute), "type": "rectangle", "points": points})


def turned_item(label: str, xywhr: Sequence[float], score: float, attribute: str = "") -> str:
    """A turned box as JSON. xywhr: centre, width, height in pixels, radians clockwise. attribute: as above."""
    x, y, w, h, turn = (float(v) for v in xywhr)
    points = [round(v, 2) for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)]
    rotation = round(math.degrees(turn) % 360, 2) % 360
    return json.dumps({**_item(label, score, attribute), "type": "rectangle", "points": points, "rotation": rotation})


def skeleton_item(
    label: str,
    keypoints: Sequence[str],
    xy: NDArray[np.floating[Any]],
    seen: NDArray[np.bool_],
    score: float,
    attribute: str = "",
) -> str:
    """A skeleton as JSON. keypoints: (k,) names; xy: (k, 2) pixels; seen: (k,), the others are sent as outside."""
    elements = [
        {"label": name, "type": "points", "points": [round(float(x), 2), round(float(y), 2)], "outside": not here,
         "attributes": []}
        for name, (x, y), here in zip(keypoints, xy, seen.tolist(), strict=True)
    ]  # fmt: skip
    return json.dumps({**_item(label, score, attribute), "type": "skeleton", "points": [], "elements": elements})


def mask_item(label: str, region: Region, score: float, attribute: str = "") -> str:
    """A detector's mask as JSON: the crop row by row as 0 and 1 with its box, and a polygon for who wants one.

    attribute: as of ``rectangle_item``.
    """
    start = json.dumps({**_item(label, score, attribute), "type": "mask", "points": polygon_points(region)})
    box = json.dumps(region.inclusive_box)[1:]
    return f'{start[:-1]}, "mask": [{_digits(region.mask)}, {box}}}'


def _item(label: str, score: float, attribute: str) -> dict[str, Any]:
    confidence = confidence_text(score)
    attributes = [{"name": attribute, "value": confidence}] if attribute else []
    return {"confidence": confidence, "label": label, "attributes": attributes}


def _digits(mask: NDArray[np.bool_]) -> str:
    """ "0,1,1": json.dumps of as many numbers takes twenty times as long."""
    text = np.full(2 * mask.size, ord(","), np.uint8)
    text[::2] = mask.ravel().astype(np.uint8) + ord("0")
    return text[:-1].tobytes().decode("ascii")


def _rows(region: AnyRegion | None, frame_hw: tuple[int, int]) -> str:
    whole = np.zeros(frame_hw, bool)
    if region is not None:
        h, w = region.mask.shape
        whole[region.top : region.top + h, region.left : region.left + w] = region.mask
    return "[" + ",".join(f"[{_digits(row)}]" for row in whole) + "]"
