"""Small grey pictures as the annotators saw them, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.adapters.pictures import ORIENTATION, PictureError, decode_rgb, size_hw
from audit.adapters.thumbnails import grey_thumbnail
from audit.core.edges import SIDE


def picture(width: int, height: int) -> Image.Image:
    """Bright on its left half, in colour."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (250, 220, 200)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("content", [None, b"", b"not a picture", b"\xff\xd8\xff\xe0 half a header"])
def test_what_is_no_picture_gives_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    assert grey_thumbnail(path, (10, 10)) is None


def test_half_a_picture_gives_none(tmp_path: Path) -> None:
    for suffix in ("jpg", "png"):
        path = tmp_path / f"a.{suffix}"
        picture(400, 300).save(path)
        path.write_bytes(path.read_bytes()[:-300])
        assert grey_thumbnail(path, (300, 400)) is None


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize(("size", "small"), [((1280, 960), (240, 320)), ((100, 60), (60, 100)), ((9, 2000), (320, 1))])
def test_small_and_grey(tmp_path: Path, suffix: str, size: tuple[int, int], small: tuple[int, int]) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(*size).save(path)
    grey = grey_thumbnail(path, size[::-1])
    assert grey is not None and grey.dtype == np.uint8
    assert grey.shape == small and max(small) <= SIDE
    if small[1] > 1:
        assert grey[:, : small[1] // 2 - 8].min() > 200 and grey[:, small[1] // 2 + 8 :].max() < 20


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_turned_as_it_is_shown_unless_its_size_says_otherwise(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # shown upright: what was left lies above
    picture(640, 480).save(path, exif=exif)
    shown, raw, unknown = (grey_thumbnail(path, hw) for hw in ((640, 480), (480, 640), (0, 0)))
    assert shown is not None and raw is not None and unknown is not None
    assert shown.shape == (320, 240) and shown[:140].min() > 200 and shown[180:].max() < 20
    assert raw.shape == (240, 320) and raw[:, :140].min() > 200
    assert np.array_equal(shown, unknown)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_turn_is_that_of_the_whole_picture(tmp_path: Path, suffix: str, turn: int) -> None:
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[ORIENTATION] = turn
    corner = np.zeros((200, 320, 3), np.uint8)
    corner[:90, :200] = 250
    Image.fromarray(corner).save(path, exif=exif)
    data = path.read_bytes()
    for hw in (size_hw(data), (200, 320), (0, 0)):
        grey = grey_thumbnail(path, hw)
        assert grey is not None and np.abs(grey - decode_rgb(data, hw).mean(axis=2)).mean() < 3


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_of_another_size_is_none(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(100, 60).save(path)
    assert grey_thumbnail(path, (100, 60)) is None and grey_thumbnail(path, (60, 90)) is None


def test_a_damaged_picture_of_a_kind_that_fails_otherwise_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.dds"
    picture(8, 8).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:80] + bytes(4) + data[84:])  # no flags of a pixel format
    assert grey_thumbnail(path, (8, 8)) is None
    with pytest.raises(PictureError, match="not an image"):
        size_hw(path.read_bytes())


def test_of_a_stereo_picture_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture(1280, 960).save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (1280, 960), "white")])
    grey = grey_thumbnail(path, (960, 1280))
    assert grey is not None and grey.shape == (240, 320)
    assert grey[:, :150].min() > 200 and grey[:, 170:].max() < 20
