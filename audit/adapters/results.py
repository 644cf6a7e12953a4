"""Predictions of any model in the world: a COCO results file as a ``Predictor``."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import ijson
import numpy as np
from numpy.typing import NDArray

from audit.adapters.exports.jsonstream import NullForNan
from audit.adapters.exports.rle import ShapeError, from_coco
from audit.adapters.jsondepth import ShallowOnly, TooDeepError
from audit.adapters.results_lookup import AMBIGUOUS, UNKNOWN, Classes, Images, Key, RowError
from audit.core.annotations import Predictions, Snapshot
from audit.core.masks import box_of, rle_of_rings
from audit.core.table import FloatArray, objects
from audit.errors import UsageError
from audit.ports import PredictItem, Predictor

FAR_OUT = 10
"""Polygon points further out than this many frame sizes are refused: drawing them would take for ever."""

Stream = Callable[[str], Iterator[Any]]
"""Gives the values at a place in the file, such as ``annotations.item``, one by one."""

T = TypeVar("T")


class ResultsFile:
    """See ``audit.ports.Predictor``. notes: lines for the user, such as how many rows fit no frame."""

    needs_images = False
    digest = ""  # reading it again is quicker than a cache
    batch_size = 32

    def __init__(self, name: str, images: Images, classes: Classes, rows: _Rows, notes: tuple[str, ...]) -> None:
        self.name, self.labels, self.notes = name, classes.names, notes
        self._picture_of_frame = images.picture_of_frame
        self._rows = rows.sorted()

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """One table per item; an item the file says nothing about has no predictions."""
        return [self._of(item) for item in items]

    def close(self) -> None:
        """Lets go of the rows, which may be hundreds of megabytes."""
        self._rows = _Rows().sorted()

    def _of(self, item: PredictItem) -> Predictions:
        return self._rows.of(int(self._picture_of_frame[item.frame]))


class _Rows:
    """Columns that grow without an object per row."""

    def __init__(self) -> None:
        self.picture, self.label = array("i"), array("i")
        self.score, self.xyxy = array("d"), array("d")
        self.masks: dict[int, bytes] = {}

    def add(self, picture: int, label: int, score: float, xyxy: Sequence[float], mask: bytes | None) -> None:
        if mask is not None:
            self.masks[len(self.picture)] = mask
        self.picture.append(picture)
        self.label.append(label)
        self.score.append(score)
        self.xyxy.extend(xyxy)

    def sorted(self) -> _SortedRows:
        """The rows by picture. They are moved, not copied: this object is empty afterwards."""
        picture, label, score, xyxy = self.picture, self.label, self.score, self.xyxy
        self.picture, self.label, self.score, self.xyxy = array("i"), array("i"), array("d"), array("d")
        pictures = np.array(picture, np.int32)
        order = np.argsort(pictures, kind="stable")
        place = np.argsort(order) if self.masks else order
        masks = {int(place[row]): mask for row, mask in self.masks.items()}
        return _SortedRows(
            pictures[order],
            np.array(label, np.int32)[order],
            np.array(score, np.float64)[order],
            np.array(xyxy, np.float64).reshape(-1, 4)[order],
            masks,
        )


@dataclass(frozen=True)
class _SortedRows:
    """picture, label: (n,) ascending by picture; score: (n,); xyxy: (n, 4). masks: by row, where there are any."""

    picture: NDArray[np.int32]
    label: NDArray[np.int32]
    score: FloatArray
    xyxy: FloatArray
    masks: Mapping[int, bytes]

    def of(self, picture: int) -> Predictions:
        """The predictions of one picture, in the file's order."""
        # keys of another type would have numpy convert the whole column at every call
        start, stop = np.searchsorted(self.picture, np.array([picture, picture + 1], np.int32)).tolist()
        rows = slice(start, stop)
        table = Predictions(xyxy=self.xyxy[rows], label=self.label[rows].astype(np.int64), score=self.score[rows])
        if not self.masks:
            return table
        return table.replace(mask=objects(self.masks.get(i) for i in range(start, stop)))


def open_results(path: Path, snapshot: Snapshot, categories: Mapping[int, str] | None = None) -> ResultsFile:
    """Read a COCO results file: a list of rows, or an object with ``annotations``, ``images``, ``categories``.

    A row names its image by ``image_id`` (the source's, else the file's stem) or ``file_name``, its class by
    ``category_id`` or ``category_name``; ``bbox`` is [x, y, w, h] in pixels, ``score`` in [0, 1], an optional
    ``segmentation`` an RLE or polygons. categories: the annotations' own, id to name, for rows with an id.
    Raises UsageError for a broken file, naming the row, or if no row fits a frame.
    """
    is_list = _is_list(path)
    return _through(path, lambda stream: _read(path, stream, is_list, snapshot, categories or {}))


def _read(path: Path, stream: Stream, is_list: bool, snapshot: Snapshot, given: Mapping[int, str]) -> ResultsFile:
    listed: dict[Key, str] = {} if is_list else _pairs(stream("images.item"), "file_name")
    own: dict[Key, str] = {} if is_list else _pairs(stream("categories.item"), "name")
    images, classes, rows = Images(snapshot.frames, listed), Classes(own, given), _Rows()
    sizes = _sizes(snapshot, images)
    missed = {UNKNOWN: 0, AMBIGUOUS: 0}
    number, example = 0, ""
    for number, row in enumerate(stream("item" if is_list else "annotations.item"), start=1):
        try:
            picture = _add(rows, row, images, classes, sizes)
        except (RowError, ShapeError) as error:
            raise UsageError(f"{path}: row {number}: {error}") from None
        if picture < 0:
            missed[picture] += 1
            example = example or f"row {number}: {_named(row)}"
    notes = _notes(path, missed, number, example)
    if number and not len(rows.picture):
        raise UsageError(f"{notes[0]}. Do the predictions belong to these images?")
    if not number and not is_list and next(stream("annotations"), None) is None:
        raise UsageError(f"{path}: expected a list of predictions, or an object that has one as 'annotations'")
    if not number:
        notes += (f"{path.name} holds no predictions",)
    return ResultsFile(path.name, images, classes, rows, notes)


def _add(rows: _Rows, row: Any, images: Images, classes: Classes, sizes: Mapping[int, tuple[int, int]]) -> int:
    """The row's picture, or ``UNKNOWN`` or ``AMBIGUOUS`` for a row that is good but fits no frame."""
    if not isinstance(row, dict):
        raise RowError(f"is {type(row).__name__}, expected an object")
    picture, label, score = images.find(row), classes.code(row), _score(row)
    size_hw = sizes.get(picture, (0, 0))
    if row.get("bbox") is not None:
        xyxy = _xyxy(row["bbox"])
    elif row.get("segmentation") is None:
        raise RowError("has neither bbox nor segmentation")
    else:
        xyxy = None
    if picture < 0:
        return picture
    mask, mask_hw = _mask(row.get("segmentation"), size_hw)
    if xyxy is None and mask is None:
        raise RowError("has no bbox, and a polygon cannot be drawn in an image of unknown size")
    if xyxy is None and mask is not None:
        xyxy = box_of(mask, mask_hw).tolist()
    rows.add(picture, label, score, xyxy or (), mask)
    return picture


def _score(row: Mapping[str, Any]) -> float:
    if "score" not in row:
        raise RowError("has no score")
    score = row["score"]
    if score is None or isinstance(score, bool) or not isinstance(score, (int, float)):
        raise RowError(
            f"score is {'null or NaN' if score is None else repr(score)[:60]}, expected a number from 0 to 1"
        )
    if not 0 <= score <= 1:
        raise RowError(f"score is {score}, expected a number from 0 to 1")
    return float(score)


def _xyxy(bbox: Any) -> list[float]:
    good = isinstance(bbox, list) and len(bbox) == 4 and all(_is_number(v) for v in bbox)
    if not good or bbox[2] < 0 or bbox[3] < 0:
        raise RowError(f"bbox is {repr(bbox)[:80]}, expected [x, y, width, height] in pixels")
    x, y, w, h = (float(v) for v in bbox)
    return [x, y, x + w, y + h]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)


def _mask(segmentation: Any, size_hw: tuple[int, int]) -> tuple[bytes | None, tuple[int, int]]:
    """Counts and the size they are of. None without a segmentation, or for a polygon if the size is unknown."""
    if segmentation is None or segmentation == []:
        return None, size_hw
    if isinstance(segmentation, dict):
        counts = from_coco(segmentation, size_hw)
        return counts, (int(segmentation["size"][0]), int(segmentation["size"][1]))
    rings = segmentation if isinstance(segmentation, list) else [None]
    if not all(isinstance(r, list) and len(r) >= 6 and len(r) % 2 == 0 and all(map(_is_number, r)) for r in rings):
        raise RowError("segmentation is neither an RLE nor a list of polygons [x1, y1, x2, y2, x3, y3 …]")
    if 0 in size_hw:
        return None, size_hw
    points = [np.array(r, np.float64).reshape(-1, 2) for r in rings]
    if max(float(np.abs(p).max()) for p in points) > FAR_OUT * max(size_hw):
        raise RowError(f"segmentation has points far outside of the image ({size_hw[1]} x {size_hw[0]} px)")
    return rle_of_rings(points, size_hw), size_hw


def _sizes(snapshot: Snapshot, images: Images) -> dict[int, tuple[int, int]]:
    f = snapshot.frames
    return dict(
        zip(images.picture_of_frame.tolist(), zip(f.height.tolist(), f.width.tolist(), strict=True), strict=True)
    )


def _notes(path: Path, missed: Mapping[int, int], total: int, example: str) -> tuple[str, ...]:
    parts = [f"{missed[UNKNOWN]} name an image that is not here"] if missed[UNKNOWN] else []
    parts += [f"{missed[AMBIGUOUS]} name several images at once"] if missed[AMBIGUOUS] else []
    return (f"{path.name}: of {total} rows {' and '.join(parts)} (first {example})",) if parts else ()


def _named(row: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {row[key]!r}"[:120] for key in ("image_id", "file_name") if row.get(key) is not None)


def _pairs(values: Iterator[Any], name: str) -> dict[Key, str]:
    """Names by id, of what has both, in the order of the ids where they are numbers."""
    found: dict[Key, str] = {}
    for value in values:
        if isinstance(value, dict) and isinstance(value.get("id"), (int, str)) and isinstance(value.get(name), str):
            found[value["id"]] = value[name]
    return dict(sorted(found.items(), key=lambda pair: (isinstance(pair[0], str), pair[0])))


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    if not head:
        raise UsageError(f"{path} is empty, expected a list of predictions in COCO's results format")
    if head[:1] not in b"[{":
        raise UsageError(f"{path} is not a results file: expected a JSON list of predictions, it begins {head[:20]!r}")
    return head[:1] == b"["


def _through(path: Path, read: Callable[[Stream], T]) -> T:
    """Read as JSON; if that fails once more with NaN taken as null, which Python writes and JSON lacks."""
    for tolerant in (False, True):
        try:
            return read(lambda place, tolerant=tolerant: _items(path, place, tolerant))  # type: ignore[misc]
        except TooDeepError as error:
            raise UsageError(f"{path} is not a results file: {error}") from None
        except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
            if tolerant:
                raise UsageError(f"{path} is not valid JSON {_where(path, error)}") from None
    raise AssertionError("the second round returns or raises")


def _items(path: Path, place: str, tolerant: bool) -> Iterator[Any]:
    with path.open("rb") as stream:
        shallow = cast(IO[bytes], ShallowOnly(stream))  # all that is asked of it is read()
        yield from ijson.items(NullForNan(shallow) if tolerant else shallow, place, use_float=True, buf_size=1 << 18)


def _where(path: Path, error: Exception) -> str:
    try:
        json.loads(path.read_bytes())
    except json.JSONDecodeError as found:
        return f"at line {found.lineno}, column {found.colno}: {found.msg}"
    except (ValueError, RecursionError, MemoryError, OSError):
        pass
    return f"({' '.join(str(error).split())[:100]})"


_conforms: type[Predictor] = ResultsFile  # mypy checks the contract here
