"""Corrections of tracks as CVAT's JSON. Pure.

Keyframes go out without ids, which the server then numbers anew; the track keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.adapters.cvat.edits import SOURCE, LabelSpec, label_of, points_of
from audit.adapters.cvat.tracks import Keyframes
from audit.core.corrections import Correction
from audit.core.track_corrections import TrackEdit
from audit.push_ports import Place, Shape, Unfit

MOST_KEYS = 2
"""So many keyframes in a stretch one new one may stand for. More were set with care, or by a tracker."""


def changed_track(track: Shape, correction: Correction, place: Place, labels: Mapping[str, LabelSpec]) -> Shape:
    """The stored track, complete, with another label, keyframes moved, or an end cut off. Raises Unfit."""
    wanted = {**track, "shapes": [_bare(key) for key in track["shapes"]]}
    for edit in correction.edits:
        box = edit.geometry and points_of(edit.geometry, correction.shape, place.size_hw)
        keys = _moved(wanted, edit, box) if box else _cut(wanted, edit)
        wanted |= {"shapes": keys, "frame": keys[0]["frame"]}
    if correction.label:
        label = label_of(correction.label, _kind(track), labels)
        if label.id != track["label_id"]:
            fixed, mutable = label.attributes(mutable=False), label.attributes(mutable=True)
            keys = [{**key, "attributes": mutable} for key in wanted["shapes"]]
            wanted |= {"label_id": label.id, "attributes": fixed, "shapes": keys}
    return wanted


def drawn_track(correction: Correction, place: Place, labels: Mapping[str, LabelSpec]) -> Shape:
    """A complete new track of boxes. Raises Unfit."""
    label = label_of(correction.label, correction.shape.name.lower(), labels)
    points: list[float] = []
    keys = []
    for key in correction.keys:
        points = points if key.geometry is None else points_of(key.geometry, correction.shape, place.size_hw)
        keys.append({
            "type": correction.shape.name.lower(), "frame": key.number, "points": points, "rotation": 0.0,
            "occluded": False, "outside": key.geometry is None, "z_order": 0,
            "attributes": label.attributes(mutable=True),
        })  # fmt: skip
    return {
        "label_id": label.id, "frame": keys[0]["frame"], "group": 0, "source": SOURCE,
        "attributes": label.attributes(mutable=False), "shapes": keys, "elements": [],
    }  # fmt: skip


def _moved(track: Shape, edit: TrackEdit, points: list[float]) -> list[Shape]:
    """The keyframes with one box for a stretch."""
    keys = sorted(track["shapes"], key=lambda key: int(key["frame"]))
    there = _there(track, edit.at)
    inside = [key for key in keys if edit.first <= key["frame"] <= edit.last and key["frame"] != edit.at]
    if len(inside) > MOST_KEYS:
        raise Unfit(f"the track has {len(inside)} keyframes there, for which one cannot stand")
    if any(key in (keys[0], keys[-1]) for key in inside):
        raise Unfit("the track begins or ends in this stretch")
    if any(float(key.get("rotation") or 0) % 360 for key in inside):
        raise Unfit("a keyframe there is turned, and the proposal is not")
    facts = ("attributes", "occluded", "outside")
    if any(key.get(fact) != there.get(fact) for key in inside for fact in facts):
        raise Unfit("a keyframe there also changes an attribute")
    box = {**there, "frame": edit.at, "points": points}
    kept = [key for key in keys if key not in inside and key["frame"] != edit.at]
    return sorted([*kept, *_still(keys[-1], edit), box], key=lambda key: int(key["frame"]))


def _still(last: Shape, edit: TrackEdit) -> list[Shape]:
    """Keyframes that hold a track where it stays after its last one, around a stretch that comes later."""
    if last["frame"] >= edit.first:
        return []
    around = (edit.first - 1, edit.resume)
    return [{**last, "frame": number} for number in around if number > last["frame"]]


def _cut(track: Shape, edit: TrackEdit) -> list[Shape]:
    """The keyframes of the track without its end, or without its beginning."""
    keys = sorted(track["shapes"], key=lambda key: int(key["frame"]))
    if edit.at < 0:
        if _ends_before(keys, edit.first):
            return keys  # an earlier push cut it off
        last = {**_there(track, edit.first), "frame": edit.first, "outside": True}
        return [*(key for key in keys if key["frame"] < edit.first), last]
    first = {**_there(track, edit.at), "frame": edit.at}
    return [first, *(key for key in keys if key["frame"] > edit.at)]


def _ends_before(keys: list[Shape], number: int) -> bool:
    """Whether the track is hidden from a frame before this one, or from this one, to its end."""
    later = [key for key in keys if key["frame"] >= number]
    before = Keyframes({"shapes": keys}).at(number)
    return before is not None and bool(before.get("outside")) and all(key.get("outside") for key in later)


def _there(track: Shape, number: int) -> Shape:
    """The track's shape on a frame. Raises Unfit if it does not show there."""
    shape = Keyframes(track).at(number)
    if shape is None or shape.get("outside"):
        raise Unfit(f"the track does not show on frame {number}")
    return _bare(shape)


def _bare(key: Mapping[str, Any]) -> Shape:
    return {name: value for name, value in key.items() if name != "id"}


def _kind(track: Shape) -> str:
    if track.get("elements"):
        return "skeleton"
    return str(track["shapes"][0]["type"]) if track["shapes"] else "any"
