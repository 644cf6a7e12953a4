"""Ultralytics YOLO (detection, segmentation, pose, OBB): data.yaml, image lists, one text file a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from audit.adapters.exports import shapes
from audit.adapters.exports.archive import FileError, Files, readable, tails
from audit.adapters.exports.images import SUFFIXES, Library
from audit.adapters.exports.numbers import number, numbers, whole
from audit.adapters.exports.reading import Reading, unknown_label
from audit.adapters.exports.rle import ShapeError
from audit.adapters.exports.shapes import Shape
from audit.adapters.pictures import PictureError, size_hw
from audit.core.annotations import ShapeType
from audit.core.table import FloatArray
from audit.errors import UsageError
from audit.ports import Advance

MAX_YAML_BYTES = 4 << 20
HEAD_BYTES = 1 << 18
"""Enough of an image to hold its size: metadata before it rarely takes more than 64 KiB."""

NOT_SPLITS = ("path", "names", "nc", "kpt_shape", "flip_idx", "kpt_names", "download", "channels")


def read(files: Files, name: str, reading: Reading, library: Library, advance: Advance) -> None:
    """Fill ``reading`` from a data.yaml. Sizes come from the images, so without any there is nothing to read."""
    where = f"{files.where}/{name}"
    settings = load_yaml(files, name)
    names = _names(settings, where)
    for label in names.values():
        reading.labels.declare(label)
    if not library.any():
        raise UsageError(
            f"{where}: YOLO labels are shares of the image size, and no images were found in "
            f"{library.files.where}; give their folder with --images"
        )
    base = name.rsplit("/", 1)[0] + "/" if "/" in name else ""
    reader = _Reader(where, reading, library, names, _keypoint_width(settings))
    listed = dict(_listed(files, base, settings, reading))
    if not listed:
        raise UsageError(f"{where}: none of its lists (train, val, test ...) names an image")
    for image, subset in listed.items():
        reader.frame(files, base, image, subset)
        advance()


def load_yaml(files: Files, name: str) -> dict[str, Any]:
    """The settings in a data.yaml. Raises UsageError if it is no YAML, too large, or no mapping."""
    import yaml  # other formats need not wait for it

    where = f"{files.where}/{name}"
    with readable(where), files.open(name) as stream:
        data = stream.read(MAX_YAML_BYTES + 1)
    if len(data) > MAX_YAML_BYTES:
        raise UsageError(f"{where}: is over {MAX_YAML_BYTES >> 20} MiB, too large for a data.yaml")
    try:
        settings = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{where}: is not valid YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(settings, dict):
        raise UsageError(f"{where}: expected settings such as 'names:', found {type(settings).__name__}")
    return settings


def _names(settings: dict[str, Any], where: str) -> dict[int, str]:
    """Class numbers to labels; ``names`` may be a list or a mapping."""
    names = settings.get("names")
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    result = {}
    for key, value in pairs:
        code = whole(key)
        if code is None or not isinstance(value, (str, int, float, bool)):
            raise UsageError(f"{where}: 'names' must map numbers to words, found {str(key)[:30]}: {str(value)[:60]}")
        result[code] = str(value)
    if not result:
        raise UsageError(f"{where}: expected 'names' with the labels, found none")
    return result


def _keypoint_width(settings: dict[str, Any]) -> tuple[int, int]:
    """(number of keypoints, values each) of a pose data set, else zeros."""
    values = numbers(settings.get("kpt_shape")).tolist()
    return (int(values[0]), int(values[1])) if len(values) == 2 and values[0] > 0 and values[1] in (2, 3) else (0, 0)


def _listed(files: Files, base: str, settings: dict[str, Any], reading: Reading) -> Iterator[tuple[str, str]]:
    """(image as listed, subset) of every split, in the order of data.yaml."""
    for subset, value in settings.items():
        if subset in NOT_SPLITS or value is None:
            continue
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, str):
                continue
            # exports of other tools point one folder up, to where the files are not
            place = re.sub(r"^(\.{1,2}/)+", "", entry.replace("\\", "/")).strip("/")
            # a path of the machine that made the list ends as the one here does
            found = next((f for end in tails(place) or [place] if (f := list(_split(files, base, end)))), [])
            if not found:
                reading.problems.add(f"{subset}: {entry[:200]}", "lists no images, or is not there")
            yield from ((image, str(subset)) for image in found)


def _split(files: Files, base: str, place: str) -> Iterator[str]:
    if place.endswith(".txt"):
        yield from (_here(files, base, line) for line in _lines(files, base + place))
        return
    prefix = base + (place + "/" if place and place != "." else "")
    for name in sorted(files.names()):
        if name.startswith(prefix) and name.lower().endswith(SUFFIXES):
            yield name.removeprefix(base)


def _here(files: Files, base: str, line: str) -> str:
    """The image of a line; of one with a path of another machine the end that is here, if any is."""
    if not re.match(r"[/\\]|[A-Za-z]:", line):
        return line
    ends = tails(line)
    return next((end for end in ends if files.has(base + end) or label_file(files, base, end)), line)


def label_file(files: Files, base: str, image: str) -> str:
    """The text beside the image, under ``labels`` where the image is under ``images``; "" if it has none."""
    parts = image.split("/")
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    else:
        parts.insert(0, "labels")
    name = base + "/".join([*parts[:-1], parts[-1].rsplit(".", 1)[0] + ".txt"])
    return name if files.has(name) else ""


def _lines(files: Files, name: str) -> Iterator[str]:
    try:
        if not files.has(name):
            return
        text = files.read(name).decode("utf-8-sig", "replace")
    except FileError as problem:
        raise UsageError(f"{files.where}/{name}: {problem}") from None
    yield from (line.strip().removeprefix("./") for line in text.splitlines() if line.strip())


class _Reader:
    def __init__(
        self, where: str, reading: Reading, library: Library, names: dict[int, str], keypoints: tuple[int, int]
    ) -> None:
        self.where = where
        self.reading = reading
        self.library = library
        self.names = names
        self.keypoints = keypoints

    def frame(self, files: Files, base: str, image: str, subset: str) -> None:
        reading, position = self.reading, self.reading.positions
        reading.positions += 1
        if reading.wanted is not None and position not in reading.wanted:
            return
        try:
            size = self._size(self.library.find(image, subset))
            beside = label_file(files, base, image)
            lines = files.read(beside).decode("utf-8-sig", "replace").splitlines() if beside else []
        except (FileError, PictureError) as problem:
            reading.problems.add(image, f"left out with its shapes: {problem}")
            return
        row = reading.frames.add(image, position, size, subset=subset)
        for index, line in enumerate(lines, 1):
            if line.strip():
                self._line(line.split(), row, f"{beside} line {index}")

    def _size(self, member: str) -> tuple[int, int]:
        files = self.library.files
        try:
            return size_hw(files.read(member, HEAD_BYTES))
        except (PictureError, OSError, SyntaxError, ValueError):
            pass  # its size may stand further back, as in most TIFFs
        try:
            return size_hw(files.read(member))
        except (OSError, SyntaxError, ValueError) as error:
            raise PictureError(f"is not an image ({type(error).__name__})") from None

    def _line(self, words: list[str], row: int, where: str) -> None:
        reading = self.reading
        reading.shape_positions += 1
        code = whole(words[0])
        if code is None:
            reading.problems.add(where, f"expected a class number first, found '{words[0][:30]}'; line left out")
            return
        if code not in self.names:
            frame = reading.frames.names[row]
            raise unknown_label(f"{self.where}: image '{frame}', {where}", f"class {code}", self.names)
        h, w = reading.frames.size_hw(row)
        try:
            shape = read_shape(numbers(words[1:]), (h, w), self.keypoints)
        except ShapeError as error:
            reading.problems.add(where, f"left out: {error}")
            return
        label = reading.labels.codes[self.names[code]]
        reading.shapes.add(shape, row, label, reading.shape_positions)


def read_shape(values: FloatArray, size_hw: tuple[int, int], keypoints: tuple[int, int] = (0, 0)) -> Shape:
    """One line without its class. values: shares of the image's width and height.

    4 values are a box (5 with a track's number), 4 + keypoints a skeleton, 6 or more in pairs an
    outline: polygons of segmentation and the four corners of OBB alike. Raises ShapeError.
    """
    h, w = size_hw
    count, width = keypoints
    if count and len(values) == 4 + count * width:
        points = values[4:].reshape(count, width)
        shown = points[:, 2] > 0 if width == 3 else (points != 0).any(axis=1)
        return shapes.skeleton(points[:, :2] * [w, h], shown.tolist())._replace(xyxy=_box(values, w, h))
    if len(values) in (4, 5):
        return shapes.rectangle(_box(values, w, h))
    if len(values) < 6 or len(values) % 2:
        raise ShapeError(f"{len(values)} numbers after the class are neither a box nor an outline")
    return shapes.vertices(ShapeType.POLYGON, [values.reshape(-1, 2) * [w, h]])


def _box(values: FloatArray, w: int, h: int) -> tuple[float, float, float, float]:
    cx, cy, bw, bh = (number(v) for v in values[:4])
    return (cx - bw / 2) * w, (cy - bh / 2) * h, (cx + bw / 2) * w, (cy + bh / 2) * h
