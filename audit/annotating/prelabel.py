"""Pre-labelling from end to end: pull, predict, choose the blind frames, draw. Written against ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audit import journal as journals
from audit import out_folder
from audit.annotating.blind_share import Blind, FrameKey, extended, settled
from audit.annotating.blind_share import write as write_blind
from audit.annotating.journalled import BoxOf, carry_out, check_folder, open_to_all, write_folder
from audit.annotating.prelabel_skeletons import Skeletons, check_skeletons, keypoints_of
from audit.annotating.prelabel_steps import Drawer
from audit.asking import Cache
from audit.core.annotations import ShapeType, Snapshot
from audit.core.boxes import iou_matrix
from audit.core.corrections import Contradiction, Correction, Plan
from audit.core.labels import LabelMatch, listing, match_labels
from audit.core.proposals import Box
from audit.core.table import BoolArray
from audit.errors import UsageError
from audit.journal import Journal
from audit.loop.prelabels import SAME_PLACE, SKELETON_KINDS, Rules, Wish, is_done, once, wishes
from audit.ports import AnnotationStore, Predictor, Progress
from audit.predicting import Auditor, Timings, predict
from audit.push_ports import JobView, PushTarget, Report
from audit.runs import RunFolder

COMMAND = "prelabel"


@dataclass(frozen=True)
class Choice:
    """What the user chose. mapping: class → label. share, seed: of the blind frames, None where nothing was said."""

    rules: Rules
    mapping: Mapping[str, str]
    share: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Sent:
    """labels: the one behind each line's key. drawn: the shapes that are new on the server, or would be."""

    report: Report
    labels: Mapping[str, str]
    drawn: Sequence[Correction]


@dataclass(frozen=True)
class Prelabels:
    """A finished prediction. audited: (frames,) could be predicted. blind: (frames,) stays without pre-labels.

    standing: job and frame number of the pre-labels that this folder drew before.
    """

    run: RunFolder
    snapshot: Snapshot
    rules: Rules
    model: str
    audited: BoolArray
    blind: BoolArray
    standing: frozenset[tuple[int, int]] = frozenset()

    @property
    def rows(self) -> BoolArray:
        """(frames,) to draw on; a frame that two jobs share in one of them only."""
        return np.asarray(self.audited & ~self.blind & once(self.snapshot, self.standing))

    def wanted(self, rows: Sequence[int]) -> list[Wish]:
        """What to draw on these rows, which are of one job and so lie close together."""
        if not len(rows):
            return []
        found = self.run.predictions(min(rows), max(rows) + 1)
        return wishes(self.snapshot, found, self.rules, rows, self.model)


def prepare(
    store: AnnotationStore,
    open_predictor: Callable[[Snapshot], Predictor],
    out: Path,
    *,
    choice: Choice,
    cache: Cache,
    progress: Progress,
    skeletons: Skeletons | None = None,
) -> Prelabels:
    """Predict every frame of the store and write the folder ``out``; what was predicted before is not run again.

    Blind frames are predicted too: what the model says there is what people are compared with later.
    skeletons: asks the server for those of a job, None if there is no server.
    Raises UsageError or ServiceError; the same call goes on from there.
    """
    snapshot = store.snapshot(progress)
    check_folder(out, COMMAND, snapshot.source)
    journal = journals.read(out)
    blind = settled(out, choice.share, choice.seed, binding=bool(journal.requests))
    _check_thresholds(choice.rules, snapshot)
    predictor = open_predictor(snapshot)
    try:
        auditor = Auditor(predictor, _matched(predictor, snapshot, choice, progress))
        keypoints = keypoints_of(predictor, auditor.match, snapshot)
        if keypoints and choice.rules.kind in SKELETON_KINDS:
            check_skeletons(keypoints, snapshot, skeletons, progress)
        if predictor.needs_images and not store.has_images():
            raise UsageError(
                f"{predictor.name} needs the images, and there are none. Say where they are: --images DIR."
            )
        out_folder.claim(out, COMMAND, snapshot.source)
        file = out / "predictions.parquet"
        snapshot, audited = predict(
            store, [auditor], snapshot, file, cache=cache, progress=progress, timings=Timings()
        )  # fmt: skip
    finally:
        predictor.close()
    blind = extended(blind, _candidates(snapshot, audited))
    write_blind(out, blind)
    model = {"name": predictor.name, "digest": predictor.digest, "labels": list(predictor.labels)}
    run = write_folder(out, COMMAND, snapshot, [model], settings=_settings(choice, blind))
    is_blind = np.array([blind.frames.get(key, False) for key in _keys(snapshot)], bool)
    rules = replace(choice.rules, keypoints=keypoints)
    return Prelabels(run, snapshot, rules, predictor.digest or predictor.name, audited, is_blind, _standing(journal))


def send(
    made: Prelabels,
    target: PushTarget,
    box_of: BoxOf,
    *,
    execute: bool,
    include_completed: bool = False,
    progress: Progress,
) -> Sent:
    """Draw the pre-labels on a server, or tell what would be drawn. See ``carry_out``."""
    drawer = Drawer(made.snapshot, made.wanted, made.rows, made.rules, target, box_of)
    jobs = [int(j) for j in dict.fromkeys(made.snapshot.frames.job.tolist())]
    report = carry_out(
        made.run.path,
        jobs,
        drawer.steps,
        target,
        execute=execute,
        closed=open_to_all if include_completed else _closed,
        progress=progress,
    )
    if drawer.left:
        report.notes.append(
            f"frames left to the people who have worked on them: {len(drawer.left)}; --fill draws there, too, what is "
            "not labelled yet"
        )
    if drawer.outdated and not made.rules.replace:
        report.notes.append(
            f"{drawer.outdated} earlier pre-labels are not what these settings draw; "
            "--replace-auto replaces those that nobody touched"
        )
    return Sent(report, drawer.labels, _told(report, drawer.drawn))


def _told(report: Report, drawn: Mapping[str, Correction]) -> list[Correction]:
    """What was sent, or would be."""
    lines = [x for x in report.lines if x.action == "create" and x.status in ("to do", "done")]
    return [drawn[key] for line in lines for key in line.findings if key in drawn]


def _closed(job: JobView) -> str:
    """Why a job gets no pre-labels; "" if it may."""
    return f"job {job.id} is in {job.stage}, {job.state}; draw in it all the same with --include-completed" * is_done(
        job.stage, job.state
    )


def plan_of(made: Prelabels) -> tuple[Plan, dict[str, str]]:
    """What to draw in a copy of an export: on frames without labels, or with ``fill`` where nothing is yet."""
    kept = [w for w in made.wanted(np.flatnonzero(made.rows).tolist()) if _free(made, w)]
    labels = {w.base: w.label for w in kept}
    bare = tuple(Contradiction((w.base,), w.row, w.lacking) for w in kept if not w.alternatives)
    return Plan(tuple(w.alternatives[0] for w in kept if w.alternatives), bare), labels


def _free(made: Prelabels, wish: Wish) -> bool:
    a = made.snapshot.annotations
    here = a.xyxy[(a.frame == wish.row) & (a.shape != ShapeType.TAG)]
    if not len(here) or not wish.alternatives:
        return not len(here)
    geometry = wish.alternatives[0].geometry
    if geometry is None:
        return False
    box: Box = geometry.around
    return made.rules.fill and float(iou_matrix(np.array([box]), here).max()) < SAME_PLACE


def _matched(predictor: Predictor, snapshot: Snapshot, choice: Choice, progress: Progress) -> LabelMatch:
    for line in predictor.notes:
        progress.note(line)
    try:
        match = match_labels(predictor.labels, snapshot.labels, choice.mapping)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if (match.codes < 0).all():
        raise UsageError(
            f"{predictor.name} knows none of the task's labels ({listing(snapshot.labels)}); its classes are "
            f"{listing(predictor.labels)}. Pair them with --map CLASS=LABEL."
        )
    if match.unknown_labels:
        progress.note(f"{predictor.name} cannot draw these labels, which it does not know: "
                      f"{listing(match.unknown_labels)}")  # fmt: skip
    return match


def _standing(journal: Journal) -> frozenset[tuple[int, int]]:
    ours = (c for c in journal.chains() if c.before is None and c.after is not None and not c.undone)
    return frozenset((c.job, int(c.after["frame"])) for c in ours if c.after is not None)


def _check_thresholds(rules: Rules, snapshot: Snapshot) -> None:
    for name in rules.thresholds:
        if name and name not in snapshot.labels:
            raise UsageError(
                f"--threshold {name}={rules.thresholds[name]:g}: there is no label '{name}'; there are "
                f"{listing(snapshot.labels)}"
            )


def _keys(snapshot: Snapshot) -> list[FrameKey]:
    return list(zip(snapshot.frames.task.tolist(), snapshot.frames.number.tolist(), strict=True))


def _candidates(snapshot: Snapshot, audited: BoolArray) -> list[FrameKey]:
    """Frames that would get pre-labels: a frame that is labelled already cannot tell anything."""
    a = snapshot.annotations
    labelled = np.zeros(len(snapshot.frames), bool)
    labelled[a.frame[a.shape != ShapeType.TAG]] = True
    keys = _keys(snapshot)
    refused = {keys[row] for row in np.flatnonzero(labelled | ~audited)}
    return [key for key in keys if key not in refused]


def _settings(choice: Choice, blind: Blind) -> dict[str, object]:
    rules = choice.rules
    thresholds = {name or "(all others)": value for name, value in rules.thresholds.items()}
    drawn = {"as": rules.kind, "thresholds": thresholds, "fill": rules.fill, "map": dict(choice.mapping)}
    return {**drawn, "blind_share": blind.share, "seed": blind.seed}
