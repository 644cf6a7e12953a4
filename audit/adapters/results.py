"""Predictions of any model in the world: a COCO results file as a ``Predictor``."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import ijson
import numpy as np
import pyarrow as pa

from audit.adapters.exports.jsonstream import NullForNan
from audit.adapters.exports.rle import ShapeError, from_coco
from audit.adapters.jsondepth import ShallowOnly, TooDeepError
from audit.adapters.results_lookup import AMBIGUOUS, UNKNOWN, Classes, Images, Key, RowError
from audit.adapters.results_places import Places
from audit.core.annotations import Predictions, Snapshot
from audit.core.masks import box_of, rle_of_rings
from audit.core.table import objects
from audit.errors import UsageError
from audit.ports import PredictItem, Predictor
from audit.runs import BOX
from audit.spool import Spool

FAR_OUT = 10
"""Polygon points further out than this many frame sizes are refused: drawing them would take for ever."""

ROWS_AT_ONCE = 1 << 15
"""Rows in memory before they go to disk."""
FEWEST_PICTURES, MOST_GROUPS = 128, 512
"""Pictures whose rows are read from disk together, and the most such groups there are."""
FAINT, ENOUGH = 0.05, 50
"""A file of so many rows, none of them below this score, was cut off, as many tools do unasked."""

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
        self._rows = rows

    def predict(self, items: Sequence[PredictItem]) -> list[Predictions | str]:
        """One table per item; an item the file says nothing about has no predictions."""
        return [self._rows.of(int(self._picture_of_frame[item.frame])) for item in items]

    def close(self) -> None:
        """Gives the room that the rows took on disk back."""
        self._rows.close()


class _Rows:
    """Rows by picture, on disk but for the last ones that came. pictures: how many there are.

    lowest: the lowest score of those on disk, 1 for none.
    """

    def __init__(self, pictures: int, folder: Path | None) -> None:
        self._spool = Spool(folder)
        self._per_group = max(FEWEST_PICTURES, -(-pictures // MOST_GROUPS))
        self._read: tuple[int, Predictions] = (-1, Predictions())
        self.count, self.lowest = 0, 1.0
        self._begin()

    def add(self, picture: int, label: int, score: float, xyxy: Sequence[float], mask: bytes | None) -> None:
        self._picture.append(picture)
        self._label.append(label)
        self._score.append(score)
        self._xyxy.extend(xyxy)
        self._masks.append(mask)
        self.count += 1
        if len(self._masks) == ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """What is in memory goes to disk. Raises ServiceError if that is full."""
        self.lowest = min(self.lowest, min(self._score, default=1.0))
        picture, boxes = np.array(self._picture, np.int64), np.array(self._xyxy).reshape(-1, 4)
        columns = {"picture": picture, "label": np.array(self._label), "score": np.array(self._score)}
        columns |= {name: boxes[:, i] for i, name in enumerate(BOX)}
        table = pa.table({**columns, "mask": pa.array(self._masks, pa.binary())})
        self._spool.split(picture // self._per_group, table)
        self._begin()

    def of(self, picture: int) -> Predictions:
        """The predictions of one picture, in the file's order. Pictures that follow each other are quick."""
        group = picture // self._per_group
        if group not in self._spool:
            return Predictions()
        if self._read[0] != group:
            self._read = (group, _by_picture(self._spool.read(group)))
        rows = self._read[1]
        return rows[slice(*np.searchsorted(rows.frame, [picture, picture + 1]).tolist())]

    def close(self) -> None:
        self._spool.close()
        self._read = (-1, Predictions())

    def _begin(self) -> None:
        """Columns that grow without an object per row."""
        self._picture, self._label = array("i"), array("i")
        self._score, self._xyxy = array("d"), array("d")
        self._masks: list[bytes | None] = []


def _by_picture(rows: pa.Table) -> Predictions:
    """As predictions whose ``frame`` is the picture, ascending."""
    rows = rows.take(pa.array(np.argsort(rows["picture"].to_numpy(), kind="stable")))
    return Predictions(
        frame=rows["picture"].to_numpy(),
        label=rows["label"].to_numpy(),
        score=rows["score"].to_numpy(),
        xyxy=np.column_stack([rows[name].to_numpy() for name in BOX]),
        mask=objects(rows["mask"].to_pylist()),
    )


def open_results(
    path: Path, snapshot: Snapshot, categories: Mapping[int, str] | None = None, *, folder: Path | None = None
) -> ResultsFile:
    """Read a COCO results file: a list of rows, or an object with ``annotations``, ``images``, ``categories``.

    A row names its image by ``image_id`` (the source's, else the file's stem) or ``file_name``, its class by
    ``category_id`` or ``category_name``; ``bbox`` is [x, y, w, h] in pixels, ``score`` in [0, 1], an optional
    ``segmentation`` an RLE or polygons. categories: the annotations' own, id to name, for rows with an id.
    folder: where the rows wait on disk until they are asked for, None for the system's own.
    Raises UsageError for a broken file, naming the row, or if no row fits a frame; ServiceError for a full disk.
    """
    is_list = _is_list(path)

    def read(stream: Stream) -> ResultsFile:
        listed: dict[Key, str] = {} if is_list else _pairs(stream("images.item"), "file_name")
        own: dict[Key, str] = {} if is_list else _pairs(stream("categories.item"), "name")
        images, classes = Images(snapshot.frames, listed), Classes(own, categories or {})
        rows = _Rows(len(snapshot.frames), folder)
        try:
            notes = _fill(rows, path, stream("item" if is_list else "annotations.item"), images, classes)
            if not rows.count and not is_list and next(stream("annotations"), None) is None:
                raise UsageError(f"{path}: expected a list of predictions, or an object that has one as 'annotations'")
        except BaseException:
            rows.close()
            raise
        return ResultsFile(path.name, images, classes, rows, notes)

    return _through(path, read)


def _fill(rows: _Rows, path: Path, values: Iterator[Any], images: Images, classes: Classes) -> tuple[str, ...]:
    """Read every row; gives what the user should know."""
    missed = {UNKNOWN: 0, AMBIGUOUS: 0}
    number, example = 0, ""
    places = Places()
    for number, row in enumerate(values, start=1):
        try:
            picture = _add(rows, row, images, classes, places)
        except (RowError, ShapeError) as error:
            raise UsageError(f"{path}: row {number}: {error}") from None
        if picture < 0:
            missed[picture] += 1
            example = example or f"row {number}: {_named(row)}"
    rows.flush()
    notes = _notes(path, missed, number, example)
    if number and not rows.count:
        raise UsageError(f"{notes[0]}. Do the predictions belong to these images?")
    places.check(path)
    return (*notes, *places.notes(path), *_cut_off(path, rows)) if number else (f"{path.name} holds no predictions",)


def _add(rows: _Rows, row: Any, images: Images, classes: Classes, places: Places) -> int:
    """The row's picture, or ``UNKNOWN`` or ``AMBIGUOUS`` for a row that is good but fits no frame."""
    if not isinstance(row, dict):
        raise RowError(f"is {type(row).__name__}, expected an object")
    picture, label, score = images.find(row), classes.code(row), _score(row)
    if row.get("bbox") is not None:
        xyxy = _xyxy(row["bbox"])
    elif row.get("segmentation") is None:
        raise RowError("has neither bbox nor segmentation")
    else:
        xyxy = None
    if picture < 0:
        return picture
    mask, mask_hw = _mask(row.get("segmentation"), images.size_hw(picture))
    if xyxy is None and mask is None:
        raise RowError("has no bbox, and a polygon cannot be drawn in an image of unknown size")
    if xyxy is None and mask is not None:
        xyxy = box_of(mask, mask_hw).tolist()
    places.add(xyxy or (), images.size_hw(picture))
    rows.add(picture, label, score, xyxy or (), mask)
    return picture


def _score(row: Mapping[str, Any]) -> float:
    if "score" not in row:
        raise RowError("has no score; is this a file of labels? Results of a model have a score in every row")
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
        shown = repr(bbox).replace("None", "null or NaN")[:80]
        raise RowError(f"bbox is {shown}, expected [x, y, width, height] in pixels")
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


def _notes(path: Path, missed: Mapping[int, int], total: int, example: str) -> tuple[str, ...]:
    parts = [f"{missed[UNKNOWN]} name an image that is not here"] if missed[UNKNOWN] else []
    parts += [f"{missed[AMBIGUOUS]} name several images at once"] if missed[AMBIGUOUS] else []
    return (f"{path.name}: of {total} rows {' and '.join(parts)} (first {example})",) if parts else ()


def _cut_off(path: Path, rows: _Rows) -> tuple[str, ...]:
    """A line if faint predictions were left out of the file."""
    if rows.count < ENOUGH or rows.lowest < FAINT:
        return ()
    return (
        f"{path.name}: no prediction is below {100 * rows.lowest:.0f} %. Faint ones are evidence, too: without them "
        "many labels look as if nothing were there. Have the model write scores from 1 % on (ultralytics: conf=0.01)",
    )


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
