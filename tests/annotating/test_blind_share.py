"""The blind share: which frames are drawn, kept and extended."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.annotating.blind_share import Blind, extended, read, settled, write
from audit.errors import UsageError

FRAMES = [(1, n) for n in range(50)]


def test_nothing_to_draw_from_and_no_share() -> None:
    assert extended(Blind(0.5), []).frames == {}
    assert not any(extended(Blind(0.0), FRAMES).frames.values())
    assert extended(Blind(0.1), FRAMES[:1]).frames == {(1, 0): False}


@pytest.mark.parametrize(("share", "count"), [(0.1, 5), (0.01, 1), (0.5, 25), (0.99, 50)])
def test_the_share_is_kept_to_the_frame(share: float, count: int) -> None:
    assert sum(extended(Blind(share), FRAMES).frames.values()) == count


def test_the_seed_decides() -> None:
    draws = {seed: extended(Blind(0.2, seed), FRAMES).frames for seed in (0, 0, 1)}
    assert draws[0] == extended(Blind(0.2, 0), FRAMES[::-1]).frames
    assert draws[0] != draws[1]


@given(st.sets(st.integers(0, 200)), st.sets(st.integers(0, 200)), st.floats(0, 0.99))
def test_what_was_drawn_stays_as_it_was(first: set[int], second: set[int], share: float) -> None:
    once = extended(Blind(share), [(1, n) for n in first])
    twice = extended(once, [(1, n) for n in second])
    assert once.frames.items() <= twice.frames.items()
    assert twice.frames.keys() == {(1, n) for n in first | second}


def test_it_is_read_back_as_written(tmp_path: Path) -> None:
    assert read(tmp_path) == Blind()
    made = extended(Blind(0.3, 5), FRAMES)
    write(tmp_path, made)
    assert read(tmp_path) == made
    assert settled(tmp_path, None, None, binding=True) == made
    assert settled(tmp_path, 0.3, 5, binding=True) == made
    assert settled(tmp_path, 0.5, None, binding=False) == Blind(0.5)
    with pytest.raises(UsageError, match="--blind"):
        settled(tmp_path, 0.5, None, binding=True)
    (tmp_path / "blind.json").write_text("[")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path)
