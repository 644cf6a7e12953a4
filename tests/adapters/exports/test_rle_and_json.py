from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from audit.adapters.exports.jsonstream import NullForNan
from audit.adapters.exports.numbers import number, whole
from audit.adapters.exports.rle import ShapeError, from_coco, from_cvat, from_runs

SEEDS = st.integers(0, 2**32 - 1)


def blob(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    h, w = (int(v) for v in rng.integers(1, 60, 2))
    return (rng.random((h, w)) < rng.random()).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_cvats_masks_decode_to_their_pixels(seed):
    mask = blob(seed)
    rng = np.random.default_rng(seed)
    h, w = mask.shape
    frame_h, frame_w = int(rng.integers(1, 90)), int(rng.integers(1, 90))
    left, top = int(rng.integers(-20, frame_w)), int(rng.integers(-20, frame_h))
    flat = mask.ravel()
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    canvas = np.zeros((frame_h + 200, frame_w + 200), np.uint8)
    canvas[top + 100 : top + 100 + h, left + 100 : left + 100 + w] = mask
    expected = canvas[100 : 100 + frame_h, 100 : 100 + frame_w]
    if left + w <= 0 or top + h <= 0:
        with pytest.raises(ShapeError, match="outside"):
            from_cvat(runs, (left, top, w, h), (frame_h, frame_w))
        return
    counts = from_cvat(runs, (left, top, w, h), (frame_h, frame_w))
    assert np.array_equal(coco_mask.decode({"size": [frame_h, frame_w], "counts": counts}), expected)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_pycocotools_own_counts_are_accepted_as_they_are(seed):
    mask = blob(seed)
    packed = coco_mask.encode(np.asfortranarray(mask))
    assert from_coco({"size": list(mask.shape), "counts": packed["counts"].decode()}, (0, 0)) == packed["counts"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30), st.integers(1, 20), st.integers(1, 20))
def test_no_text_gets_past_the_check_that_does_not_fill_its_size(text, h, w):
    try:
        counts = from_coco({"size": [h, w], "counts": text}, (h, w))
    except ShapeError:
        return
    assert coco_mask.decode({"size": [h, w], "counts": counts}).shape == (h, w)
    assert 0 <= coco_mask.area({"size": [h, w], "counts": counts}) <= h * w


def test_long_runs_survive_compression():
    counts = from_runs([60_000_000, 7, 39_999_993], (10_000, 10_000))
    assert from_coco({"size": [10_000, 10_000], "counts": counts}, (0, 0)) == counts
    assert int(coco_mask.area({"size": [10_000, 10_000], "counts": counts})) == 7


class Dribble(io.RawIOBase):
    """A stream that gives no more than a few bytes at a time, so that tokens are cut anywhere."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = data, step

    def read(self, size: int = -1) -> bytes:
        piece, self._data = self._data[: self._step], self._data[self._step :]
        return piece


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-99, 99),
        st.sampled_from([math.nan, math.inf, -math.inf, 1.5]),
        st.sampled_from(['say "NaN"', "Infinity", "back\\slash\\", '\\"', "-Infinity, NaN", "é\n"]),
        st.text(max_size=5),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def cleared(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [cleared(v) for v in value]
    return {k: cleared(v) for k, v in value.items()} if isinstance(value, dict) else value


@settings(max_examples=300, deadline=None)
@given(VALUES, st.integers(1, 40), st.booleans(), st.booleans())
def test_only_nan_outside_of_strings_becomes_null(value, step, ascii_only, bom):
    data = (b"\xef\xbb\xbf" if bom and step > 2 else b"") + json.dumps(value, ensure_ascii=ascii_only).encode()
    stream, out = NullForNan(Dribble(data, step)), b""  # type: ignore[arg-type]
    while piece := stream.read(50):
        out += piece
    assert json.loads(out) == cleared(value)


@pytest.mark.parametrize("value", [None, True, "x", [], "nan", math.inf, "1e999", 1e308])
def test_no_number(value):
    assert math.isnan(number(value)) and whole(value) is None


@pytest.mark.parametrize("value, expected", [(7, 7), ("7", 7), (7.0, 7), (7.5, None), (2**70, None), (-3, -3)])
def test_whole_numbers(value, expected):
    assert whole(value) == expected
