"""SAM on a picture's rectangles: the encoder once for the picture, the prompts in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import PictureError, decode_rgb
from audit.adapters.ultralytics.environment import load_opencv
from audit.core.masks import decode, encode
from audit.core.table import FloatArray
from audit.loop.masks_of_boxes import Cut, Outline
from audit.serving.drawing import framed
from audit.serving.replies import AnyRegion, polygon_points, tight
from audit.serving.sam_networks import Network, open_sam

BOXES_AT_ONCE = 32
"""Prompts in one run of the decoder: more gain nothing and take 10 MB each."""
REVISION = 1
"""Part of the digest under which masks are kept: raise it when the same weights would give other masks."""
SMALL = 0.005
"""Holes and parts below this share of the mask go unmentioned."""


class BoxSegmenter:
    """A ``Segmenter``. notes: lines for the user, such as why torch is used."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.name, self.digest = network.kind, f"boxes-r{REVISION}-{network.digest}"
        self.notes = (network.notes,) if network.notes else ()

    def cut(self, data: bytes, size_hw: tuple[int, int], boxes: FloatArray) -> list[Cut] | str:
        try:
            rgb = decode_rgb(data, size_hw)
        except PictureError as error:
            return str(error)
        embedding = self._network.encode(rgb)
        found: list[Cut] = []
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            made = self._network.decode_boxes(embedding, boxes[start : start + BOXES_AT_ONCE])
            gain, hw = self._network.grid_gain(embedding.frame_hw), embedding.frame_hw
            found += [_cut(framed(m, gain, hw), float(s), hw) for m, s in zip(made.logits, made.score, strict=True)]
        return found

    def outline(self, counts: bytes, size_hw: tuple[int, int]) -> Outline:
        region = tight(decode(counts, size_hw))
        if region is None:
            return Outline((), "")
        flat = polygon_points(region)
        note, lost = _left_out(region)
        return Outline(tuple(zip(flat[::2], flat[1::2], strict=True)), note, lost)


def open_segmenter(wanted: str, *, device: str | None = None) -> BoxSegmenter:
    """wanted: a path to weights of SAM, MobileSAM, LiteMedSAM, SAM 2 or 2.1, or ``lite_medsam``.

    Raises UsageError or ServiceError.
    """
    return BoxSegmenter(open_sam(wanted, device=device))


def _cut(region: AnyRegion | None, score: float, frame_hw: tuple[int, int]) -> Cut:
    score = min(max(score, 0.0), 1.0) if np.isfinite(score) else 0.0
    if region is None:
        return Cut(None, score)
    whole = np.zeros(frame_hw, np.uint8, order="F")
    h, w = region.mask.shape
    whole[region.top : region.top + h, region.left : region.left + w] = region.mask
    return Cut(encode(whole), score)


def _left_out(region: AnyRegion) -> tuple[str, float]:
    """What one polygon cannot show of a mask, its holes and its other parts, in words and as a share of the mask."""
    cv2 = load_opencv()
    rings, tree = cv2.findContours(np.pad(region.mask.astype(np.uint8), 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = tree[0][:, 3]
    areas = np.array([_pixels(cv2, ring, hole=parent >= 0) for ring, parent in zip(rings, parents, strict=True)])
    outer = np.flatnonzero(parents < 0)
    main = int(outer[np.argmax(areas[outer])])
    whole = float(region.mask.sum())
    holes, others = areas[parents == main], areas[outer[outer != main]]
    said = (_share("hole", "filled", holes, whole), _share("other part", "left out", others, whole))
    return ", ".join(text for text in said if text), float(holes.sum() + others.sum()) / whole


def _pixels(cv2: Any, ring: NDArray[np.int32], *, hole: bool) -> float:
    """Pixels of a part or a hole, by Pick's theorem: a ring runs through the middle of the mask's outermost pixels."""
    area, rim = float(cv2.contourArea(ring)), len(ring) / 2
    return area - rim + 1 if hole else area + rim + 1


def _share(what: str, fate: str, areas: Sequence[float] | FloatArray, whole: float) -> str:
    large = [a for a in areas if a >= SMALL * whole]
    if not large:
        return ""
    plural = "s" if len(large) > 1 else ""
    return f"{len(large)} {what}{plural} {fate} ({100 * sum(large) / whole:.0f}% of the mask)"
