"""One finding at a time as a picture for review: the zoomed photo with context, and the shapes on it."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.core.findings import Findings, FindingType
from audit.core.table import FloatArray
from audit.report.crops import View, view_of
from audit.report.gallery import CardMaker, read_pixels
from audit.report.outlines import Path, annotation_path, box_path
from audit.report.tables import annotations_of
from audit.runs import RunFolder

LONG_SIDE_PX = 1200
"""Larger crops are made smaller; smaller ones stay as they are, for the browser to enlarge."""

CONTEXT = 0.2
"""Of the frame's longer side: so much is shown at least (and ``crops.MARGIN`` around it), however small the shape."""

QUALITY = 86
KEPT = 96
"""Spots in memory: about 150 kB each."""


@dataclass(frozen=True)
class Spot:
    """photo: JPEG of the view, empty where there is none; problem then says why. paths: in the view's pixels."""

    view: View
    photo: bytes
    problem: str
    paths: tuple[Path, ...]


class Spots:
    """Makes spots ahead of need, in one background thread, and keeps the last ``KEPT``. Thread-safe."""

    def __init__(self, run: RunFolder, findings: Findings) -> None:
        """findings: one without any box or shape shows its whole photo, with all labels and what is missing there."""
        self._run = run
        self._frames = run.frames()
        self._findings = findings
        self._made: OrderedDict[int, Future[Spot]] = OrderedDict()
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="spots")

    def prepare(self, rows: Iterable[int]) -> None:
        """Begin to make these, in this order, without waiting."""
        for row in rows:
            self._future(row)

    def spot(self, row: int) -> Spot:
        """The spot of a row of the findings."""
        return self._future(row).result()

    def close(self) -> None:
        """Give up what is not made yet."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _future(self, row: int) -> Future[Spot]:
        with self._lock:
            if row not in self._made:
                self._made[row] = self._worker.submit(self._make, row)
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(row)
            return self._made[row]

    def _make(self, row: int) -> Spot:
        # its own shapes and predictions are read: those of all findings take seconds and much memory
        maker = CardMaker(self._run, self._findings[np.array([row])], self._frames)
        pixels, problem = read_pixels(self._frames, int(self._findings.frame[row]))
        frame_wh = maker.frame_wh(0, pixels)
        if not self._is_about_a_place(row):
            whole = view_of(np.zeros((0, 4)), frame_wh)
            return Spot(
                whole, b"" if pixels is None else _jpeg(pixels, whole), problem, self._all_of(row, whole, frame_wh)
            )
        view = view_of(_with_context(np.vstack(list(maker.boxes(0))), frame_wh), frame_wh)
        paths = tuple(p for p in maker.outlines(0, view, frame_wh) if p is not None)
        return Spot(view, b"" if pixels is None else _jpeg(pixels, view), problem, paths)

    def _is_about_a_place(self, row: int) -> bool:
        f = self._findings
        return bool(
            f.annotation[row] >= 0 or np.isfinite(f.xyxy[row]).all() or np.isfinite(f.suggested_xyxy[row]).all()
        )

    def _all_of(self, row: int, view: View, frame_wh: tuple[int, int]) -> tuple[Path, ...]:
        """Every label of the frame, and every object that a finding says is missing there."""
        f, frame = self._findings, int(self._findings.frame[row])
        shapes = annotations_of(self._run, frame)
        drawn = [annotation_path("existing", shapes, i, view, frame_wh) for i in range(len(shapes))]
        missing = (f.frame == frame) & (f.type == FindingType.MISSING_ANNOTATION)
        drawn += [box_path("proposed", box, view) for box in f.suggested_xyxy[missing]]
        return tuple(p for p in drawn if p is not None)


def _with_context(boxes: FloatArray, frame_wh: tuple[int, int]) -> FloatArray:
    """The boxes (k, 4) and, around the middle of those that are finite, one of the least size worth seeing."""
    finite = boxes[np.isfinite(boxes).all(axis=1)]
    if not len(finite):
        return boxes
    corners = finite.reshape(-1, 2)
    middle, half = (corners.min(axis=0) + corners.max(axis=0)) / 2, CONTEXT * max(frame_wh) / 2
    return np.vstack([boxes, [*(middle - half), *(middle + half)]])


def _jpeg(pixels: NDArray[np.uint8], view: View) -> bytes:
    crop = Image.fromarray(pixels[view.y : view.y + view.height, view.x : view.x + view.width])
    crop.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    stream = io.BytesIO()
    crop.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
