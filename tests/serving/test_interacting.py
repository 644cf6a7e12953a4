"""An interactor around a network that is none: which picture's embedding a click gets."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from audit.core.table import FloatArray
from audit.serving.embeddings import Embedding, EmbeddingCache, halved
from audit.serving.interacting import Interactor
from audit.serving.sam_networks import Candidates, Prompts
from tests.serving.cases import disc, encoded, file_of, picture


class Brightness:
    """As high a mask as the picture is bright, in rows of the grid."""

    kind, digest, notes = "brightness", "0" * 64, ""

    def encode(self, rgb: NDArray[np.uint8]) -> Embedding:
        return Embedding((halved(np.full(1, rgb.mean(), np.float32)),), (rgb.shape[0], rgb.shape[1]))

    def decode(self, embedding: Embedding, prompts: Prompts) -> Candidates:
        rows = int(embedding.features[0][0])
        logits = np.full((1, 256, 256), -1, np.float32)
        logits[0, :rows] = 1
        return Candidates(logits, np.ones(1, np.float32))

    def decode_boxes(self, embedding: Embedding, boxes: FloatArray) -> Candidates:
        raise NotImplementedError

    def grid_gain(self, frame_hw: tuple[int, int]) -> tuple[float, float]:
        return 256 / frame_hw[1], 256 / frame_hw[0]


def height(interactor: Interactor, image: str) -> int:
    """Of the mask at a click."""
    reply = json.loads(interactor.handle({"image": image, "pos_points": [[5, 5]]}).text)
    *_, top, _, bottom = reply["shapes"][0]["points"]
    return int(bottom - top + 1)


def grey(value: int) -> str:
    return encoded(file_of(disc(64, 64).point(lambda _: value)))


def test_each_click_gets_its_own_picture_in_whatever_order() -> None:
    interactor = Interactor(Brightness(), EmbeddingCache(1000))
    dark, bright = grey(64), grey(192)
    assert [height(interactor, i) for i in (dark, dark, bright, dark, bright, bright)] == [16, 16, 48, 16, 48, 48]
    assert (interactor.decoded, interactor.encoded) == (2, 2)


def test_the_last_picture_is_encoded_again_where_nothing_is_kept() -> None:
    interactor = Interactor(Brightness(), EmbeddingCache(0))
    assert [height(interactor, grey(64)) for _ in range(3)] == [16, 16, 16]
    assert interactor.encoded == 3


def test_pictures_of_one_length_are_told_apart() -> None:
    interactor = Interactor(Brightness(), EmbeddingCache(1000))
    one = picture(64, 64)
    other = one[:-8] + ("A" if one[-8] != "A" else "B") + one[-7:]
    first = height(interactor, one)
    interactor.cache = EmbeddingCache(1000)
    assert interactor._last is not None and interactor._last.encoded == one
    assert abs(height(interactor, other) - first) <= 2 and interactor._last.encoded == other
