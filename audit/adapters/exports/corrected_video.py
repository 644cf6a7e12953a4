"""CVAT for video 1.1 with corrections made: tracks renamed, deleted, moved, cut off, and new ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from math import isfinite
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from audit.adapters.cvat.track_edits import changed_track
from audit.adapters.cvat.tracks import Keyframes, Raw
from audit.adapters.exports.corrected_xml import TAGS, document, placed, without_attributes, xml_of
from audit.adapters.exports.cvat_meta import TaskMeta, read_meta
from audit.adapters.exports.cvat_shapes import READERS, shown
from audit.adapters.exports.numbers import flag, number, whole
from audit.adapters.exports.reading import Reading
from audit.core.annotations import NO_ID, ShapeType, Snapshot
from audit.core.corrections import Action, Correction
from audit.core.track_corrections import KeyBox
from audit.push_ports import Place, Unfit
from audit.push_tracks import ended, unseen

SAME_PX = 1e-6
"""What a sum of fractions may be off."""
CORNERS = ("xtl", "ytl", "xbr", "ybr")


class VideoCopy:
    """The whole document in memory. Frames of a track that a correction does not touch stay element for element."""

    tracks = True

    def __init__(self, data: bytes, where: str, snapshot: Snapshot) -> None:
        self._root, self._frames = document(data, where), snapshot.frames
        meta = self._root.find("meta")
        self._tasks: dict[int, TaskMeta] = {} if meta is None else read_meta(meta, Reading(None))
        self._tracks: dict[tuple[int, int], list[Element]] = {}
        self._next = 0
        for position, track in enumerate(self._root.findall("track"), start=1):
            stated, ident = whole(track.get("task_id", "")), whole(track.get("id"))
            only = stated is None and len(self._tasks) == 1
            task = next(iter(self._tasks)) if only else NO_ID if stated is None else stated
            self._tracks.setdefault((task, position if ident is None else ident), []).append(track)
            self._next = max(self._next, (ident or 0) + 1)

    def create(self, correction: Correction) -> None:
        task = self._task(correction.frame)
        if correction.track:
            keys = ended(correction, self._beyond(correction.frame)).keys
        else:
            keys = _momentary(correction, int(self._frames.number[correction.frame]), task)
        places = [
            None if k.geometry is None else placed(k.geometry, correction.shape, self._hw(correction)) for k in keys
        ]
        facts = {"id": str(self._next), "label": correction.label, "source": "auto"}
        track = Element("track", facts | ({"task_id": str(task.id)} if len(self._tasks) > 1 else {}))
        shown_at: dict[str, str] = {}
        for key, place in zip(keys, places, strict=True):
            shown_at = shown_at if place is None else place
            state = {"frame": str(key.number + task.offset), "keyframe": "1", "outside": str(int(place is None))}
            SubElement(track, TAGS[correction.shape], {**state, "occluded": "0", **shown_at, "z_order": "0"})
        if correction.shape is ShapeType.RECTANGLE:
            _Boxes(track, task).fill()
        self._root.append(track)
        self._next += 1

    def change(self, correction: Correction) -> None:
        found = self._tracks.get((int(self._frames.task[correction.frame]), correction.annotation_id), [])
        if len(found) != 1:
            raise Unfit(f"the export has {len(found)} tracks with id {correction.annotation_id}")
        (track,), task, beyond = found, self._task(correction.frame), self._beyond(correction.frame)
        lost = unseen(correction, {}, beyond, lambda _, numbers: _shown_on(track, task, numbers))
        if lost:
            raise Unfit(lost)
        if correction.action is Action.DELETE:
            self._root.remove(track)
            return
        if correction.edits:
            _Boxes(track, task).edit(ended(correction, beyond), self._hw(correction))
        if correction.label:
            track.set("label", correction.label)
            for element in (track, *track):
                without_attributes(element)

    def written(self) -> bytes:
        return xml_of(self._root)

    def _beyond(self, frame: int) -> list[int]:
        """Numbers of a task's frames before the first and after the last of those that were read."""
        numbers = self._frames.number[self._frames.task == self._frames.task[frame]]
        return [n for n in self._task(frame).numbers() if not numbers.min() <= n <= numbers.max()]

    def _task(self, frame: int) -> TaskMeta:
        task = self._tasks.get(int(self._frames.task[frame]))
        if task is None or task.size < 0:
            raise Unfit("the export does not tell the frames of its task")
        return task

    def _hw(self, correction: Correction) -> tuple[int, int]:
        return int(self._frames.height[correction.frame]), int(self._frames.width[correction.frame])


def _shown_on(track: Element, task: TaskMeta, numbers: Iterable[int]) -> list[int]:
    """On which of these frames the track shows; where nothing is written, what was before goes on."""
    stated = ((whole(e.get("frame", "")), e) for e in track if e.tag in READERS)
    at = sorted((task.number_of(n), shown(e)) for n, e in stated if n is not None)
    before = ((number, bisect_right(at, (number, True)) - 1) for number in numbers)
    return [number for number, place in before if place >= 0 and at[place][1]]


def _momentary(correction: Correction, at: int, task: TaskMeta) -> tuple[KeyBox, ...]:
    """A shape of one frame: a track that is hidden from the next one on."""
    if correction.geometry is None:
        raise Unfit("there is no place to draw it at")
    after = at + task.step
    return (KeyBox(at, correction.geometry), *([KeyBox(after, None)] if after in task.numbers() else []))


class _Boxes:
    """The boxes of one track by frame number, and their keyframes as CVAT's JSON has them."""

    def __init__(self, track: Element, task: TaskMeta) -> None:
        self._track, self._task = track, task
        self._at: dict[int, Element] = {}
        for element in track:
            stated = whole(element.get("frame", ""))
            at = None if stated is None or element.tag not in READERS else task.number_of(stated)
            if at is not None and at in task.numbers():
                self._at[at] = element
        if any(e.tag != "box" for e in self._at.values()):
            raise Unfit("in a copy only boxes of a track can be moved")
        if not all(isfinite(value) for e in self._at.values() for value in _coordinates(e)):
            raise Unfit("a box of the track has a coordinate or rotation that is no number")
        self._keys = {n: _raw(n, e) for n, e in sorted(self._at.items()) if _is_key(e)}

    def edit(self, correction: Correction, size_hw: tuple[int, int]) -> None:
        """Move keyframes, or cut off an end; what CVAT wrote between them follows. Raises Unfit."""
        if not self._keys:
            raise Unfit("the track has no keyframes")
        before: dict[str, Any] = {"shapes": list(self._keys.values()), "label_id": -1}
        after = changed_track(before, replace(correction, label=""), Place(-1, -1, size_hw), {})
        self._write(Keyframes(before), Keyframes(after), {int(key["frame"]) for key in after["shapes"]})

    def fill(self) -> None:
        """Write what lies between keyframes, as CVAT does."""
        self._write(Keyframes({}), Keyframes({"shapes": list(self._keys.values())}), set(self._keys), dense=True)

    def _write(self, before: Keyframes, after: Keyframes, keys: set[int], *, dense: bool = False) -> None:
        dense = dense or any(not _is_key(e) for e in self._at.values())
        made: dict[int, Element] = {}
        for at in self._task.numbers():
            element = self._of(at, before.at(at), after.at(at), key=at in keys, dense=dense)
            if element is not None:
                made[at] = element
        ours = {id(e) for e in self._at.values()}
        others = [e for e in self._track if id(e) not in ours]
        self._track[:] = [*others, *(made[at] for at in sorted(made))]
        self._at = made

    def _of(self, at: int, was: Raw | None, wanted: Raw | None, *, key: bool, dense: bool) -> Element | None:
        """The element of a frame, None for none."""
        element = self._at.get(at)
        if _same(was, wanted) and not (key and element is None):
            if element is not None and key != _is_key(element):
                element.set("keyframe", str(int(key)))
            return element
        if wanted is None or (not key and (wanted.get("outside") or not dense)):
            return None
        return _box(element if element is not None else self._like(at), at + self._task.offset, wanted, key=key)

    def _like(self, at: int) -> Element:
        """The element of the frame before, or of the first: what it tells besides its place holds here, too."""
        earlier = [n for n in self._at if n < at]
        return self._at[max(earlier) if earlier else min(self._at)]


def _is_key(element: Element) -> bool:
    """Writers that leave it out mean that every shape counts."""
    return flag(element.get("keyframe", "1"))


def _same(one: Raw | None, other: Raw | None) -> bool:
    """Whether a track shows the same on a frame."""
    if one is None or other is None:
        return one is other
    near = all(abs(x - y) < SAME_PX for x, y in zip(one["points"], other["points"], strict=True))
    return near and all(one.get(fact) == other.get(fact) for fact in ("rotation", "occluded", "outside", "attributes"))


def _coordinates(element: Element) -> list[float]:
    """The four corners and the rotation; NaN for what is no number."""
    return [*(number(element.get(corner)) for corner in CORNERS), number(element.get("rotation", 0))]


def _raw(at: int, element: Element) -> dict[str, Any]:
    *points, rotation = _coordinates(element)
    return {
        "type": "rectangle",
        "frame": at,
        "points": points,
        "rotation": rotation,
        "occluded": flag(element.get("occluded")),
        "outside": not shown(element),
        "attributes": [(a.get("name"), a.text) for a in element.findall("attribute")],
    }


def _box(like: Element, stated: int, wanted: Raw, *, key: bool) -> Element:
    made = deepcopy(like)
    made.set("frame", str(stated))
    made.set("keyframe", str(int(key)))
    made.set("outside", str(int(bool(wanted.get("outside")))))
    made.set("occluded", str(int(bool(wanted.get("occluded")))))
    for corner, value in zip(CORNERS, wanted["points"], strict=True):
        made.set(corner, f"{value:.2f}")
    turned = float(wanted.get("rotation") or 0) % 360
    if turned:
        made.set("rotation", f"{turned:.2f}")
    elif "rotation" in made.attrib:
        del made.attrib["rotation"]
    return made
