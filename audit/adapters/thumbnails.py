"""Small grey pictures, decoded no finer than needed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.adapters.pictures import MAX_PIXELS, ORIENTATION, TURNS, UNREADABLE, PictureError, decode_rgb, open_image
from audit.core.edges import SIDE

LYING = (5, 6, 7, 8)
"""Orientations of EXIF whose pictures are shown with width and height exchanged."""


def grey_thumbnail(path: Path, hw: tuple[int, int]) -> NDArray[np.uint8] | None:
    """(h, w) brightness of the picture, its longer side ``SIDE`` px or less; None for what is not a whole picture.

    hw: the size that it is shown with, (0, 0) if unknown; it is turned as its EXIF says unless that contradicts it.
    A picture of another size is none of that frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(path) as image:
                if image.format in ("JPEG", "MPO") and image.width * image.height <= MAX_PIXELS:
                    return _jpeg(image, hw)
            whole = Image.fromarray(decode_rgb(path.read_bytes(), hw))
            return np.asarray(_small(whole, _shrunk(*whole.size)))
    except (*UNREADABLE, PictureError):
        return None


def _jpeg(image: Image.Image, hw: tuple[int, int]) -> NDArray[np.uint8] | None:
    stored, size = (image.height, image.width), _shrunk(image.width, image.height)
    orientation = image.getexif().get(ORIENTATION, 1)
    turn, shown = TURNS.get(orientation), stored[::-1] if orientation in LYING else stored
    if hw not in ((0, 0), stored, shown):
        return None
    image.draft("L", size)  # to a half, a quarter or an eighth, in a fraction of the time
    small = _small(image, size)
    return np.asarray(small if turn is None or hw == stored != shown else small.transpose(turn))


def _small(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    grey = image.convert("L")
    return grey if grey.size == size else grey.resize(size, Image.Resampling.BOX)


def _shrunk(width: int, height: int) -> tuple[int, int]:
    share = min(1.0, SIDE / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))
