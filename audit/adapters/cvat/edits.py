"""Corrections as CVAT's JSON: a new shape, or a stored one with one thing changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.adapters.cvat.convert import digest_of
from audit.adapters.cvat.masks import MaskError, points_from_rle
from audit.core.annotations import ShapeType
from audit.core.corrections import Correction
from audit.core.proposals import Proposal
from audit.core.skeletons import NoPairingError, paired
from audit.push_ports import Place, Shape, Unfit, without_key_ids

SOURCE = "auto"
"""Of created shapes: CVAT's word for what a model proposed."""
SCORE_DECIMALS = 4
SKIPPED = ("id", "clientID")
UNSURE = ("source", "score", *SKIPPED)
"""Fields of a skeleton's points that a server may fill in by itself."""
NEWER = ("score",)
"""Fields that older servers (2.54) take without a word and do not store."""


@dataclass(frozen=True)
class LabelSpec:
    """A label of the task. type: CVAT's, "any" or the one kind of shape it is meant for. defaults: its attributes.

    points: of a skeleton, by name. mutable: those attributes that may differ from frame to frame of a track.
    """

    id: int
    type: str
    defaults: tuple[tuple[int, str], ...]
    points: tuple[tuple[str, LabelSpec], ...] = ()
    mutable: frozenset[int] = frozenset()

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> LabelSpec:
        specs = raw.get("attributes") or ()
        defaults = tuple((int(a["id"]), str(a.get("default_value") or "")) for a in specs)
        points = tuple((str(part["name"]), cls.of(part)) for part in raw.get("sublabels") or ())
        mutable = frozenset(int(a["id"]) for a in specs if a.get("mutable"))
        return cls(int(raw["id"]), str(raw.get("type") or "any"), defaults, points, mutable)

    def attributes(self, *, mutable: bool | None = None) -> list[dict[str, Any]]:
        """Every attribute with its default, as the server shows a shape to which none were given.

        mutable: only those that may change along a track, or only the others.
        """
        wanted = [(i, value) for i, value in self.defaults if mutable is None or (i in self.mutable) == mutable]
        return [{"spec_id": spec, "value": value} for spec, value in wanted]


def drawn(correction: Correction, place: Place, labels: Mapping[str, LabelSpec]) -> Shape:
    """A complete new shape. Raises Unfit."""
    kind = correction.shape.name.lower()
    if correction.geometry is None:
        raise Unfit("there is no place to draw it at")
    label = label_of(correction.label, kind, labels)
    return {
        "type": kind,
        "label_id": label.id,
        "frame": place.number,
        "points": points_of(correction.geometry, correction.shape, place.size_hw),
        "rotation": correction.geometry.rotation if correction.shape is ShapeType.RECTANGLE else 0.0,
        "occluded": False,
        "outside": False,
        "z_order": 0,
        "group": 0,
        "source": SOURCE,
        "score": round(correction.score, SCORE_DECIMALS),
        "attributes": label.attributes(),
        "elements": _elements(correction, label, place) if correction.shape is ShapeType.SKELETON else [],
    }


def _elements(correction: Correction, label: LabelSpec, place: Place) -> list[dict[str, Any]]:
    """A skeleton's points, every one of the label's. Raises Unfit."""
    keypoints = correction.geometry.keypoints if correction.geometry is not None else ()
    try:
        rows = paired([k.name for k in keypoints], [name for name, _ in label.points])
    except NoPairingError as error:
        raise Unfit(f"label '{correction.label[:60]}': {error}") from None
    return [
        {
            "type": "points",
            "label_id": part.id,
            "frame": place.number,
            "points": [keypoints[row].x, keypoints[row].y],
            "occluded": False,
            "outside": not keypoints[row].seen,
            "source": SOURCE,
            "attributes": part.attributes(),
        }
        for row, (_, part) in zip(rows, label.points, strict=True)
    ]


def changed(shape: Shape, correction: Correction, place: Place, labels: Mapping[str, LabelSpec]) -> Shape:
    """The stored shape, complete (an update replaces all of it), with another place or another label. Raises Unfit."""
    wanted = dict(shape)
    if correction.geometry is not None:
        wanted["points"] = points_of(correction.geometry, correction.shape, place.size_hw)
    if correction.label:
        label = label_of(correction.label, str(shape["type"]), labels)
        if label.id != shape["label_id"]:
            wanted |= {"label_id": label.id, "attributes": label.attributes()}
    return wanted


def points_of(proposal: Proposal, shape: ShapeType, size_hw: tuple[int, int]) -> list[float]:
    """CVAT's ``points`` of a rectangle, ellipse, polygon or mask. Raises Unfit."""
    x1, y1, x2, y2 = proposal.xyxy
    if shape is ShapeType.RECTANGLE:
        return [x1, y1, x2, y2]
    if shape is ShapeType.ELLIPSE:  # centre, the rightmost x, the topmost y
        return [(x1 + x2) / 2, (y1 + y2) / 2, x2, y1]
    if shape is ShapeType.POLYGON and proposal.ring:
        return [v for vertex in proposal.ring for v in vertex]
    if shape is ShapeType.SKELETON and proposal.keypoints:
        return []
    if shape is ShapeType.MASK and proposal.mask is not None:
        try:
            return [float(v) for v in points_from_rle(proposal.mask, size_hw)]
        except MaskError as error:
            raise Unfit(f"the mask {error}") from None
    raise Unfit(f"the proposal cannot be drawn as a {shape.name.lower()}")


def same(stored: Shape, wanted: Shape) -> bool:
    """Whether all that is wanted holds of what is stored. Ids, also those of a skeleton's points, do not count."""
    wanted = {k: v for k, v in wanted.items() if k in stored or k not in NEWER}
    if not wanted.keys() - set(SKIPPED) <= stored.keys():
        return False
    mine, theirs = _bare(wanted), _bare({k: stored[k] for k in wanted if k in stored})
    if mine.get("shapes") and theirs.get("shapes"):  # keyframes of a track, which a newer server may tell more of
        mine["shapes"], theirs["shapes"] = _in_time(mine["shapes"]), _in_time(theirs["shapes"])
        pairs = zip(mine["shapes"], theirs["shapes"], strict=False)
        theirs["shapes"][: len(mine["shapes"])] = [{k: t[k] for k in m if k in t} for m, t in pairs]
    if wanted.get("elements"):
        mine["elements"], theirs["elements"] = _parts(wanted, wanted), _parts(stored, wanted)
    return digest_of(mine) == digest_of(theirs)


def _parts(shape: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A skeleton's points by their label, with what is wanted of each; a server fills in the rest."""
    asked = {e.get("label_id"): e.keys() - set(UNSURE) for e in wanted["elements"]}
    parts = (without_key_ids(e) if e.get("shapes") else e for e in shape.get("elements") or [])
    kept = [{k: e[k] for k in asked.get(e.get("label_id"), ()) if k in e} for e in parts]
    return sorted(kept, key=lambda e: int(e.get("label_id", -1)))


def _in_time(keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(keys, key=lambda key: int(key["frame"]))


def _bare(shape: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in shape.items() if k not in SKIPPED}
    for parts in ("elements", "shapes"):
        if kept.get(parts):
            kept[parts] = [_bare(part) for part in kept[parts]]
    return kept


def label_of(name: str, kind: str, labels: Mapping[str, LabelSpec]) -> LabelSpec:
    """The label of this name, if it is for this kind of shape. Raises Unfit."""
    if name not in labels:
        raise Unfit(f"the task has no label '{name[:60]}' (any more)")
    if labels[name].type not in ("any", "unknown", kind):
        raise Unfit(f"label '{name[:60]}' is for shapes of type {labels[name].type}, not {kind}")
    return labels[name]
