"""Annotation objects: what the server accepts, how it answers a write, how it shows what is stored."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from tests.doubles.cvat.state import Attribute, Label
from tests.doubles.cvat.web import ApiError

Item = dict[str, Any]
KINDS = ("tags", "shapes", "tracks")
SOURCES = ("auto", "semi-auto", "manual", "file", "consensus")
REQUIRED = "This field is required."
MUST_BE_ABSENT = "must be absent"

# How many numbers a shape's points may hold. A mask: at least one pair of runs and its box.
COUNTS: dict[str, Callable[[int], bool]] = {
    "rectangle": lambda n: n == 4,
    "ellipse": lambda n: n == 4,
    "cuboid": lambda n: n == 16,
    "polygon": lambda n: n >= 6 and n % 2 == 0,
    "polyline": lambda n: n >= 4 and n % 2 == 0,
    "points": lambda n: n >= 2 and n % 2 == 0,
    "mask": lambda n: n >= 6,
    "skeleton": lambda n: n == 0,
}


def check(body: dict[str, Any], labels: Sequence[Label], *, ids_allowed: bool) -> dict[str, list[Item]]:
    """Check a write as the server does; it is all or nothing. Returns complete objects, ids only where sent.

    Raises ApiError 400: first for the form of the objects, then for the first unknown label or attribute.
    """
    errors = {kind: [_errors(kind, item, ids_allowed) for item in body.get(kind) or []] for kind in KINDS}
    wrong = {kind: rows for kind, rows in errors.items() if any(rows)}
    if wrong:
        raise ApiError(400, wrong)
    data = {kind: [_COMPLETE[kind](item) for item in body.get(kind) or []] for kind in KINDS}
    known = {label.id: label.attributes for parent in labels for label in [parent, *parent.sublabels]}
    for kind in KINDS:
        for item in data[kind]:
            _check_ids(item, known)
    return data


def _errors(kind: str, item: Item, ids_allowed: bool) -> dict[str, Any]:
    wrong = _field_errors(item, ["label_id", "frame"] if kind != "shapes" else ["type", "label_id", "frame"])
    if not wrong and kind == "shapes":
        wrong = _point_errors(item)
    for name in ("shapes", "elements"):
        inner = [_inner_errors(kind, name, part) for part in item.get(name) or []]
        if any(inner):
            wrong[name] = inner
    if not ids_allowed:
        _add_id_errors(item, wrong)
    return wrong


def _inner_errors(kind: str, name: str, part: Item) -> dict[str, Any]:
    if kind == "tracks" and name == "elements":
        return _errors("tracks", part, ids_allowed=True)
    wrong = _field_errors(part, ["type", "frame"])
    return wrong or _point_errors(part)


def _add_id_errors(item: Item, wrong: dict[str, Any]) -> None:
    if item.get("id") is not None:
        wrong["id"] = [MUST_BE_ABSENT]
    inner = [{"id": [MUST_BE_ABSENT]} if part.get("id") is not None else {} for part in item.get("elements") or []]
    if any(inner):
        wrong["elements"] = inner


def _field_errors(item: Item, required: list[str]) -> dict[str, Any]:
    wrong: dict[str, Any] = {name: [REQUIRED] for name in required if name not in item}
    kind = item.get("type", "rectangle")
    if kind not in COUNTS:
        wrong["type"] = [f'"{kind}" is not a valid choice.']
    if isinstance(item.get("frame"), int) and item["frame"] < 0:
        wrong["frame"] = ["Ensure this value is greater than or equal to 0."]
    score = item.get("score", 1)
    if score is not None and not 0 <= score <= 1:
        bound = "less than or equal to 1" if score > 1 else "greater than or equal to 0"
        wrong["score"] = [f"Ensure this value is {bound}."]
    source = item.get("source", "manual")
    if source not in SOURCES:
        names = ", ".join(f"'{name}'" for name in SOURCES)
        wrong["source"] = [f"must be one of {names}, got '{source}'"]
    return wrong


def _point_errors(item: Item) -> dict[str, Any]:
    kind = item["type"]
    if not COUNTS[kind](len(item.get("points") or [])):
        return {"points": [f"invalid length for shape type '{kind}'"]}
    if kind == "skeleton" and "shapes" not in item and not item.get("elements") and "label_id" in item:
        return {"elements": ["at least one required for skeleton shape"]}
    return {}


def _check_ids(item: Item, known: dict[int, list[Attribute]]) -> None:
    if item["label_id"] not in known:
        raise ApiError(400, [f"label_id `{item['label_id']}` is invalid"])
    specs = {spec.id for spec in known[item["label_id"]]}
    for holder in [item, *item.get("shapes", [])]:
        for attribute in holder["attributes"]:
            if attribute["spec_id"] not in specs:
                raise ApiError(400, [f"spec_id `{attribute['spec_id']}` is invalid"])
    for element in item.get("elements", []):
        _check_ids(element, known)


def _attributes(item: Item) -> list[Item]:
    return [{"spec_id": given["spec_id"], "value": str(given["value"])} for given in item.get("attributes") or []]


def _owner_fields(item: Item) -> Item:
    return {
        "id": item.get("id"),
        "label_id": item["label_id"],
        "group": item.get("group") or 0,
        "source": item.get("source", "manual"),
        "frame": item["frame"],
        "attributes": _attributes(item),
    }


def _place_fields(item: Item) -> Item:
    return {
        "type": item["type"],
        "occluded": bool(item.get("occluded", False)),
        "outside": bool(item.get("outside", False)),
        "z_order": item.get("z_order", 0),
        "rotation": item.get("rotation", 0),
        "points": list(item.get("points") or []),
    }


def complete_shape(item: Item) -> Item:
    """A shape with every field; what was left out has the server's default. Elements of skeletons included."""
    shape = _part(item)
    shape["elements"] = [_part({**element, "frame": item["frame"]}) for element in item.get("elements") or []]
    return shape


def _part(item: Item) -> Item:
    return {**_place_fields(item), **_owner_fields(item), "score": item.get("score", 1)}


def _complete_keyframe(item: Item) -> Item:
    return {**_place_fields(item), "id": item.get("id"), "frame": item["frame"], "attributes": _attributes(item)}


def complete_track(item: Item) -> Item:
    """A track with every field; its keyframes under ``shapes``."""
    shapes = [_complete_keyframe(shape) for shape in item.get("shapes") or []]
    elements = [complete_track(element) for element in item.get("elements") or []]
    return {**_owner_fields(item), "shapes": shapes, "elements": elements}


_COMPLETE: dict[str, Callable[[Item], Item]] = {
    "tags": _owner_fields,
    "shapes": complete_shape,
    "tracks": complete_track,
}


def show(kind: str, item: Item, known: dict[int, list[Attribute]]) -> Item:
    """A stored object as GET shows it: floats, and every attribute with its default if it wasn't given."""
    return _SHOW[kind](item, known)


def _show_tag(item: Item, known: dict[int, list[Attribute]]) -> Item:
    shown = copy.deepcopy(item)
    shown["attributes"] = _filled(item["attributes"], known.get(item["label_id"], []))
    return shown


def _show_shape(item: Item, known: dict[int, list[Attribute]]) -> Item:
    shown = _floats(_show_tag(item, known))
    shown["score"] = float(shown["score"])
    if "elements" in item:
        shown["elements"] = [_show_shape(element, known) for element in item["elements"]]
    return shown


def _floats(item: Item) -> Item:
    return {**item, "rotation": float(item["rotation"]), "points": [float(value) for value in item["points"]]}


def _show_track(item: Item, known: dict[int, list[Attribute]]) -> Item:
    """Immutable attributes stand at the track, mutable ones at each keyframe, carried on from the one before."""
    shown = copy.deepcopy(item)
    specs = known.get(item["label_id"], [])
    shown["attributes"] = _filled(item["attributes"], [spec for spec in specs if not spec.mutable])
    values: dict[int, str] = {spec.id: spec.default_value for spec in specs if spec.mutable}
    shown["shapes"] = []
    for shape in item["shapes"]:
        values.update((given["spec_id"], given["value"]) for given in shape["attributes"])
        attributes = [{"spec_id": key, "value": value} for key, value in values.items()]
        shown["shapes"].append({**_floats(shape), "attributes": attributes})
    shown["elements"] = [_show_track(element, known) for element in item["elements"]]
    return shown


def _filled(given: list[Item], specs: list[Attribute]) -> list[Item]:
    there = {attribute["spec_id"] for attribute in given}
    missing = [{"spec_id": spec.id, "value": spec.default_value} for spec in specs if spec.id not in there]
    return [*given, *missing]


_SHOW: dict[str, Callable[[Item, dict[int, list[Attribute]]], Item]] = {
    "tags": _show_tag,
    "shapes": _show_shape,
    "tracks": _show_track,
}
