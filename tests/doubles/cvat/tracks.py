"""Tracks across the borders of jobs: cut when a task is written, joined to its view when it is read."""

from __future__ import annotations

import copy
from typing import Any

Item = dict[str, Any]


def cut(track: Item, start: int, stop: int) -> Item | None:
    """The part of a track on the frames start..stop, None if it isn't there.

    Where the track goes on beyond a border, an interpolated keyframe is put on the last frame inside.
    """
    shapes = sorted(track["shapes"], key=lambda shape: int(shape["frame"]))
    inside = [shape for shape in shapes if start <= shape["frame"] <= stop]
    first = _at(shapes, start) if shapes and shapes[0]["frame"] < start else None
    if first is not None and not any(shape["frame"] == start for shape in inside):
        inside.insert(0, first)
    last = _at(shapes, stop)
    later = any(shape["frame"] > stop for shape in shapes)
    if inside and later and last is not None and inside[-1]["frame"] != stop:
        inside.append(last)
    if not inside:
        return None
    part = copy.deepcopy(track)
    part["shapes"] = copy.deepcopy(inside)
    part["frame"] = inside[0]["frame"]
    cuts = [cut(element, start, stop) for element in track["elements"]]
    part["elements"] = [element for element in cuts if element is not None]
    return part


def _at(shapes: list[Item], frame: int) -> Item | None:
    """The track's shape on a frame, between keyframes in proportion; None where it is outside or not yet there."""
    before = [shape for shape in shapes if shape["frame"] <= frame]
    if not before or before[-1]["outside"]:
        return None
    left = before[-1]
    right = next((shape for shape in shapes if shape["frame"] > frame), None)
    found = {**copy.deepcopy(left), "frame": frame, "id": None}
    if left["frame"] != frame and right is not None and len(left["points"]) == len(right["points"]):
        share = (frame - left["frame"]) / (right["frame"] - left["frame"])
        found["points"] = [a + (b - a) * share for a, b in zip(left["points"], right["points"], strict=True)]
    return found


def closed(track: Item, border: int | None) -> Item:
    """A job's track in the view of its task: gone from the next job's first frame on, if there is a next job."""
    if border is None or not track["shapes"] or track["shapes"][-1]["outside"]:
        return track
    end = {**copy.deepcopy(track["shapes"][-1]), "frame": border, "outside": True}
    return {**track, "shapes": [*track["shapes"], end], "elements": [closed(e, border) for e in track["elements"]]}
