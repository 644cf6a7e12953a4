"""Hashes of pictures by which look-alikes are found: taken where a picture is decoded anyway, and kept on disk."""

from __future__ import annotations

import fcntl
import io
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audit.adapters.pictures import MAX_PIXELS, UNREADABLE, PictureError, decode_rgb, open_image
from audit.checks.look_alikes import Differences
from audit.core.annotations import Frames
from audit.core.boxes import area
from audit.core.likeness import UNKNOWN, Hashes, difference_hash
from audit.core.table import FloatArray
from audit.errors import ServiceError

VERSION = 1
"""Part of the file's name: another way to hash begins its own file."""
THUMBNAIL_WH = (72, 64)
"""Least size to which a JPEG is decoded: half the samples that the hash takes, each way."""
RECORD = np.dtype([("image", "<u8"), ("hash", "<u8")])
"""image: the first 64 bits of its SHA-256; among a million images two share them with a chance of 3 in 10^8."""
KEPT_BACK = 4096
"""New hashes in memory before they are written."""
LEAST_SPREAD = 8.0
"""Grey levels: an even surface differs by its noise alone."""
FEWEST_LOOKS, FRAMES_PER_LOOK = 20, 50
LEAST_PX = 4
"""A spot narrower than this shows nothing."""


class Likenesses:
    """Hashes by image, in one file in ``folder``. Safe for threads, several processes and a kill at any moment."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"likenesses-v{VERSION}.bin"
        self._lock = threading.Lock()
        self._new: dict[int, int] = {}
        self._images, self._hashes = self._read()

    def seen(self, sha256: str, picture: NDArray[np.uint8]) -> None:
        """Take the hash of a decoded picture (h, w, 3), if it is not known yet."""
        if sha256 and not self._knows(_key(sha256)):
            self._keep(_key(sha256), difference_hash(picture))

    def read(self, images: Iterable[tuple[str, bytes | None]]) -> None:
        """Decode those images (SHA-256, bytes) coarsely whose hash is not known yet; broken ones have none."""
        for sha256, data in images:
            if sha256 and data and not self._knows(_key(sha256)):
                self._keep(_key(sha256), hash_of(data))

    def of(self, sha256s: Iterable[str]) -> Hashes:
        """(n,) the hashes of these images, ``UNKNOWN`` for those never seen."""
        with self._lock:
            self._write()
        keys = np.fromiter((_key(s) if s else 0 for s in sha256s), np.uint64)
        place = np.minimum(np.searchsorted(self._images, keys), max(len(self._images) - 1, 0))
        if not len(self._images):
            return np.full(len(keys), UNKNOWN)
        return np.where(self._images[place] == keys, self._hashes[place], UNKNOWN)

    def unlike(self, found: Differences, frames: Frames) -> FloatArray:
        """See the function of this name."""
        return unlike(found, frames)

    def close(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            self._write()

    def _knows(self, key: int) -> bool:
        with self._lock:
            if key in self._new:
                return True
            place = int(np.searchsorted(self._images, np.uint64(key)))
            return place < len(self._images) and int(self._images[place]) == key

    def _keep(self, key: int, value: np.uint64) -> None:
        with self._lock:
            self._new[key] = int(value)
            if len(self._new) >= KEPT_BACK:
                self._write()

    def _write(self) -> None:
        """Append the new ones to the file; what a killed process wrote by half is overwritten."""
        if not self._new:
            return
        records = np.array(list(self._new.items()), RECORD)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.truncate(stream.seek(0, io.SEEK_END) // RECORD.itemsize * RECORD.itemsize)
                stream.write(records.tobytes())
        except OSError as error:
            raise ServiceError(f"cannot keep hashes of images in {self.path}: {error.strerror or error}") from None
        self._new.clear()
        self._images, self._hashes = self._read()

    def _read(self) -> tuple[Hashes, Hashes]:
        """Images, ascending and each once, and their hashes."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise ServiceError(f"cannot read {self.path}: {error.strerror or error}") from None
        records = np.frombuffer(data[: len(data) // RECORD.itemsize * RECORD.itemsize], RECORD)
        images, first = np.unique(records["image"].astype(np.uint64), return_index=True)
        return images, records["hash"].astype(np.uint64)[first]


def hash_of(data: bytes) -> np.uint64:
    """The hash of an image file, decoded no finer than needed; ``UNKNOWN`` for what is not a whole image."""
    nothing: np.uint64 = UNKNOWN
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    return nothing
                image.draft("L", THUMBNAIL_WH)
                return difference_hash(np.asarray(image.convert("L")))
    except UNREADABLE:
        return nothing


def unlike(found: Differences, frames: Frames) -> FloatArray:
    """(n,) how far the pictures of the two frames differ at each place, in standard deviations; NaN: cannot be told.

    The very same file is not looked at, and of the others no more than one in ``FRAMES_PER_LOOK`` frames or
    ``FEWEST_LOOKS``, the largest shapes first: decoding pictures again must cost little beside reading them once.
    """
    most = max(FEWEST_LOOKS, len(frames) // FRAMES_PER_LOOK)
    rows = np.flatnonzero(~found.same_file)
    rows = np.sort(rows[np.argsort(-area(found.xyxy[rows]), kind="stable")[:most]])
    answer, pictures = np.full(len(found), np.nan), _Pictures(frames)
    for row in rows.tolist():
        one, other = pictures.grey(int(found.frame[row])), pictures.grey(int(found.other[row]))
        answer[row] = spot_difference(one, other, found.xyxy[row])
    return answer


def spot_difference(
    one: NDArray[np.float32] | None, other: NDArray[np.float32] | None, xyxy: NDArray[np.float64]
) -> float:
    """Mean difference of two grey pictures (h, w) at a place, in standard deviations of the first there.

    Both are taken relative to their mean brightness. NaN if one is missing, their sizes differ, or the place is none.
    """
    if one is None or other is None or one.shape != other.shape or not np.isfinite(xyxy).all():
        return np.nan
    (x1, y1, x2, y2), (h, w) = xyxy.tolist(), one.shape
    left, right = max(int(x1), 0), min(int(np.ceil(x2)), w)
    top, bottom = max(int(y1), 0), min(int(np.ceil(y2)), h)
    if right - left < LEAST_PX or bottom - top < LEAST_PX:
        return np.nan
    a, b = one[top:bottom, left:right], other[top:bottom, left:right]
    return float(np.abs((a - a.mean()) - (b - b.mean())).mean() / max(float(a.std()), LEAST_SPREAD))


class _Pictures:
    """Grey pictures by frame; the last few stay in memory, since neighbours are asked for one after the other."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._last: dict[int, NDArray[np.float32] | None] = {}

    def grey(self, frame: int) -> NDArray[np.float32] | None:
        if frame not in self._last:
            self._last[frame] = self._decoded(frame)
            if len(self._last) > 4:
                del self._last[next(iter(self._last))]
        return self._last[frame]

    def _decoded(self, frame: int) -> NDArray[np.float32] | None:
        f = self._frames
        if not f.path[frame]:
            return None
        try:
            data = Path(f.path[frame]).read_bytes()
            rgb = decode_rgb(data, (int(f.height[frame]), int(f.width[frame])))
        except (OSError, PictureError):
            return None
        grey: NDArray[np.float32] = rgb.mean(axis=2, dtype=np.float32)
        return grey


def _key(sha256: str) -> int:
    return int(sha256[:16], 16)
