"""Pixels for a network. JPEGs are decoded by OpenCV: the same pixels as Pillow's in a third of the time."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import ORIENTATION, UNREADABLE, PictureError, decode_rgb, open_image
from audit.adapters.ultralytics.environment import load_opencv

_BESIDE = ThreadPoolExecutor(2, thread_name_prefix="whole")


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
    except (*UNREADABLE, ImportError) as error:
        raise PictureError(f"is not an image ({type(error).__name__})") from None


def decode(data: bytes, header: Header) -> NDArray[np.uint8]:
    """(h, w, 3) RGB as shown. Raises PictureError."""
    rgb = _jpeg(data, header) if header.plain_jpeg else None
    return decode_rgb(data) if rgb is None else rgb


def _jpeg(data: bytes, header: Header) -> NDArray[np.uint8] | None:
    """None for what Pillow had better judge. Raises PictureError for what is not whole."""
    cv2 = load_opencv()
    if not hasattr(cv2, "IMREAD_COLOR_RGB"):
        return None
    # OpenCV makes a half-grey picture of a damaged file: Pillow reads it, too, meanwhile, on another core
    whole = _BESIDE.submit(_check_whole, data)
    # not at a half or a quarter of its size, though that is quicker: networks then find other boxes and masks
    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        rgb = None
    whole.result()
    if rgb is None or rgb.shape != (header.height, header.width, 3):
        return None
    return _turned(cv2, rgb, header.turn)


def _check_whole(data: bytes) -> None:
    """Reads every byte of a JPEG, and makes as little of it as can be. Raises PictureError."""
    try:
        with open_image(io.BytesIO(data)) as image:
            image.draft("L", (max(image.width // 8, 1), max(image.height // 8, 1)))
            image.load()
    except UNREADABLE as error:
        raise PictureError(f"is not a whole image ({error})") from None


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
