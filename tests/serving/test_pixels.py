"""Decoding for networks: OpenCV's pixels are Pillow's, whatever the file; what is doubtful goes to Pillow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit.adapters.pictures import PictureError, decode_rgb
from audit.serving import pixels
from audit.serving.pixels import decode, read_header
from tests.serving.cases import ROOT, disc, file_of


def decoded(data: bytes) -> np.ndarray:
    return decode(data, read_header(data))


def lopsided(width: int = 45, height: int = 31) -> Image.Image:
    """No turn of it equals another."""
    noise = np.random.default_rng(1).integers(0, 40, (height, width, 3))
    ramp = (
        np.linspace(0, 200, width)[None, :, None] * np.array([1, 0.5, 0.2]) * np.linspace(0.2, 1, height)[:, None, None]
    )
    return Image.fromarray((ramp + noise).astype(np.uint8))


def turned(number: object, data: Image.Image | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = number
    return file_of(data or lopsided(), exif=exif, quality=90)


DAMAGED_DDS = file_of(disc(), "DDS")[:80] + bytes(48)
"""Without flags of a pixel format, Pillow says that this is not implemented."""


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff\xd8\xff\xd9", b"<svg/>" * 50, DAMAGED_DDS])
def test_what_is_no_image_says_so(data: bytes) -> None:
    with pytest.raises(PictureError, match="is not an image"):
        read_header(data)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}, {"quality": 20}]
)
def test_a_jpeg_has_pillows_pixels(options: dict[str, Any], no_pillow: Callable[[], None]) -> None:
    data = file_of(lopsided(333, 201), **options)
    expected = decode_rgb(data)
    no_pillow()
    found = decoded(data)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours_have_pillows_pixels(mode: str) -> None:
    data = file_of(lopsided().convert(mode))
    assert np.array_equal(decoded(data), decode_rgb(data))


@pytest.mark.parametrize("number", [*range(1, 9), 0, 9, 77])
def test_every_turn_of_exif_is_pillows(number: int, no_pillow: Callable[[], None]) -> None:
    data = turned(number)
    expected = decode_rgb(data)
    no_pillow()
    found = decoded(data)
    assert np.array_equal(found, expected)


def test_a_turn_told_by_xmp_alone_is_pillows() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = file_of(lopsided(), xmp=packet)
    assert np.array_equal(decoded(data), decode_rgb(data))


@pytest.mark.parametrize("form", ["PNG", "BMP", "WEBP", "TIFF", "GIF"])
def test_other_forms_are_pillows(form: str) -> None:
    data = file_of(lopsided(), form)
    assert np.array_equal(decoded(data), decode_rgb(data))


def test_several_pictures_in_one_file_show_the_first(no_pillow: Callable[[], None]) -> None:
    data = file_of(lopsided(), "MPO", save_all=True, append_images=[disc(45, 31)])
    expected = decode_rgb(data)
    no_pillow()
    assert np.array_equal(decoded(data), expected)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (8, 8), (9, 9)])
def test_a_tiny_or_narrow_jpeg_has_pillows_pixels(size: tuple[int, int]) -> None:
    data = file_of(lopsided(*size))
    assert np.array_equal(decoded(data), decode_rgb(data))


@pytest.mark.parametrize("cut", [1, 2, 50, 2000])
def test_a_cut_jpeg_is_refused_as_pillow_does(cut: int) -> None:
    data = file_of(disc())[:-cut]
    with pytest.raises(PictureError, match="is not a whole image"):
        decoded(data)


def test_bytes_behind_the_end_change_nothing() -> None:
    data = file_of(lopsided())
    assert np.array_equal(decoded(data + b"trailer of a phone"), decode_rgb(data))


def outcome(work: Callable[[], np.ndarray]) -> np.ndarray | None:
    """None for a picture that is refused."""
    try:
        return work()
    except PictureError:
        return None


@pytest.mark.parametrize("progressive", [False, True])
def test_damaged_jpegs_are_refused_where_pillow_refuses_them(progressive: bool) -> None:
    data, rng = file_of(disc(160, 120), progressive=progressive), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        start = int(rng.integers(2, len(data) - 10))
        stop = min(start + int(rng.integers(1, 300)), len(data) - 2)
        noise = rng.integers(0, 256, stop - start, dtype=np.uint8).tobytes()
        for damaged in (data[:start] + data[stop:], data[:start] + noise + data[stop:]):
            found = outcome(lambda damaged=damaged: decoded(damaged))
            expected = outcome(lambda damaged=damaged: decode_rgb(damaged))
            assert (found is None) == (expected is None)
            assert found is None or np.array_equal(found, expected)
            refused += found is None
    assert refused > 10


def test_an_opencv_without_the_rgb_flag_leaves_it_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "load_opencv", object)
    data = turned(8)
    assert np.array_equal(decoded(data), decode_rgb(data))


REUSE = """
import resource
from audit.serving.heap import reuse_memory
kept = reuse_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    picture = b"x" * (31 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""


def test_a_picture_takes_the_memory_of_the_one_before() -> None:
    found = subprocess.run([sys.executable, "-c", REUSE], capture_output=True, text=True, check=True, cwd=ROOT)
    kept, faults = found.stdout.split()
    assert kept == "False" or int(faults) < 100, "7,936 pages were asked for anew"


@pytest.fixture
def no_pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, decoding with Pillow fails the test."""

    def forbid() -> None:
        def fail(_: bytes) -> None:
            raise AssertionError("Pillow was asked")

        monkeypatch.setattr(pixels, "decode_rgb", fail)

    return forbid
