"""What people are told to do about a finding, in an issue's text."""

from __future__ import annotations

from audit.core.findings import MODEL_FREE, FindingType


def suggestion(kind: FindingType, label: str, chosen: str, suggested: str) -> str:
    """label: of the shape. chosen: the label that the reviewer chose, "" for none. suggested: that, or the model's."""
    if kind is FindingType.MISSING_ANNOTATION:
        return f"label {suggested} here"
    if kind is FindingType.MISMATCHING_LABEL or chosen:
        return f"call it {suggested}"
    if kind is FindingType.LOW_OVERLAP:
        return f"redraw this {label}"
    if kind is FindingType.INVALID_SHAPE:
        return f"repair or delete this {label}"
    if kind in MODEL_FREE:
        return _look(kind, label)
    return f"delete this {label}"


def _look(kind: FindingType, label: str) -> str:
    """What to do about a finding that no shape alone gives rise to."""
    return {
        FindingType.UNUSUAL_SHAPE: f"check size, place and label of this {label}",
        FindingType.BROKEN_TRACK: f"follow the track of this {label} over the frames around this one",
        FindingType.EMPTY_FRAME: "label this frame",
    }.get(kind, "label both frames alike")
