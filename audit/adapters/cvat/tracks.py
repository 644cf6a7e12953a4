"""A track's keyframes and the shapes in between, by CVAT's rules. Pure.

- A track shows from its first keyframe on, and keeps its last shape to the end of the job.
- From a keyframe marked ``outside`` it is hidden until the next keyframe.
- Rectangles, ellipses, cuboids and single points move linearly, their rotation the shorter way round.
- Polygons and polylines: CVAT matches the vertices of the two keyframes by arc length. Here they move
  linearly if both have as many vertices, else the earlier keyframe stays.
- Several points and masks: the earlier keyframe stays, as in CVAT.
- A skeleton's points are tracks of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LINEAR = ("rectangle", "ellipse", "cuboid", "polygon", "polyline")

Raw = Mapping[str, Any]


def shapes_of_track(track: Raw, numbers: Iterable[int]) -> Iterator[Raw]:
    """The shape on each of these frame numbers on which the track shows, in their order.

    Each is a shape as CVAT sends it, with its ``frame``; a skeleton's has its ``elements``.
    """
    own, elements = Keyframes(track), [Keyframes(e) for e in track.get("elements") or []]
    if not own and not elements:
        return
    for number in numbers:
        shape = own.at(number) if own else {"type": "skeleton", "occluded": False}
        if shape is None or shape.get("outside"):
            continue
        if not elements:
            yield {**shape, "frame": number}
            continue
        parts = [part for part in (e.at(number) for e in elements) if part is not None]
        if any(not part.get("outside") for part in parts):
            yield {**shape, "type": "skeleton", "frame": number, "elements": parts}


class Keyframes:
    """The keyframes of one track (or of one point of a skeleton's), by frame number."""

    def __init__(self, track: Raw) -> None:
        by_number = {int(shape["frame"]): shape for shape in track.get("shapes") or []}
        self._numbers = sorted(by_number)
        self._shapes = [by_number[n] for n in self._numbers]

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def at(self, number: int) -> Raw | None:
        """The shape there; ``None`` before the first keyframe. It may be marked outside."""
        index = bisect_right(self._numbers, number) - 1
        if index < 0:
            return None
        before: Raw = self._shapes[index]
        if self._numbers[index] == number or before.get("outside") or index + 1 == len(self._numbers):
            return before
        start, end = self._numbers[index], self._numbers[index + 1]
        return between(before, self._shapes[index + 1], (number - start) / (end - start))


def between(before: Raw, after: Raw, share: float) -> Raw:
    """The shape at ``share`` (0 to 1) of the way; its other facts are those of the earlier keyframe."""
    a, b = before.get("points") or [], after.get("points") or []
    kind = before.get("type")
    movable = kind in LINEAR or (kind == "points" and len(a) == 2)
    if not movable or kind != after.get("type") or len(a) != len(b):
        return before
    points = [x + (y - x) * share for x, y in zip(a, b, strict=True)]
    return {**before, "points": points, "rotation": _turn(before, after, share)}


def _turn(before: Raw, after: Raw, share: float) -> float:
    start, end = float(before.get("rotation") or 0), float(after.get("rotation") or 0)
    difference = (end - start + 180) % 360 - 180
    return (start + difference * share) % 360
