"""Packed texts are the texts that were put in, in whatever way they are asked for."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

from audit.core import texts as module
from audit.core.annotations import Frames
from audit.core.texts import Texts

SOME = ["", "a", "Fußgänger/\0 ünd", "\ud800", '"quoted"', "x" * 3000, "日本", "b", "a"]


@pytest.fixture(params=[1, 2, 4, 512])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "TOGETHER", request.param)
    return int(request.param)


@pytest.mark.usefixtures("together")
def test_nothing() -> None:
    empty = Texts()
    assert (len(empty), empty.shape, empty.tolist(), list(empty)) == (0, (0,), [], [])
    assert empty[np.zeros(0, np.int64)].tolist() == empty[:].tolist() == np.asarray(empty).tolist() == []
    with pytest.raises(IndexError):
        empty[0]


@pytest.mark.usefixtures("together")
def test_every_way_of_asking_is_an_object_arrays() -> None:
    packed, plain = Texts(SOME), np.array(SOME, object)
    assert len(packed) == len(plain) and packed.shape == plain.shape and packed.dtype == plain.dtype
    assert packed.tolist() == list(packed) == np.asarray(packed).tolist() == SOME
    assert [packed[i] for i in range(-len(SOME), len(SOME))] == SOME * 2
    assert packed[np.int64(3)] == SOME[3]
    with pytest.raises(IndexError):
        packed[len(SOME)]
    rng = np.random.default_rng(0)
    for index in (slice(2, 7), slice(None, None, -2), plain == "a", rng.integers(-len(SOME), len(SOME), 40)):
        found = packed[index]
        assert found.dtype == object and found.tolist() == plain[index].tolist()


@pytest.mark.usefixtures("together")
def test_gaps_are_empty_texts() -> None:
    packed = Texts()
    for row in (1, 4):
        packed.fill(row)
        packed.append(str(row))
    packed.fill(6)
    packed.fill(3)
    assert packed.tolist() == ["", "1", "", "", "4", ""]


@pytest.mark.usefixtures("together")
def test_in_a_table_they_are_a_column() -> None:
    frames = Frames(name=Texts(SOME), number=np.arange(len(SOME)))
    assert frames.name.tolist() == SOME and frames[2:4].name.tolist() == SOME[2:4]
    assert frames.replace(path=Texts(SOME))[frames.number > 6].path.tolist() == SOME[7:]
    both = Frames.concat([frames, frames])
    assert isinstance(both.name, np.ndarray) and both.name.tolist() == SOME * 2
    with pytest.raises(ValueError, match="differ in length"):
        Frames(name=Texts(SOME), number=np.arange(3))


def test_names_digests_and_paths_of_frames_take_a_fraction_of_their_size_as_objects() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"{i:06d}.jpg", rng.bytes(32).hex(), f"/data/some/where/images/{i:06d}.jpg") for i in range(20_000)]
    as_objects = sum(sys.getsizeof(text) + 8 for row in rows for text in row)
    tracemalloc.start()
    try:
        packed = [Texts(column) for column in zip(*rows, strict=True)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [column[19_999] for column in packed] == list(rows[-1])
    assert held < as_objects / 5
    assert held / len(rows) < 60  # bytes a frame; a digest alone is 32
