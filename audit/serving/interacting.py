"""CVAT's interactor: prompts in, the best mask out. A picture is encoded once, however many clicks follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.core.table import FloatArray, IntArray
from audit.serving import settings
from audit.serving.embeddings import Embedding, EmbeddingCache
from audit.serving.heap import reuse_memory
from audit.serving.redis_store import RedisStore
from audit.serving.replies import Region, Reply, interactor_reply, tight
from audit.serving.requests import MAX_MEGAPIXELS, Body, Picture, PromptRequest, prompt_request
from audit.serving.sam_networks import Network, Prompts, open_sam

MIN_BOX_PX = 1.0
"""A box thinner than this was a slip of the mouse: nothing can be inside."""


class Interactor:
    """A SAM behind CVAT's wand. decoded, encoded: pictures so far; a repeated click raises neither."""

    def __init__(self, network: Network, cache: EmbeddingCache, *, max_megapixels: float = MAX_MEGAPIXELS) -> None:
        self.network, self.cache, self.max_megapixels = network, cache, max_megapixels
        self.decoded = self.encoded = 0

    def handle(self, body: Body) -> Reply:
        """The best mask for the prompts, or no shape with the reason in the note. Raises BadRequestError."""
        request = prompt_request(body)
        embedding = self._embedding(request.picture)
        prompts, reason = usable_prompts(request, embedding.frame_hw)
        if prompts is None:
            return self._reply(None, 0.0, request, embedding, reason)
        found = self.network.decode(embedding, prompts)
        best = int(np.argmax(found.score))
        region = framed(found.logits[best], self.network.grid_gain(embedding.frame_hw), embedding.frame_hw)
        reason = "" if region else "the model found nothing there"
        return self._reply(region, float(found.score[best]), request, embedding, reason)

    def _reply(
        self, region: Region | None, score: float, request: PromptRequest, embedding: Embedding, reason: str
    ) -> Reply:
        text = interactor_reply(region, score, request.output, embedding.frame_hw)
        return Reply(text, f"nothing found: {reason}" if reason else f"score {score:.2f}")

    def _embedding(self, picture: Picture) -> Embedding:
        key = f"{self.network.digest[:32]}-{picture.digest}"
        found = self.cache.get(key)
        if found is None:
            rgb = picture.pixels(self.max_megapixels)
            self.decoded += 1
            found = self.network.encode(rgb)
            self.encoded += 1
            self.cache.put(key, found)
        return found


def usable_prompts(request: PromptRequest, frame_hw: tuple[int, int]) -> tuple[Prompts | None, str]:
    """The prompts within the picture, or None and why nothing can be asked of the model with them.

    Clicks outside are left out, a box is cut off at the picture's edge. Without a positive click or a
    box there is no object to look for: CVAT sends such requests when the first click is a right one.
    """
    positive, negative = _inside(request.positive, frame_hw), _inside(request.negative, frame_hw)
    box = _cut(request.box, frame_hw)
    if not len(positive) and box is None:
        asked = len(request.positive) or request.box is not None
        return None, "all prompts lie outside of the picture" if asked else "no positive click and no box"
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    return Prompts(np.concatenate([positive, negative]), labels, box), ""


def _inside(points: FloatArray, frame_hw: tuple[int, int]) -> FloatArray:
    limit = np.array([frame_hw[1], frame_hw[0]])
    return points[((points >= 0) & (points <= limit)).all(axis=1)]


def _cut(box: FloatArray | None, frame_hw: tuple[int, int]) -> FloatArray | None:
    if box is None:
        return None
    h, w = frame_hw
    cut = np.clip(box, 0, [w, h, w, h])
    wide_enough = min(cut[2] - cut[0], cut[3] - cut[1]) >= min(MIN_BOX_PX, h, w)
    return cut if wide_enough else None


def framed(logits: NDArray[np.float32], gain_xy: tuple[float, float], frame_hw: tuple[int, int]) -> Region | None:
    """The mask in the frame's pixels, from logits on the decoder's grid, drawn only where it can be.

    logits: (256, 256). gain_xy: grid cells per pixel. None if no pixel is inside.
    """
    rows, columns = np.flatnonzero((logits > 0).any(axis=1)), np.flatnonzero((logits > 0).any(axis=0))
    if not len(rows):
        return None
    (h, w), (gain_x, gain_y) = frame_hw, gain_xy
    # interpolation reaches less than one cell beyond the outermost one that is inside
    left, right = _span(columns, gain_x, w)
    top, bottom = _span(rows, gain_y, h)
    if right <= left or bottom <= top:
        return None
    return tight(
        _drawn(logits, (np.arange(left, right) + 0.5) * gain_x - 0.5, (np.arange(top, bottom) + 0.5) * gain_y - 0.5),
        left,
        top,
    )


def _drawn(
    logits: NDArray[np.float32], x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """(len(y), len(x)) where bilinear interpolation at these places of the grid is above zero; edges are repeated.

    Between two grid rows of one sign the answer is known: only where the sign turns is anything computed.
    """
    (x0, x1, fx), (y0, y1, fy) = _taps(x, logits.shape[1]), _taps(y, logits.shape[0])
    across = logits[:, x0] * (1 - fx) + logits[:, x1] * fx
    inside = across > 0
    first, stop = np.searchsorted(y0, [np.arange(len(logits)), np.arange(1, len(logits) + 1)])
    below = np.vstack([inside[1:], inside[-1:]])
    drawn = np.repeat(inside & below, stop - first, axis=0)
    band, column = np.nonzero(inside ^ below)
    heights = (stop - first)[band]
    before = np.repeat(np.cumsum(heights) - heights, heights)
    row = np.repeat(first[band], heights) + np.arange(heights.sum()) - before
    band, column = np.repeat(band, heights), np.repeat(column, heights)
    drawn[row, column] = across[y0[row], column] * (1 - fy[row]) + across[y1[row], column] * fy[row] > 0
    return drawn


def _taps(at: NDArray[np.floating[Any]], side: int) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
    """The two grid cells around each place, and how far it lies towards the second."""
    at = np.clip(at, 0, side - 1)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, side - 1), (at - low).astype(np.float32)


def _span(cells: NDArray[np.int64], gain: float, side: int) -> tuple[int, int]:
    first, last = (cells[0] - 0.5) / gain, (cells[-1] + 1.5) / gain
    return max(int(np.floor(first)), 0), min(int(np.ceil(last)), side)


def _warm_up(network: Network) -> None:
    """The first run takes up to twice as long as others: nobody's click should wait for it."""
    blank = network.encode(np.zeros((64, 64, 3), np.uint8))
    network.decode(blank, Prompts(np.full((1, 2), 32.0), np.ones(1, np.int64), None))


def interactor_from_environment(folder: Path | None = None) -> Interactor:
    """``SAM_MODEL`` (a file in the function's folder, a path, or ``lite_medsam``), ``SAM_CACHE_MB``,

    ``SAM_REDIS_URL``, ``DEVICE``, ``CPU_THREADS``, ``MAX_MEGAPIXELS``. Raises UsageError or ServiceError.
    """
    reuse_memory()
    megabytes = settings.number("SAM_CACHE_MB", 512, 0, 1e6)
    url = settings.text("SAM_REDIS_URL", "")
    shared = RedisStore(url) if url else None
    network = open_sam(
        settings.weights("SAM_MODEL", "lite_medsam", folder),
        device=settings.text("DEVICE", "") or None,
        threads=settings.threads(),
    )
    limit = settings.number("MAX_MEGAPIXELS", MAX_MEGAPIXELS, 0.01, 200)
    _warm_up(network)
    return Interactor(network, EmbeddingCache(int(megabytes * 1e6), shared), max_megapixels=limit)
