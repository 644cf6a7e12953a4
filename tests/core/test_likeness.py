import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core.likeness import UNKNOWN, difference_hash, distance, near_duplicates, near_pairs


def _scene(seed: int, h: int = 120, w: int = 160) -> np.ndarray:
    """A smooth random picture: an 8 x 10 field of colours, stretched."""
    rng = np.random.default_rng(seed)
    field = rng.integers(0, 256, (8, 10, 3)).astype(float)
    rows, columns = np.linspace(0, 7, h), np.linspace(0, 9, w)
    across = np.stack([[np.interp(columns, range(10), line[:, c]) for c in range(3)] for line in field])
    down = np.stack([[np.interp(rows, range(8), across[:, c, x]) for x in range(w)] for c in range(3)])
    return np.asarray(down.transpose(2, 1, 0).round().astype(np.uint8))


def _hashes(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0), (3,)])
def test_a_picture_without_pixels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        difference_hash(np.zeros(shape, np.uint8))


def test_nothing_gives_nothing() -> None:
    assert near_pairs(_hashes()).shape == (0, 2)
    assert near_duplicates(_hashes()).shape == (0,)
    assert near_duplicates(_hashes(5)).tolist() == [0]


def test_a_picture_without_contrast_is_unknown_and_alike_to_nothing() -> None:
    plain = np.full((40, 40, 3), 200, np.uint8)
    noise = np.random.default_rng(0).integers(0, 2, plain.shape).astype(np.uint8)
    assert difference_hash(plain) == difference_hash(plain + noise) == UNKNOWN
    assert not len(near_pairs(_hashes(0, 0, 1)))


def test_a_known_hash() -> None:
    """Dark, then bright, then dark columns: it gets darker once in every row of cells."""
    picture = np.zeros((80, 90), np.uint8)
    picture[:, 30:60] = 255
    assert difference_hash(picture) == np.uint64(int("00000100" * 8, 2))
    assert difference_hash(np.dstack([picture] * 3)) == difference_hash(picture)


@pytest.mark.parametrize("seed", range(6))
def test_small_changes_are_forgiven_and_other_pictures_told_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = _scene(seed)
    noisy = np.clip(picture.astype(int) + rng.integers(-6, 7, picture.shape), 0, 255).astype(np.uint8)
    darker, smaller = (picture * 0.8).astype(np.uint8), picture[::2, ::2]
    altered = np.array([difference_hash(p) for p in (noisy, darker, smaller)])
    assert (distance(altered, np.full(3, difference_hash(picture))) <= 4).all()
    other = difference_hash(_scene(seed + 100))
    assert distance(altered[:1], other[None])[0] > 12


def test_one_pixel_is_enough() -> None:
    assert difference_hash(np.full((1, 1, 3), 9, np.uint8)) == UNKNOWN


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 6))
def test_pairs_are_those_of_comparing_all_with_all(seed: int, n: int, max_bits: int) -> None:
    """While no more than nine hashes agree where they are compared."""
    rng = np.random.default_rng(seed)
    seeds = rng.integers(1, 2**63, -(-n // 4), dtype=np.uint64)
    hashes = np.repeat(seeds, 4)[:n]
    for _ in range(4):
        flips = np.uint64(1) << rng.integers(0, 64, n).astype(np.uint64)
        hashes = np.where(rng.random(n) < 0.5, hashes ^ flips, hashes)
    hashes = np.unique(hashes[hashes != 0])
    hashes = rng.permutation(hashes)
    expected = {
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= max_bits
    }
    assert set(map(tuple, near_pairs(hashes, max_bits).tolist())) == expected


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(0, 2**32 - 1))
def test_groups_do_not_depend_on_the_order(values: list[int], seed: int) -> None:
    hashes = np.array(values * 2, np.uint64)
    shuffled = np.random.default_rng(seed).permutation(len(hashes))
    group, moved = near_duplicates(hashes), near_duplicates(hashes[shuffled])
    together = group[shuffled][:, None] == group[shuffled][None, :]
    assert np.array_equal(together, moved[:, None] == moved[None, :])
    assert group[:1].tolist() == [0] * len(hashes[:1])


def test_likeness_is_handed_on_and_equal_hashes_are_chained() -> None:
    a, b, c = 0b1111, 0b1111 << 4 | 0b1111, 0b1111 << 4 | 0b1111 << 8 | 0b1111
    hashes = _hashes(a, 2**63, c, b, a, a)
    assert near_duplicates(hashes).tolist() == [0, 1, 0, 0, 0, 0]
    assert near_pairs(hashes).tolist() == [[0, 3], [0, 4], [2, 3], [4, 5]]


def test_only_bits_that_can_be_spelt_out_are_searched() -> None:
    with pytest.raises(ValueError, match="0 to 15"):
        near_pairs(_hashes(1), 16)


def test_a_scene_of_a_video_stays_together_and_gives_few_pairs() -> None:
    rng = np.random.default_rng(0)
    scenes = rng.integers(1, 2**63, 20, dtype=np.uint64)
    flips = np.uint64(1) << rng.integers(0, 64, (2, 2000)).astype(np.uint64)
    hashes = np.repeat(scenes, 100) ^ flips[0] ^ flips[1]
    assert near_duplicates(hashes).tolist() == np.repeat(np.arange(20), 100).tolist()
    assert len(near_pairs(hashes)) < 60 * len(hashes)


def test_a_thousand_equal_frames_give_a_thousand_pairs() -> None:
    assert len(near_pairs(np.full(1000, 7, np.uint64))) == 999
