"""Image files: their size, their pixels, and a store of their bytes by content."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.runs import atomic

MAX_PIXELS = 200_000_000
"""Larger pictures are refused before a pixel is decoded: 200 MP in RGB is 600 MB."""

Image.MAX_IMAGE_PIXELS = None  # our own bound above is checked first, with a clearer message

open_image = Image.open
"""Pillow's own: importing ultralytics replaces ``Image.open`` by one that tries to install packages for a bad file."""

ORIENTATION = 0x0112
"""EXIF's number for how the picture must be turned to be shown."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UNREADABLE = (
    OSError, ValueError, SyntaxError, TypeError, MemoryError, RuntimeError, LookupError, ArithmeticError, EOFError,
    struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's readers raise for damaged files; of a DDS even NotImplementedError, a RuntimeError."""
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"}


class PictureError(Exception):
    """This image cannot be used; the text says why in a few words."""


def size_hw(data: bytes) -> tuple[int, int]:
    """Height and width as shown (EXIF rotation applied), from the header alone. Raises PictureError."""
    with _opened(data) as image:
        try:
            # Pillow tells a TIFF's size as shown by itself
            turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        except UNREADABLE as error:  # of a PNG, Pillow reads everything to find it
            raise PictureError(f"is not a whole image ({error})") from None
        return (image.width, image.height) if turned else (image.height, image.width)


def decode_rgb(data: bytes, stated_hw: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
    """Pixels (h, w, 3), EXIF rotation applied, unless only the unrotated picture has the stated size.

    Raises PictureError for what is not a whole image, is over ``MAX_PIXELS``, or has another size
    than stated (``(0, 0)`` = not stated).
    """
    with _opened(data) as image:
        try:
            # strict: a truncated file must not become a half-grey picture
            image.load()
            shown = _as_shown(image)
            raw_hw, shown_hw = (image.height, image.width), (shown.height, shown.width)
            if stated_hw not in ((0, 0), shown_hw, raw_hw):
                raise PictureError(f"is {shown_hw[1]} x {shown_hw[0]} px, expected {stated_hw[1]} x {stated_hw[0]}")
            chosen = image if stated_hw == raw_hw != shown_hw else shown
            return np.asarray(chosen if chosen.mode == "RGB" else _to_rgb(chosen))
        except UNREADABLE as error:
            raise PictureError(f"is not a whole image ({error})") from None


def _as_shown(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says, the same object where that is not at all."""
    # Pillow's exif_transpose writes the EXIF again, and fails where any of its values is of another type
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow would clip 16-bit values to 255 instead of scaling them
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise PictureError("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = open_image(io.BytesIO(data))
    except UNREADABLE as error:
        raise PictureError(f"is not an image ({type(error).__name__})") from None
    if image.width * image.height > MAX_PIXELS:
        megapixels = image.width * image.height / 1e6
        image.close()
        raise PictureError(f"has {megapixels:.0f} megapixels, more than the {MAX_PIXELS / 1e6:.0f} allowed")
    return image


@dataclass(frozen=True)
class ImageCache:
    """Bytes of images kept under their SHA-256, so that nothing is downloaded or unpacked twice."""

    folder: Path

    def put(self, data: bytes) -> tuple[str, Path]:
        """Keep the bytes; gives their digest and file. Storing the same bytes again writes nothing."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256, _extension(data))
        if not path.exists():
            with atomic(path) as stream:
                stream.write(data)
        return sha256, path

    def find(self, sha256: str) -> Path | None:
        """The file with this digest, if it is kept."""
        return next(iter((self.folder / sha256[:2]).glob(f"{sha256}.*")), None)

    def _path(self, sha256: str, extension: str) -> Path:
        return self.folder / sha256[:2] / f"{sha256}{extension}"


def _extension(data: bytes) -> str:
    try:
        with _opened(data) as image:
            return EXTENSIONS.get(image.format or "", ".bin")
    except PictureError:
        return ".bin"
