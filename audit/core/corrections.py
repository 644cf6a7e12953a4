"""What a push does about each accepted finding. Pure, so that a dry run shows exactly what a push sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from audit.core.annotations import NO_ID, ShapeType, Snapshot
from audit.core.correction import Action, Contradiction, Correction, Plan, merged
from audit.core.decisions import Decision, Verdict
from audit.core.findings import Findings, FindingType, caption
from audit.core.masks import decode
from audit.core.proposals import THIN_PX, Proposal, boxed, cut, masked, ordered, outlined, spot
from audit.core.suggestions import suggestion
from audit.core.table import FloatArray, ObjectArray
from audit.core.track_corrections import KeyBox, TrackEdit, covers, cut_off, track_numbers

__all__ = ["MARKER", "Action", "Contradiction", "Correction", "Plan", "plan_corrections", "plan_issues"]

LINES = (ShapeType.POLYLINE, ShapeType.POINTS, ShapeType.SKELETON)
"""Shapes that need no area."""
UNFIXED = {
    FindingType.BROKEN_TRACK: "a person must see how the track should go on",
    FindingType.EMPTY_FRAME: "nobody has drawn yet what is missing",
    FindingType.INCONSISTENT_FRAMES: "a person must choose which of the two frames is right",
}
"""Findings without a plain fix, and why."""
MARKER = "[cvat-audit {}]"
"""Ends an issue's text; by it an issue is known to belong to a finding, on whatever machine one looks."""


def plan_corrections(
    findings: Findings,
    decisions: Mapping[str, Decision],
    snapshot: Snapshot,
    masks: ObjectArray | None = None,
    keys: Mapping[str, tuple[KeyBox, ...]] | None = None,
) -> Plan:
    """What the accepted findings ask for.

    decisions: by finding id, as ``agreed`` gives them. masks: (n,) the predicted mask of each finding (RLE
    counts of its frame's size) or None; none at all if left out. keys: by id of a missing label that shows on many
    frames, where the object was predicted along them.

    Missing label: create, in the type that the task uses for that label. Low IoU: the predicted place in the
    shape's own type; of an object in two pieces the other piece is deleted. Wrong label: the suggested one.
    Extra, duplicate: delete. Invalid shape: swapped corners are put in order, what sticks out of the image is
    cut off, a shape that shows nothing is deleted.
    A label the reviewer chose replaces the suggested one. Of a Low IoU, an extra or a duplicate it is all that
    changes: who names a shape has neither judged the proposed outline nor asked to delete anything.
    Of a track the label changes, or it goes, as a whole; a stretch that lies off gets one key frame, an end without
    object is cut off; an object missed on many frames becomes a track. What cannot be done so, and shapes whose type
    the proposal cannot keep, become issues. So do the findings of all labels together (``MODEL_FREE``), but for an
    unusual shape that the reviewer gave another label.
    """
    planner = _Planner(findings, snapshot, masks, keys or {})
    rows = _accepted(findings, decisions)
    made = [c for row in rows for c in planner.fixes(row, decisions[findings.id[row]])]
    return merged(sorted(made, key=lambda c: (c.frame, c.annotation_id, c.findings)))


def plan_issues(findings: Findings, decisions: Mapping[str, Decision], snapshot: Snapshot) -> Plan:
    """An issue for every accepted finding, none of them a fix."""
    planner = _Planner(findings, snapshot, None, {})
    made = [planner.issue(row, decisions[findings.id[row]]) for row in _accepted(findings, decisions)]
    return merged(sorted(made, key=lambda c: (c.frame, c.annotation_id, c.findings)))


def _accepted(findings: Findings, decisions: Mapping[str, Decision]) -> list[int]:
    accepted = {key for key, d in decisions.items() if d.verdict is Verdict.ACCEPT}
    return [row for row, key in enumerate(findings.id) if key in accepted]


class _Planner:
    def __init__(
        self,
        findings: Findings,
        snapshot: Snapshot,
        masks: ObjectArray | None,
        keys: Mapping[str, tuple[KeyBox, ...]],
    ) -> None:
        self.f, self.s, self.masks, self.keys = findings, snapshot, masks, keys
        self.types = _usual_types(snapshot)

    def fixes(self, row: int, decision: Decision) -> list[Correction]:
        """One correction; of an object in several pieces, one piece becomes the whole and the other goes."""
        done = self.fix(row, decision)
        piece = int(self.f.related[row])
        if self.f.type[row] != FindingType.LOW_OVERLAP or piece < 0 or done.action is not Action.UPDATE:
            return [done]
        if self.s.annotations.track[[int(self.f.annotation[row]), piece]].any():
            return [self.issue(row, decision, why="one of its pieces is part of a track")]
        return [done, self._deleted(row, piece, kept=int(self.f.annotation[row]))]

    def fix(self, row: int, decision: Decision) -> Correction:
        kind = FindingType(self.f.type[row])
        if kind is FindingType.MISSING_ANNOTATION:
            return self._create(row, decision)
        why = self._unfixed(row, kind, decision)
        if why:
            return self.issue(row, decision, why=why)
        on_track = self.s.annotations.track[int(self.f.annotation[row])]
        return self._of_track(row, kind, decision) if on_track else self._of_shape(row, kind, decision)

    def _of_shape(self, row: int, kind: FindingType, decision: Decision) -> Correction:
        if kind is FindingType.INVALID_SHAPE:
            return self._repaired(row, decision)
        if kind is FindingType.MISMATCHING_LABEL:
            return self._relabelled(row, decision, decision.label or self._name(self.f.suggested_label[row]))
        if decision.label:
            return self._relabelled(row, decision, decision.label)
        return self._moved(row, decision) if kind is FindingType.LOW_OVERLAP else self._removed(row)

    def _unfixed(self, row: int, kind: FindingType, decision: Decision) -> str:
        """Why there is no fix for a finding on labels that exist, "" if there is one."""
        if kind in UNFIXED:
            return UNFIXED[kind]
        if kind is FindingType.INVALID_SHAPE and self.s.annotations.track[int(self.f.annotation[row])]:
            return "a person must see which key frames of the track to repair"
        if kind is FindingType.DUPLICATE_ANNOTATION and not decision.label and self._mixed(row):
            return "one of the two is a track"
        unclear = kind is FindingType.UNUSUAL_SHAPE and not decision.label
        return "a person must see what is wrong with the shape" if unclear else ""

    def _mixed(self, row: int) -> bool:
        """Whether a track and a single shape lie on one another."""
        pair = self.s.annotations.track[[int(self.f.annotation[row]), int(self.f.related[row])]]
        return bool(self.f.related[row] >= 0 and pair[0] != pair[1])

    def issue(self, row: int, decision: Decision, *, why: str = "") -> Correction:
        f, frame = self.f, int(self.f.frame[row])
        return Correction(
            Action.ISSUE,
            (str(f.id[row]),),
            frame,
            annotation_id=int(f.annotation_id[row]),
            position=spot((f.xyxy[row], f.suggested_xyxy[row]), self._size_hw(frame)),
            text=self._text(row, decision, why),
            why=why,
        )

    def _text(self, row: int, decision: Decision, why: str) -> str:
        """The essential comes first: CVAT shows about 14 characters on the picture."""
        f, kind = self.f, FindingType(self.f.type[row])
        label, suggested = self._name(f.label[row]), decision.label or self._name(f.suggested_label[row])
        lines = [caption(kind, label, suggested, float(f.score[row])), str(f.reason[row] or "")]
        lines.append(f"Suggested: {suggestion(kind, label, suggested if decision.label else '', suggested)}.")
        lines.append(f"Not fixed by itself: {why}." if why else "")
        return "\n".join([*(line for line in lines if line), MARKER.format(f.id[row])])

    def _create(self, row: int, decision: Decision) -> Correction:
        f, frame = self.f, int(self.f.frame[row])
        label = decision.label or self._name(f.suggested_label[row])
        if f.frames[row] > 1:
            return self._new_track(row, decision, label)
        wanted = self.types.get(label, self.types.get("", ShapeType.RECTANGLE))
        geometry = self._proposal(row, wanted)
        shape = wanted
        if geometry is None:
            shape, geometry = ShapeType.RECTANGLE, self._proposal(row, ShapeType.RECTANGLE)
        if geometry is None:
            return self.issue(row, decision, why="the proposed box lies outside the image")
        score = float(np.clip(np.nan_to_num(f.prediction_score[row], nan=1.0), 0, 1))
        return Correction(
            Action.CREATE, self._ids(row), frame, label=label, shape=shape, geometry=geometry, score=score
        )

    def _new_track(self, row: int, decision: Decision, label: str) -> Correction:
        keys, first = self.keys.get(str(self.f.id[row]), ()), int(self.f.span()[0][row])
        if sum(key.geometry is not None for key in keys) < 2:
            return self.issue(row, decision, why="the object could not be followed along its frames")
        return Correction(Action.CREATE, self._ids(row), first, label=label, track=True, keys=keys)

    def _moved(self, row: int, decision: Decision) -> Correction:
        a, annotation = self.s.annotations, int(self.f.annotation[row])
        shape = ShapeType(a.shape[annotation])
        if a.rotation[annotation] % 360:
            return self.issue(row, decision, why="the shape is turned, and the proposal is not")
        geometry = self._proposal(row, shape)
        if geometry is None:
            return self.issue(row, decision, why=self._undrawable(row, shape))
        return self._changed(row, geometry, "")

    def _undrawable(self, row: int, shape: ShapeType) -> str:
        """Why the prediction cannot take the place of a shape of this type."""
        outlines = shape in (ShapeType.POLYGON, ShapeType.MASK)
        if outlines and (self.masks is None or self.masks[row] is None):
            return f"the model gives a box, no {shape.name.lower()}, so a person must draw it"
        return f"the proposal has no {shape.name.lower()}"

    def _of_track(self, row: int, kind: FindingType, decision: Decision) -> Correction:
        label = decision.label
        if kind is FindingType.MISMATCHING_LABEL:
            label = label or self._name(self.f.suggested_label[row])
        if label:
            return self._relabelled(row, decision, label)
        first, last = (int(self.s.frames.number[end[row]]) for end in self.f.span())
        numbers = track_numbers(self.s, int(self.f.annotation[row]))
        if kind is FindingType.LOW_OVERLAP:
            made = self._moved(row, decision)
            at = int(self.s.frames.number[self.f.frame[row]])
            edit = TrackEdit(first, last, at, made.geometry, int(min(numbers[numbers > last], default=-1)))
            return made if made.action is Action.ISSUE else replace(made, geometry=None, edits=(edit,))
        if covers((first, last), numbers):
            return self._removed(row)
        if kind is FindingType.DUPLICATE_ANNOTATION:
            return self.issue(row, decision, why="the track goes on where the other one is not")
        end = cut_off((first, last), numbers)
        if end is None or self.s.annotations.shape[self.f.annotation[row]] == ShapeType.SKELETON:
            return self.issue(row, decision, why="a person must see where the track shows nothing")
        return replace(self._changed(row, None, ""), edits=(end,))

    def _relabelled(self, row: int, decision: Decision, label: str) -> Correction:
        if ShapeType(self.s.annotations.shape[self.f.annotation[row]]) is ShapeType.SKELETON:
            return self.issue(row, decision, why="a skeleton's points belong to its label")
        return self._changed(row, None, label)

    def _repaired(self, row: int, decision: Decision) -> Correction:
        a, annotation = self.s.annotations, int(self.f.annotation[row])
        shape, hw = ShapeType(a.shape[annotation]), self._size_hw(int(self.f.frame[row]))
        rings = a.points[annotation]
        if self._shows_nothing(annotation, hw):
            return self._removed(row)
        if shape is ShapeType.POLYGON and len(rings or ()) == 1 and min(hw) > 0:
            if _inside(rings[0], hw) and not decision.label:
                return self.issue(row, decision, why="an outline that crosses itself must be drawn again")
            part = cut(rings[0], hw)
            return self._removed(row) if part is None else self._changed(row, part, decision.label)
        if shape is not ShapeType.RECTANGLE or a.rotation[annotation] % 360:
            return self.issue(row, decision, why="only upright boxes and polygons have one plain repair")
        return self._changed(row, boxed(ordered(a.xyxy[annotation]), hw), decision.label)

    def _shows_nothing(self, annotation: int, hw: tuple[int, int]) -> bool:
        """Whether a shape has no place, no area inside the image, too few points, or is an empty mask."""
        a, shape = self.s.annotations, ShapeType(self.s.annotations.shape[annotation])
        mask, rings = a.mask[annotation], a.points[annotation]
        if mask is not None and min(hw) > 0:
            return not decode(mask, hw).any()
        if shape is ShapeType.POLYGON and rings is not None and max(map(len, rings), default=0) < 3:
            return True
        least = -1.0 if shape in LINES else THIN_PX - 1e-9
        return boxed(ordered(a.xyxy[annotation]), hw, least=least) is None

    def _changed(self, row: int, geometry: Proposal | None, label: str) -> Correction:
        a, annotation = self.s.annotations, int(self.f.annotation[row])
        new = label if label != self._name(a.label[annotation]) else ""
        return Correction(
            Action.RELABEL if new else Action.UPDATE,
            self._ids(row),
            int(self.f.frame[row]),
            annotation_id=int(a.annotation_id[annotation]),
            digest=str(a.digest[annotation]),
            label=new,
            shape=ShapeType(a.shape[annotation]),
            geometry=geometry,
            text="attributes of the old label are lost" if new else "",
            track=bool(a.track[annotation]),
        )

    def _removed(self, row: int) -> Correction:
        """The shape goes; a duplicate only while the other one is there."""
        duplicate = self.f.type[row] == FindingType.DUPLICATE_ANNOTATION
        return self._deleted(row, int(self.f.annotation[row]), kept=int(self.f.related[row]) if duplicate else NO_ID)

    def _deleted(self, row: int, annotation: int, *, kept: int) -> Correction:
        """kept: row of the annotation that must stay behind, -1 for none."""
        a = self.s.annotations
        return Correction(
            Action.DELETE,
            self._ids(row),
            int(self.f.frame[row]),
            annotation_id=int(a.annotation_id[annotation]),
            digest=str(a.digest[annotation]),
            kept_id=int(a.annotation_id[kept]) if kept >= 0 else NO_ID,
            kept_digest=str(a.digest[kept]) if kept >= 0 else "",
            shape=ShapeType(a.shape[annotation]),
            track=bool(a.track[annotation]),
        )

    def _proposal(self, row: int, shape: ShapeType) -> Proposal | None:
        """The predicted place as this type of shape; None if the prediction cannot be drawn so."""
        hw = self._size_hw(int(self.f.frame[row]))
        box = boxed(self.f.suggested_xyxy[row].tolist(), hw)
        mask = None if self.masks is None else self.masks[row]
        if box is None or shape in (ShapeType.RECTANGLE, ShapeType.ELLIPSE):
            return box
        if mask is None or shape not in (ShapeType.MASK, ShapeType.POLYGON):
            return None
        return (masked if shape is ShapeType.MASK else outlined)(mask, hw, box.xyxy)

    def _ids(self, row: int) -> tuple[str, ...]:
        return (str(self.f.id[row]),)

    def _name(self, code: int) -> str:
        return self.s.labels[code] if code >= 0 else ""

    def _size_hw(self, frame: int) -> tuple[int, int]:
        return int(self.s.frames.height[frame]), int(self.s.frames.width[frame])


def _inside(ring: FloatArray, hw: tuple[int, int]) -> bool:
    """Whether no part of a ring (k, 2) lies outside an image of this size."""
    return bool((ring >= 0).all() and (ring <= [hw[1], hw[0]]).all())


def _usual_types(snapshot: Snapshot) -> dict[str, ShapeType]:
    """The type most of a label's areas are drawn in (rectangle, polygon or mask); under "" that of the whole task."""
    a = snapshot.annotations
    drawn = np.isin(a.shape, (ShapeType.RECTANGLE, ShapeType.POLYGON, ShapeType.MASK)) & ~a.crowd
    usual = {name: a.shape[drawn & (a.label == code)] for code, name in enumerate(snapshot.labels)}
    usual[""] = a.shape[drawn]
    return {name: ShapeType(int(np.bincount(shapes).argmax())) for name, shapes in usual.items() if len(shapes)}
