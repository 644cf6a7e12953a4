"""One change that a push makes, and how changes of one shape go together. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from audit.core.annotations import NO_ID, ShapeType
from audit.core.proposals import Box, Proposal
from audit.core.track_corrections import KeyBox, TrackEdit


class Action(str, Enum):
    """update changes geometry, relabel the label (and the geometry, if there is one); both keep the shape's id."""

    CREATE = "create"
    UPDATE = "update"
    RELABEL = "relabel"
    DELETE = "delete"
    ISSUE = "issue"


@dataclass(frozen=True)
class Correction:
    """One shape to create, change or delete, or one issue to open.

    findings: ids of the findings it settles. frame: row of the snapshot's frames. annotation_id, digest:
    of the shape as the audit read it (``-1``, "" for none). kept_id, kept_digest: of the shape that a
    deleted duplicate leaves behind, which must still be there. label: the name to give, "" to keep it.
    shape: the type to create or already there. geometry: what to draw, None to keep it. score: of a
    created shape. position: of an issue, xyxy. text: of an issue, or what to tell people of a fix.
    why: why a fix became an issue, "" otherwise. track: whether it is about a track, all frames of it but where edits
    or, of a new one, keys say which.
    """

    action: Action
    findings: tuple[str, ...]
    frame: int
    annotation_id: int = NO_ID
    digest: str = ""
    kept_id: int = NO_ID
    kept_digest: str = ""
    label: str = ""
    shape: ShapeType = ShapeType.RECTANGLE
    geometry: Proposal | None = None
    score: float = math.nan
    position: Box | None = None
    text: str = ""
    why: str = ""
    track: bool = False
    edits: tuple[TrackEdit, ...] = ()
    keys: tuple[KeyBox, ...] = ()


@dataclass(frozen=True)
class Contradiction:
    """Accepted findings that cannot all be done; nothing is."""

    findings: tuple[str, ...]
    frame: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """corrections in the order of frames and shapes; contradictions are left alone and listed."""

    corrections: tuple[Correction, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()


def merged(corrections: Sequence[Correction]) -> Plan:
    """One correction for each shape: changes of place and of name go together, deletions with deletions only."""
    groups: dict[tuple[int, int, object], list[Correction]] = {}
    for c in corrections:
        alone = c.action in (Action.CREATE, Action.ISSUE)
        frame = NO_ID if c.track else c.frame  # ids of shapes and of tracks may be equal
        groups.setdefault((frame, c.annotation_id, c.findings if alone else ""), []).append(c)
    kept: list[Correction] = []
    refused: list[Contradiction] = []
    for group in groups.values():
        merged = _as_one(group)
        (kept if isinstance(merged, Correction) else refused).append(merged)  # type: ignore[arg-type]  # by its type
    return Plan(tuple(kept), tuple(refused))


def _as_one(group: Sequence[Correction]) -> Correction | Contradiction:
    first = group[0]
    if len(group) == 1 or first.action in (Action.CREATE, Action.ISSUE):  # two faults of one shape have one id
        return first
    ids = tuple(key for c in group for key in c.findings)
    labels = {c.label for c in group if c.label}
    places = {c.geometry for c in group if c.geometry is not None}
    deletes = sum(c.action is Action.DELETE for c in group)
    what = f"{'track' if first.track else 'shape'} {first.annotation_id}"
    if 0 < deletes < len(group):
        return Contradiction(ids, first.frame, f"{what}: delete it, and also change it?")
    if len(labels) > 1 or len(places) > 1:
        return Contradiction(ids, first.frame, f"{what}: several changes that exclude each other")
    witness = next((c for c in group if c.kept_id != NO_ID), first)
    return Correction(
        Action.DELETE if deletes else Action.RELABEL if labels else Action.UPDATE,
        ids,
        first.frame,
        annotation_id=first.annotation_id,
        digest=first.digest,
        kept_id=witness.kept_id,
        kept_digest=witness.kept_digest,
        label=next(iter(labels), ""),
        shape=first.shape,
        geometry=next(iter(places), None),
        text="attributes of the old label are lost" if labels else "",
        track=first.track,
        edits=tuple(edit for c in group for edit in c.edits),
    )
