"""From decisions to writes, and back: push, undo. Written against ports; knows no vendor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audit import decisions as stored_decisions
from audit import journal as journals
from audit.core.annotations import NO_ID, Snapshot
from audit.core.corrections import Action, Correction, Plan, plan_corrections, plan_issues
from audit.core.decisions import Verdict, agreed
from audit.core.findings import Findings, FindingType
from audit.core.table import ObjectArray
from audit.errors import AuditError, ServiceError, UsageError
from audit.following import followed
from audit.journal import Chain, Item, Journal, Request
from audit.ports import Progress
from audit.push_engine import Step, Writer, recover
from audit.push_issues import delete_issues, push_issues
from audit.push_ports import OF_A_TRACK, SHAPES, TRACKS, JobView, Line, Place, PushTarget, Report, Shape, Unfit
from audit.push_tracks import beyond, ended, unseen
from audit.run_rows import annotations_filled, findings_named
from audit.runs import RunFolder

FIXES, ISSUES = "fixes", "issues"
WRITES = {Action.CREATE: "create", Action.UPDATE: "update", Action.RELABEL: "update", Action.DELETE: "delete"}


@dataclass(frozen=True)
class Intent:
    """A plan with the snapshot it speaks of."""

    plan: Plan
    snapshot: Snapshot

    def place(self, correction: Correction) -> Place:
        """Where on the server a correction belongs."""
        f, row = self.snapshot.frames, correction.frame
        return Place(int(f.job[row]), int(f.number[row]), (int(f.height[row]), int(f.width[row])))


def intent_of(run: RunFolder, mode: str) -> Intent:
    """What the run's decisions ask for. mode: ``FIXES`` or ``ISSUES``."""
    said = agreed(stored_decisions.read(run.path))
    accepted = [key for key, decision in said.items() if decision.verdict is Verdict.ACCEPT]
    findings = run.findings(rows=np.array(sorted(findings_named(run, accepted)), np.int64))
    snapshot = _known(run, findings)
    if mode == ISSUES:
        return Intent(plan_issues(findings, said, snapshot), snapshot)
    missed = np.flatnonzero(findings.type == FindingType.MISSING_ANNOTATION)
    keys = {str(findings.id[row]): followed(run, findings, int(row), snapshot) for row in missed}
    return Intent(plan_corrections(findings, said, snapshot, _masks(run, findings), keys), snapshot)


def _known(run: RunFolder, findings: Findings) -> Snapshot:
    """What the audit read, as far as corrections of these findings need it."""
    shapes = np.concatenate([findings.annotation, findings.related])
    annotations = annotations_filled(run, shapes[shapes >= 0])
    return run.snapshot(run.frames(files=False), annotations)


def push(
    run: Path,
    intent: Intent,
    target: PushTarget,
    *,
    execute: bool,
    include_completed: bool = False,
    progress: Progress,
) -> Report:
    """Write what the intent asks for. execute: False only reads, and tells what would be sent.

    include_completed: also write to jobs in stage acceptance, state completed. Raises UsageError for a
    wrong login and ServiceError only before anything was sent; later failures stand in the report.
    """
    if not execute:
        return _push(intent, target, journals.read(run), None, include_completed, progress)
    with journals.opened(run) as journal:
        return _push(intent, target, journal, journal, include_completed, progress)


def undo(run: Path, target: PushTarget, *, execute: bool, progress: Progress) -> Report:
    """Bring back what this run's pushes changed, where nobody touched it since. Arguments as ``push``."""
    if not execute:
        return _undo(target, journals.read(run), None, progress)
    with journals.opened(run) as journal:
        return _undo(target, journal, journal, progress)


def _push(
    intent: Intent,
    target: PushTarget,
    known: Journal,
    journal: Journal | None,
    include_completed: bool,
    progress: Progress,
) -> Report:
    report = begun(target, known, journal)
    jobs: dict[int, list[Correction]] = {}
    for correction in intent.plan.corrections:
        jobs.setdefault(intent.place(correction).job, []).append(correction)
    for said in intent.plan.contradictions:
        job = int(intent.snapshot.frames.job[said.frame])
        report.lines.append(Line(said.findings, "none", job, "conflict", frame=said.frame, reason=said.reason))
    with progress.task("Jobs", len(jobs)) as advance:
        for job, corrections in sorted(jobs.items()):
            if report.failure is None:
                _job(intent, target, known, journal, report, job, corrections, include_completed)
            rest(report, [_line(c, job) for c in corrections])
            advance()
    return report


def _job(  # noqa: PLR0913, PLR0917 - the parts of one push
    intent: Intent,
    target: PushTarget,
    known: Journal,
    journal: Journal | None,
    report: Report,
    job: int,
    corrections: Sequence[Correction],
    include_completed: bool,
) -> None:
    """One job: shapes first, then issues. A server that fails ends the push, with what was done told."""
    try:
        view = target.job(job)
        refusal = "" if include_completed or not signed_off(view) else SIGNED_OFF.format(job)
        usable = [c for c in corrections if _usable(c, intent, view, refusal, report)]
        done, ours = _done(known), _Ours(known)
        steps: dict[str, list[Step]] = {SHAPES: [], TRACKS: []}
        outside = beyond(intent.snapshot.frames, view) if any(c.track for c in usable) else ()
        for c in usable:
            if c.action is Action.ISSUE:
                continue
            keys = [(finding, c.annotation_id) for finding in c.findings]
            if all(key in done for key in keys):
                report.lines.append(replace(_line(c, job), status="already", id=done[keys[0]]))
            else:
                steps[_kind(c)].append(_step(c, intent.place(c), target, ours, outside))
        for kind, of_kind in steps.items():
            if of_kind or kind == SHAPES:
                Writer(target, journal, report, kind=kind).run(job, of_kind)
        issues = [(c, intent.place(c)) for c in usable if c.action is Action.ISSUE]
        push_issues(target, journal, known, report, job, issues)
    except UsageError as error:
        if getattr(error, "status", None) == 401:
            raise
        rest(report, [_line(c, job) for c in corrections], status="failed", reason=str(error))
    except ServiceError as error:
        report.failure = error


def _kind(c: Correction) -> str:
    return TRACKS if c.track else SHAPES


SIGNED_OFF = "job {} is accepted and completed; write to it all the same with --include-completed"


def signed_off(job: JobView) -> bool:
    """Whether people are done with the job."""
    return job.stage == "acceptance" and job.state == "completed"


def _usable(correction: Correction, intent: Intent, view: JobView, refusal: str, report: Report) -> bool:
    place = intent.place(correction)
    if not refusal and place.number not in view.frames:
        refusal = f"frame {place.number} is not part of job {place.job}"
    if refusal:
        report.lines.append(replace(_line(correction, place.job), status="conflict", reason=refusal))
    return not refusal


def rest(report: Report, lines: Sequence[Line], status: str = "to do", reason: str = "") -> None:
    """Every correction has a line, also those that were not reached."""
    told = {(line.findings, line.action) for line in report.lines}
    left = [line for line in lines if (line.findings, line.action) not in told]
    report.lines += [replace(line, status=status, reason=reason) for line in left]


def _line(c: Correction, job: int) -> Line:
    key = c.annotation_id if c.annotation_id != NO_ID and c.action is not Action.ISSUE else None
    note, label = c.why or c.text.partition("\n")[0], "" if c.action is Action.ISSUE else c.label
    if c.track:
        note = f"{OF_A_TRACK}; {note}" if note else OF_A_TRACK
    return Line(c.findings, c.action.value, job, "to do", frame=c.frame, id=key, note=note, label=label)


def _done(known: Journal) -> dict[tuple[str, int], int]:
    """The shapes that earlier pushes left, by finding and the shape it was about (-1: a new one)."""
    created = {key for r in known.requests if r.action == "create" and not r.undo for key in _written(r)}
    standing = (c for c in known.chains() if c.kind in (SHAPES, TRACKS) and not c.undone)
    return {(finding, NO_ID if (c.kind, c.id) in created else c.id): c.id for c in standing for finding in c.findings}


def _written(request: Request) -> Iterator[tuple[str, int]]:
    """Kind and id, since a shape and a track may have the same."""
    return ((request.kind, result.id) for _, result in request.done() if result.id is not None)


def _step(c: Correction, place: Place, target: PushTarget, ours: _Ours, outside: Sequence[int]) -> Step:
    """outside: frames of the job that an audit of some frames left out."""
    line, c = _line(c, place.job), ended(c, outside)

    def prepare(shapes: dict[int, Shape]) -> Item | Line:
        try:
            if c.action is Action.CREATE:
                return _creation(c, line, target.drawn(c, place), target, shapes)
            found = _change(c, line, place, target, ours, shapes)
            lost = c.track and isinstance(found, Item) and unseen(c, shapes[c.annotation_id], outside, target.shown_on)
            return replace(line, status="conflict", reason=lost) if lost else found
        except Unfit as problem:
            return replace(line, status="conflict", reason=str(problem))

    return Step(line, WRITES[c.action], prepare)


def _creation(c: Correction, line: Line, wanted: Shape, target: PushTarget, shapes: dict[int, Shape]) -> Item | Line:
    there = target.twin(shapes, wanted)
    if there is not None:
        return replace(line, status="already", id=there, reason="this very shape is there")
    return Item(c.findings, None, None, wanted)


def _change(
    c: Correction, line: Line, place: Place, target: PushTarget, ours: _Ours, shapes: dict[int, Shape]
) -> Item | Line:
    now = shapes.get(c.annotation_id)
    if now is None:
        gone = f"{_noun(c)} {c.annotation_id} was deleted since the audit"
        return replace(line, status="already" if c.action is Action.DELETE else "conflict", reason=gone)
    reason = _changed_since(c, place.job, target, ours, shapes)
    if reason:
        return replace(line, status="conflict", reason=reason)
    if c.action is Action.DELETE:
        return Item(c.findings, c.annotation_id, now, None)
    wanted = target.changed(now, c, place)
    if target.same(now, wanted):
        return replace(line, status="already", reason="it is so already")
    return Item(c.findings, c.annotation_id, now, wanted)


def _changed_since(c: Correction, job: int, target: PushTarget, ours: _Ours, shapes: dict[int, Shape]) -> str:
    """What stands in the way: the shape, or the one a duplicate leaves behind, is not as the audit read it."""
    if not ours.as_read(target, job, shapes[c.annotation_id], c, c.annotation_id, c.digest):
        return f"{_noun(c)} {c.annotation_id} was changed since the audit"
    if c.kept_id == NO_ID:
        return ""
    kept = shapes.get(c.kept_id)
    if kept is None or not ours.as_read(target, job, kept, c, c.kept_id, c.kept_digest):
        return f"{_noun(c)} {c.kept_id}, which must stay behind, was changed or deleted since the audit"
    return ""


def _noun(c: Correction) -> str:
    return "track" if c.track else "shape"


class _Ours:
    """How our own writes left each shape, kept up with a journal that grows."""

    def __init__(self, known: Journal) -> None:
        self._known, self._closed = known, -1
        self._left: dict[tuple[str, int, int], Shape | None] = {}

    def as_read(self, target: PushTarget, job: int, now: Shape, c: Correction, key: int, digest: str) -> bool:
        """Whether a shape, of the kind that c is about, is as the audit read it, or as a push of this run left it."""
        found = target.digest(now)
        if found == digest:
            return True
        closed = len(self._known.requests) - len(self._known.pending())
        if closed != self._closed:
            self._closed = closed
            self._left = {(chain.kind, chain.job, chain.id): chain.after for chain in self._known.chains()}
        left = self._left.get((_kind(c), job, key))
        return left is not None and found == target.digest(left)


def begun(target: PushTarget, known: Journal, journal: Journal | None) -> Report:
    """The report, after the loose ends of an earlier command were tied up."""
    report = Report()
    if journal is not None:
        recover(target, journal, report)
    elif known.pending():
        report.notes.append("an earlier push or undo was cut off; with --yes what it had begun is looked up first")
    return report


def _undo(target: PushTarget, known: Journal, journal: Journal | None, progress: Progress) -> Report:
    report = begun(target, known, journal)
    jobs: dict[int, list[Chain]] = {}
    for chain in known.chains():
        if not chain.undone:
            jobs.setdefault(chain.job, []).append(chain)
    with progress.task("Jobs", len(jobs)) as advance:
        for job, chains in sorted(jobs.items()):
            lines = [_undo_line(chain) for chain in chains]
            try:
                if report.failure is None:
                    for kind in (TRACKS, SHAPES):
                        steps = [_undo_step(chain, target) for chain in chains if chain.kind == kind]
                        if steps or kind == SHAPES:
                            Writer(target, journal, report, undo=True, kind=kind).run(job, steps)
                    delete_issues(target, journal, report, job, [c for c in chains if c.kind == "issue"])
            except AuditError as error:
                if getattr(error, "status", None) == 401:
                    raise
                if isinstance(error, UsageError):
                    rest(report, lines, "failed", str(error))
                else:
                    report.failure = error
            rest(report, lines)
            advance()
    return report


def _undo_line(chain: Chain) -> Line:
    action = "delete issue" if chain.kind == "issue" else "delete" if chain.before is None else "update"
    if chain.kind != "issue" and chain.after is None:
        action = "restore"
    return Line(chain.findings, action, chain.job, "to do", id=chain.id)


def _undo_step(chain: Chain, target: PushTarget) -> Step:
    line = _undo_line(chain)

    def prepare(shapes: dict[int, Shape]) -> Item | Line:
        now = shapes.get(chain.id)
        if _alike(now, chain.after, target):
            return Item(chain.findings, chain.id, now, chain.before)
        if _alike(now, chain.before, target):
            return replace(line, status="already", reason="it is as before")
        noun = "track" if chain.kind == TRACKS else "shape"
        what = "deleted" if now is None else "changed"
        return replace(line, status="conflict", reason=f"{noun} {chain.id} was {what} by somebody since")

    # an update of an id that is gone brings the shape back under that id
    return Step(line, "delete" if chain.before is None else "update", prepare)


def _alike(now: Shape | None, then: Shape | None, target: PushTarget) -> bool:
    if now is None or then is None:
        return now is then
    return target.same(now, then)


def _masks(run: RunFolder, findings: Findings) -> ObjectArray:
    """(n,) the predicted mask of each; None for all others."""
    masks: ObjectArray = np.empty(len(findings), object)
    wanted = np.flatnonzero(findings.prediction >= 0)
    if len(wanted):
        masks[wanted] = run.predictions_at(findings.prediction[wanted]).mask
    return masks
