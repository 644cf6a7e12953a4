"""A model's keypoints and the task's skeletons: told apart before anything is predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from audit.core.annotations import Snapshot
from audit.core.labels import LabelMatch, listing
from audit.core.skeletons import NoPairingError, by_order, paired
from audit.errors import UsageError
from audit.ports import Predictor, Progress

Skeletons = Callable[[int], Mapping[str, tuple[str, ...]]]
"""The points of each label of a job that is a skeleton, by its name."""


def keypoints_of(predictor: Predictor, match: LabelMatch, snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """The model's names of a skeleton's points, by label of the task; empty for models of anything else."""
    given: Mapping[str, tuple[str, ...]] = getattr(predictor, "keypoints", {})
    found: dict[str, tuple[str, ...]] = {}
    for cls, code in zip(predictor.labels, match.codes.tolist(), strict=True):
        if code < 0 or cls not in given:
            continue
        label = snapshot.labels[code]
        if found.setdefault(label, given[cls]) != given[cls]:
            raise UsageError(f"label '{label}': the model's classes for it have different points; map one of them only")
    return found


def check_skeletons(
    keypoints: Mapping[str, tuple[str, ...]], snapshot: Snapshot, skeletons: Skeletons | None, progress: Progress
) -> None:
    """Raises UsageError, before hours of prediction, if the task's labels cannot take the model's skeletons."""
    if skeletons is None:
        raise UsageError("a copy of an export cannot be given skeletons; draw their boxes with --as rectangle")
    theirs = skeletons(int(snapshot.frames.job[0])) if len(snapshot.frames) else {}
    for label, names in keypoints.items():
        if label not in theirs:
            raise UsageError(
                f"label '{label}' of the task is no skeleton, and the model gives skeletons with the points "
                f"{listing(names, 40)}. Make it a skeleton in CVAT, or draw boxes with --as rectangle."
            )
        try:
            rows = paired(names, theirs[label])
        except NoPairingError as error:
            raise UsageError(f"label '{label}': {error}. Or draw boxes with --as rectangle.") from None
        if by_order(names, theirs[label]):
            progress.note(f"label '{label}': its points are taken in their order, since no name is the model's")
        elif len(rows) < len(names):
            progress.note(f"label '{label}': {len(names) - len(rows)} of the model's points are not among its own")
