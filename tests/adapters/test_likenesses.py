"""Hashes of pictures on disk, and the look at two pictures' spots."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.adapters import likenesses
from audit.adapters.likenesses import RECORD, Likenesses, hash_of, spot_difference, unlike
from audit.adapters.pictures import decode_rgb
from audit.checks.look_alikes import Differences
from audit.core.annotations import Frames
from audit.core.likeness import UNKNOWN, difference_hash, distance
from audit.core.table import objects
from audit.errors import ServiceError


def scene(seed: int, wh: tuple[int, int] = (320, 240)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize(wh, Image.Resampling.BICUBIC)


def data_of(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_nothing_is_known_at_first_and_nothing_is_written(tmp_path: Path) -> None:
    kept = Likenesses(tmp_path / "new")
    assert kept.of([]).shape == (0,)
    assert kept.of([sha(b"a"), ""]).tolist() == [0, 0]
    kept.read([("", b"x"), (sha(b"a"), None)])
    kept.close()
    assert not (tmp_path / "new").exists()


def test_hashes_are_kept_for_the_next_time_and_nothing_is_decoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [data_of(scene(i)) for i in range(5)]
    kept = Likenesses(tmp_path)
    kept.read((sha(p), p) for p in photos)
    first = kept.of([sha(p) for p in photos])
    kept.close()
    monkeypatch.setattr(likenesses, "hash_of", lambda _: pytest.fail("decoded again"))
    again = Likenesses(tmp_path)
    again.read((sha(p), p) for p in photos)
    assert again.of([sha(p) for p in (*photos[::-1], b"other")]).tolist() == [*first[::-1].tolist(), 0]
    assert (first != UNKNOWN).all()
    assert len(set(first.tolist())) == 5


def test_a_coarse_decode_and_the_whole_picture_hash_alike(tmp_path: Path) -> None:
    for seed in range(5):
        photo = data_of(scene(seed, (1280, 960)))
        whole, kept = difference_hash(decode_rgb(photo)), Likenesses(tmp_path / str(seed))
        assert distance(np.array([hash_of(photo)]), np.array([whole]))[0] <= 3
        kept.seen(sha(photo), decode_rgb(photo))
        kept.read([(sha(photo), photo)])
        assert kept.of([sha(photo)])[0] == whole


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "GIF"])
def test_other_formats(kind: str) -> None:
    assert distance(np.array([hash_of(data_of(scene(1), kind))]), np.array([hash_of(data_of(scene(1)))]))[0] <= 4


DAMAGED_DDS = data_of(scene(1), "DDS")[:80] + bytes(48)
"""Without flags of a pixel format, Pillow says that this is not implemented."""


@pytest.mark.parametrize("data", [b"", b"no image", data_of(scene(1))[:900], DAMAGED_DDS])
def test_what_is_no_whole_image_is_alike_to_nothing(data: bytes) -> None:
    assert hash_of(data) == UNKNOWN


def test_a_picture_too_large_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likenesses, "MAX_PIXELS", 100)
    assert hash_of(data_of(scene(1))) == UNKNOWN


def test_what_a_kill_left_by_half_is_overwritten(tmp_path: Path) -> None:
    kept = Likenesses(tmp_path)
    kept.seen(sha(b"one"), np.asarray(scene(1)))
    kept.close()
    with kept.path.open("ab") as stream:
        stream.write(b"torn")
    again = Likenesses(tmp_path)
    again.seen(sha(b"two"), np.asarray(scene(2)))
    found = again.of([sha(b"one"), sha(b"two")])
    assert found.tolist() == [difference_hash(np.asarray(scene(k))) for k in (1, 2)]
    assert kept.path.stat().st_size == 2 * RECORD.itemsize


def test_several_threads_and_processes_add_to_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likenesses, "KEPT_BACK", 3)
    pictures = [np.asarray(scene(i, (32, 24))) for i in range(40)]
    two = [Likenesses(tmp_path), Likenesses(tmp_path)]

    def work(kept: Likenesses, numbers: range) -> None:
        for i in numbers:
            kept.seen(sha(str(i).encode()), pictures[i])

    threads = [threading.Thread(target=work, args=(two[k % 2], range(k, 40, 4))) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for kept in two:
        kept.close()
    found = Likenesses(tmp_path).of([sha(str(i).encode()) for i in range(40)])
    assert found.tolist() == [difference_hash(p) for p in pictures]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="file"):
        Likenesses(tmp_path / "file").of([])
    kept = Likenesses(tmp_path / "folder")
    (tmp_path / "folder").write_text("")
    kept.seen(sha(b"a"), np.asarray(scene(1)))
    with pytest.raises(ServiceError, match="cannot keep"):
        kept.close()


# the look at two pictures


def grey(seed: int) -> np.ndarray:
    return np.asarray(scene(seed).convert("L"), np.float32)


BOX = np.array([40.0, 40, 200, 160])


def test_a_spot_is_the_same_or_not() -> None:
    rng = np.random.default_rng(0)
    noisy = grey(1) * 0.97 + rng.normal(0, 2, grey(1).shape).astype(np.float32) + 9
    assert spot_difference(grey(1), grey(1), BOX) == 0
    assert spot_difference(grey(1), noisy, BOX) < 0.1
    assert spot_difference(grey(1), grey(2), BOX) > 0.5
    changed = grey(1).copy()
    changed[60:150, 60:120] = 255
    assert spot_difference(grey(1), changed, BOX) > 0.3
    assert spot_difference(grey(1), changed, np.array([220.0, 40, 300, 160])) == 0


def test_where_nothing_can_be_told() -> None:
    assert np.isnan(spot_difference(None, grey(1), BOX))
    assert np.isnan(spot_difference(grey(1), grey(1)[:100], BOX))
    assert np.isnan(spot_difference(grey(1), grey(1), np.full(4, np.nan)))
    assert np.isnan(spot_difference(grey(1), grey(1), np.array([10.0, 10, 12, 100])))
    assert np.isnan(spot_difference(grey(1), grey(1), np.array([400.0, 10, 500, 100])))


def test_files_are_read_as_often_as_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for i, seed in enumerate((1, 1, 2, 1)):
        path = tmp_path / f"{i}.png"
        scene(seed).save(path)
        paths.append(str(path))
    frames = Frames(name=["f"] * 5, number=np.arange(5), width=[320] * 5, height=[240] * 5,
                    path=objects([*paths, ""]))  # fmt: skip
    small = BOX * [1, 1, 0.7, 0.7]
    found = Differences(
        frame=[1, 2, 3, 4, 2], other=[0, 0, 0, 0, 0], xyxy=[BOX, BOX, small, BOX, BOX], same_file=[0, 0, 0, 0, 1]
    )
    seen = unlike(found, frames)
    assert seen[[0, 2]].tolist() == [0, 0]
    assert seen[1] > 0.5
    assert np.isnan(seen[3:]).all()
    monkeypatch.setattr(likenesses, "FEWEST_LOOKS", 3)
    assert np.isnan(unlike(found, frames)[[2, 3, 4]]).all()
    assert len(unlike(Differences(), Frames())) == 0
