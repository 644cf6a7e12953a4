"""Pixels for a network. JPEGs are decoded by OpenCV: the same pixels as Pillow's in a third of the time."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import ORIENTATION, PictureError, decode_rgb, open_image
from audit.adapters.ultralytics.environment import load_opencv

JPEG_END = b"\xff\xd9"
"""A JPEG without it at its end may be cut off; Pillow tells, OpenCV's answer depends on its version."""
SPARE = 2
"""A reduced picture is still so many times as large as the network's input, so that area averaging evens it out."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself. width, height: as stored.

    turn: EXIF's number for how it is turned to be shown, 1 for not at all.
    plain_jpeg: a JPEG of colours that OpenCV decodes as Pillow does.
    """

    width: int
    height: int
    turn: int = 1
    plain_jpeg: bool = False

    @property
    def shown_hw(self) -> tuple[int, int]:
        """Height and width as CVAT shows it."""
        return (self.width, self.height) if self.turn in (5, 6, 7, 8) else (self.height, self.width)


@dataclass(frozen=True)
class Pixels:
    """rgb: (h, w, 3) as shown, perhaps reduced. frame_hw: the picture's own height and width as shown."""

    rgb: NDArray[np.uint8]
    frame_hw: tuple[int, int]


def read_header(data: bytes) -> Header:
    """Without decoding a pixel. Raises PictureError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(io.BytesIO(data)) as image:
                # of a PNG, Pillow would read everything in search of its EXIF
                if image.format not in ("JPEG", "MPO"):
                    return Header(image.width, image.height)
                plain = image.mode in ("RGB", "L")
                turn = image.getexif().get(ORIENTATION)
                return Header(image.width, image.height, next((n for n in range(1, 9) if n == turn), 1), plain)
    # ultralytics, if it was imported first, has put an opener of its own in Pillow's place that may lack a package
    except (OSError, ValueError, SyntaxError, ImportError) as error:
        raise PictureError(f"is not an image ({type(error).__name__})") from None


def decode(data: bytes, header: Header, wanted_px: int | None = None) -> Pixels:
    """The picture as shown. Raises PictureError.

    wanted_px: the longer side of what a network will average it down to; then a large JPEG is decoded at a
    half, quarter or eighth of its size, never less than ``SPARE`` times as large. None: every pixel.
    """
    rgb = _jpeg(data, header, _reduction(header, wanted_px)) if header.plain_jpeg else None
    if rgb is not None:
        return Pixels(rgb, header.shown_hw)
    rgb = decode_rgb(data)
    return Pixels(rgb, (rgb.shape[0], rgb.shape[1]))


def _reduction(header: Header, wanted_px: int | None) -> int:
    if wanted_px is None:
        return 1
    side = max(header.width, header.height)
    return next((by for by in (8, 4, 2) if side >= by * SPARE * wanted_px), 1)


def _jpeg(data: bytes, header: Header, by: int) -> NDArray[np.uint8] | None:
    """None for what Pillow had better judge."""
    cv2 = load_opencv()
    if not (data.endswith(JPEG_END) and hasattr(cv2, "IMREAD_COLOR_RGB")):
        return None
    # the RGB flag excludes the plain colour flag, which OpenCV's own constants of reduced sizes contain
    reduced = {1: 0, 2: 16, 4: 32, 8: 64}[by]
    try:
        rgb = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | reduced
        )
    except cv2.error:
        return None
    if rgb is None or rgb.shape != (-(-header.height // by), -(-header.width // by), 3):
        return None
    return _turned(cv2, rgb, header.turn)


def _turned(cv2: Any, rgb: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """As ``ImageOps.exif_transpose`` does."""
    if turn in (5, 7):
        rgb = cv2.transpose(rgb)
    how = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 7: cv2.ROTATE_180, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    if turn in how:
        rgb = cv2.rotate(rgb, how[turn])
    if turn in (2, 4):
        rgb = cv2.flip(rgb, 1 if turn == 2 else 0)
    return rgb
