"""Pictures: sizes from headers, strict decoding, orientation, and the cache by content."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from audit.adapters import pictures
from audit.adapters.pictures import ImageCache, PictureError, decode_rgb, size_hw

TURN_RIGHT = 6
"""EXIF's word for: shown after a quarter turn clockwise."""


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def landscape() -> Image.Image:
    """40 x 20 px, left half red."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20, 0] = 255
    return Image.fromarray(pixels)


def turned(form: str, turn: int = TURN_RIGHT) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(landscape(), form, exif=exif)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_size_and_pixels(form: str) -> None:
    data = saved(landscape(), form)
    assert size_hw(data) == (20, 40)
    rgb = decode_rgb(data)
    assert rgb.shape == (20, 40, 3)
    assert rgb[10, 5, 0] > 200
    assert rgb[10, 35, 0] < 60


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_exif_rotation_is_applied_unless_the_stated_size_says_otherwise(form: str) -> None:
    data = turned(form)
    assert size_hw(data) == (40, 20)
    assert decode_rgb(data).shape == (40, 20, 3)
    assert decode_rgb(data, (40, 20))[5, 10, 0] > 200
    assert decode_rgb(data, (20, 40)).shape == (20, 40, 3)
    with pytest.raises(PictureError, match="is 20 x 40 px, expected 7 x 9"):
        decode_rgb(data, (9, 7))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("turn", range(10))
def test_every_turn_is_pillows(form: str, turn: int) -> None:
    data = turned(form, turn)
    with Image.open(io.BytesIO(data)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(decode_rgb(data), shown)
    assert size_hw(data) == shown.shape[:2]


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_turn_beside_a_tag_of_a_wrong_type_is_applied(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = TURN_RIGHT, "maker"
    # the maker becomes the width, which is a number
    told = exif.tobytes().replace(b"\x01\x0f\x00\x02", b"\x01\x00\x00\x02")
    told = told.replace(b"\x0f\x01\x02\x00", b"\x00\x01\x02\x00")
    assert told != exif.tobytes()
    assert decode_rgb(saved(landscape(), form, exif=told)).shape == (40, 20, 3)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_a_file_cut_short_is_refused(form: str, share: float) -> None:
    data = saved(Image.effect_noise((200, 200), 90).convert("RGB"), form)
    with pytest.raises(PictureError):
        decode_rgb(data[: int(len(data) * share)])


def test_a_picture_too_large_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 799)
    for look in (size_hw, decode_rgb):
        with pytest.raises(PictureError, match="megapixels"):
            look(saved(landscape(), "PNG"))


def test_other_modes_become_rgb() -> None:
    deep = Image.fromarray(np.full((4, 4), 0xFFFF, np.uint16))
    assert (decode_rgb(saved(deep, "PNG")) == 255).all()
    for mode in ("L", "RGBA", "P", "CMYK", "1"):
        form = "TIFF" if mode == "CMYK" else "PNG"
        assert decode_rgb(saved(landscape().convert(mode), form)).shape == (20, 40, 3)


def test_bytes_are_kept_once_under_their_digest(tmp_path: Path) -> None:
    cache, data = ImageCache(tmp_path), saved(landscape(), "PNG")
    digest, path = cache.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert path.suffix == ".png"
    assert path.read_bytes() == data
    written = path.stat().st_mtime_ns
    assert cache.put(data) == (digest, path)
    assert path.stat().st_mtime_ns == written
    assert cache.find(digest) == path
    assert cache.find("0" * 64) is None
    assert cache.put(b"no picture")[1].suffix == ".bin"
