"""Pictures are decoded once; where there is none, nothing is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audit import looking
from audit.core.annotations import Frames
from audit.core.edges import edge_map, looks
from audit.looking import Looking

PICTURE = np.random.default_rng(0).integers(0, 256, (120, 160)).astype(np.uint8)


def frames(paths: list[str], width: int = 640, height: int = 480) -> Frames:
    n = len(paths)
    return Frames(name=paths, number=np.arange(n), width=[width] * n, height=[height] * n, path=paths)


class Reader:
    """Gives the same picture for every file but "broken"; counts."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, path: Path, hw: tuple[int, int]) -> np.ndarray | None:
        self.read.append(path.name)
        return None if path.name == "broken" else PICTURE


def test_nothing_asked() -> None:
    assert Looking(frames(["a"]), Reader()).of(np.zeros(0, np.int64), np.zeros((0, 4))).shape == (0, 3)


def test_boxes_are_looked_at_in_the_picture_as_small_as_it_is() -> None:
    box = np.array([[40.0, 80, 400, 200], [0, 0, 640, 480]])
    found = Looking(frames(["a", "b"]), Reader()).of(np.array([1, 0]), box)
    assert found == pytest.approx(looks(edge_map(PICTURE), box / 4))


def test_without_a_picture_nothing_is_seen() -> None:
    frame, box = np.array([0, 1, 2]), np.tile([10.0, 10, 90, 90], (3, 1))
    reader = Reader()
    found = Looking(frames(["", "broken", "a"]), reader).of(frame, box)
    assert np.isnan(found[:2]).all() and np.isfinite(found[2]).all()
    assert sorted(reader.read) == ["a", "broken"]
    assert np.isnan(Looking(frames(["a"], 0, 0), reader).of(frame[:1], box[:1])).all()


def test_each_picture_is_read_once() -> None:
    reader = Reader()
    rng = np.random.default_rng(0)
    eyes = Looking(frames(["a", "b", "broken"]), reader)
    frame, box = rng.integers(0, 3, 30), rng.uniform([0, 0, 200, 200], 400, (30, 4))
    first = eyes.of(frame, box)
    assert np.array_equal(eyes.of(frame[::-1], box[::-1])[::-1], first, equal_nan=True)
    eyes.of(frame, box + 1)
    assert sorted(reader.read) == ["a", "b", "broken"]


def test_what_does_not_fit_in_memory_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "KEPT_PICTURES", 1)
    monkeypatch.setattr(looking, "KEPT_LOOKS", 2)
    reader = Reader()
    eyes = Looking(frames(["a", "b", "c"]), reader)
    frame, box = np.array([0, 1, 2]), np.tile([10.0, 10, 90, 90], (3, 1))
    assert np.array_equal(eyes.of(frame, box), eyes.of(frame, box))
    assert sorted(reader.read) == ["a", "b", "c", "c"]
