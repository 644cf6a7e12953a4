"""CVAT's interactor: prompts in, the best mask out. A picture is encoded once, however many clicks follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audit.core.table import FloatArray
from audit.serving import settings
from audit.serving.drawing import framed
from audit.serving.embeddings import Embedding, EmbeddingCache
from audit.serving.heap import reuse_memory
from audit.serving.redis_store import RedisStore
from audit.serving.replies import AnyRegion, Reply, interactor_reply
from audit.serving.requests import MAX_MEGAPIXELS, Body, Picture, PromptRequest, prompt_request
from audit.serving.sam_networks import Network, Prompts, open_sam

MIN_BOX_PX = 1.0
"""A box thinner than this was a slip of the mouse: nothing can be inside."""


class Interactor:
    """A SAM behind CVAT's wand. decoded, encoded: pictures so far; a repeated click raises neither."""

    def __init__(self, network: Network, cache: EmbeddingCache, *, max_megapixels: float = MAX_MEGAPIXELS) -> None:
        self.network, self.cache, self.max_megapixels = network, cache, max_megapixels
        self.decoded = self.encoded = 0
        self._last: Picture | None = None

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
        self, region: AnyRegion | None, score: float, request: PromptRequest, embedding: Embedding, reason: str
    ) -> Reply:
        text = interactor_reply(region, score, request.output, embedding.frame_hw)
        return Reply(text, f"nothing found: {reason}" if reason else f"score {score:.2f}")

    def _embedding(self, picture: Picture) -> Embedding:
        # to compare a picture with the last one takes a tenth of its digest
        last = self._last
        if last is None or last.encoded != picture.encoded:
            last = self._last = Picture(picture.encoded)
        key = f"{self.network.digest[:32]}-{last.digest}"
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
