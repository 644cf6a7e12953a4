"""A SAM is asked for the masks of rectangles; no box of a picture is run twice."""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np

from audit.asking import Cache
from audit.core.annotations import Predictions
from audit.core.table import FloatArray, objects
from audit.loop.masks_of_boxes import Cut, Outline


class Segmenter(Protocol):
    """A SAM. digest: changes when the same picture and boxes would give other masks."""

    name: str
    digest: str

    def cut(self, data: bytes, size_hw: tuple[int, int], boxes: FloatArray) -> list[Cut] | str:
        """One for each box (n, 4), xyxy pixels of the picture as shown; or why it cannot be used.

        data: the image file. size_hw: as the source states it, zeros if unknown. Raises ServiceError.
        """

    def outline(self, counts: bytes, size_hw: tuple[int, int]) -> Outline: ...


def cuts(
    segmenter: Segmenter, cache: Cache, data: bytes, sha256: str, hw: tuple[int, int], boxes: FloatArray
) -> list[Cut] | str:
    """As ``Segmenter.cut``; the same box in the same picture is never run again, whatever else is asked there."""
    keys = [hashlib.sha256(f"{sha256} {box}".encode()).hexdigest() for box in boxes.tolist()]
    kept = cache.get(segmenter.digest, list(dict.fromkeys(keys)))
    known = {key: Cut(table.mask[0], float(table.score[0])) for key, table in kept.items() if len(table) == 1}
    new = {key: i for i, key in enumerate(keys) if key not in known}
    if new:
        found = segmenter.cut(data, hw, boxes[list(new.values())])
        if isinstance(found, str):
            return found
        known.update(zip(new, found, strict=True))
        cache.put(segmenter.digest, {key: _kept(boxes[i], known[key]) for key, i in new.items()})
    return [known[key] for key in keys]


def _kept(box: FloatArray, cut: Cut) -> Predictions:
    """One cut as the cache keeps it."""
    return Predictions(xyxy=box[None], label=np.zeros(1, np.int64), score=np.array([cut.score]),
                       mask=objects([cut.counts]))  # fmt: skip
