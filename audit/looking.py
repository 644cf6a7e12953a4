"""Looks at the pictures under the boxes: each picture is decoded once, or twice where there are very many."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.core.annotations import Frames
from audit.core.edges import LOOKS, edge_map, looks
from audit.core.table import FloatArray, IntArray

Thumbnail = Callable[[Path, tuple[int, int]], NDArray[np.uint8] | None]
"""A small grey picture of a file, shown with that height and width; None for what cannot be read."""
KEPT_PICTURES = 320
"""Pictures kept, small as they are (25 MB): mistakes are planted into so many, and looked at again."""
_BESIDE = ThreadPoolExecutor(2, thread_name_prefix="looking")
"""Decoding and adding up let other threads run."""
KEPT_LOOKS = 1 << 14
"""Boxes whose looks are kept (about 4 MB): those of some hundred frames that mistakes are planted into."""


class Looking:
    """Of the frames of one audit."""

    def __init__(self, frames: Frames, thumbnail: Thumbnail) -> None:
        self._frames, self._thumbnail = frames, thumbnail
        self._pictures: dict[int, NDArray[np.uint8] | None] = {}
        self._looks: dict[tuple[int, bytes], tuple[float, ...]] = {}

    def of(self, frame: IntArray, xyxy: FloatArray) -> FloatArray:
        """(n, 3) ``audit.core.edges.looks`` at boxes (n, 4) of frames (n,) as shown; NaN where there is no picture."""
        keys = [(f, box.tobytes()) for f, box in zip(frame.tolist(), np.ascontiguousarray(xyxy), strict=True)]
        known = [self._looks.get(key) for key in keys]
        result = np.full((len(keys), LOOKS), np.nan)
        there = [i for i, look in enumerate(known) if look is not None]
        if there:
            result[there] = [known[i] for i in there]
        new = np.array([i for i, look in enumerate(known) if look is None], np.int64)
        order = new[np.argsort(frame[new], kind="stable")]
        groups = np.split(order, np.flatnonzero(np.diff(frame[order])) + 1) if len(order) else []
        numbers = [int(frame[rows[0]]) for rows in groups]
        seen = _BESIDE.map(self._looked, numbers, [xyxy[rows] for rows in groups])
        for number, rows, (picture, look) in zip(numbers, groups, seen, strict=True):
            result[rows] = look
            self._keep(number, picture, [keys[i] for i in rows.tolist()], look)
        return result

    def _keep(
        self, frame: int, picture: NDArray[np.uint8] | None, keys: list[tuple[int, bytes]], look: FloatArray
    ) -> None:
        if len(self._pictures) < KEPT_PICTURES:
            self._pictures[frame] = picture
        if len(self._looks) < KEPT_LOOKS:
            self._looks.update(zip(keys, map(tuple, look.tolist()), strict=True))

    def _looked(self, frame: int, xyxy: FloatArray) -> tuple[NDArray[np.uint8] | None, FloatArray]:
        """The picture and the looks. By several threads: changes nothing."""
        f = self._frames
        path, height, width = str(f.path[frame]), int(f.height[frame]), int(f.width[frame])
        if frame in self._pictures:
            picture = self._pictures[frame]
        else:
            picture = self._thumbnail(Path(path), (height, width)) if path and height and width else None
        if picture is None:
            return None, np.full((len(xyxy), LOOKS), np.nan)
        scale = np.array([picture.shape[1] / width, picture.shape[0] / height])
        return picture, looks(edge_map(picture), xyxy * np.tile(scale, 2))
