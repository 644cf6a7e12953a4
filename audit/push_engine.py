"""How a write is carried out: check, journal, send, read again.

One job after the other, in small batches. Before each batch the job is read; after it, read again: what
the server holds then, not what it answered, decides whether the batch was carried out. The same reading
settles what an earlier, killed push left open. Written against ports; knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from audit.core.corrections import MARKER
from audit.errors import AuditError, ServiceError, UsageError
from audit.journal import CONFLICT, DONE, NOT_DONE, Item, Journal, Request, Result
from audit.push_ports import OF_A_TRACK, SHAPES, TRACKS, IssueView, Line, PushTarget, Report, Shape

BATCH = 50
"""Shapes in one request: what one refusal or one lost answer can leave in doubt."""
ATTEMPTS = 5
"""How often a job is read anew because somebody wrote to it in between, before it is left alone."""
DUPLICATE_KEY = "duplicate key"
"""Of the server's text when two writers meet on one shape."""


@dataclass(frozen=True)
class Step:
    """One intended write. prepare: from the job's shapes now, the item to send, or a Line that says why not."""

    line: Line
    write: str
    prepare: Callable[[dict[int, Shape]], Item | Line]


class Writer:
    """Carries steps out on one target. journal: None for a dry run, which only reads. kind: what steps are about."""

    def __init__(
        self, target: PushTarget, journal: Journal | None, report: Report, *, undo: bool = False, kind: str = SHAPES
    ) -> None:
        self.target, self.journal, self.report, self._undo = target, journal, report, undo
        self._kind = kind

    def run(self, job: int, steps: Sequence[Step]) -> None:
        """All steps of one job. What is refused becomes lines; a server that fails is raised."""
        try:
            if self.journal is None:
                shapes = stored(self.target, job, self._kind)
                self.report.lines += [_told(step, step.prepare(shapes)) for step in steps]
                return
            with self.target.holding(job):
                for write in ("update", "create", "delete"):
                    group = [s for s in steps if s.write == write]
                    for start in range(0, len(group), BATCH):
                        self._batch(job, write, group[start : start + BATCH])
        except UsageError as error:
            told = {line.findings for line in self.report.lines}
            left = [s.line for s in steps if s.line.findings not in told]
            self.report.lines += [replace(line, status="failed", reason=str(error)) for line in left]
            if getattr(error, "status", None) == 401:
                raise

    def _batch(self, job: int, write: str, steps: Sequence[Step]) -> None:
        found = self._prepared(job, steps)
        if found is None:
            reason = "somebody keeps writing to this job; try again when it is quiet"
            self.report.lines += [replace(s.line, status="conflict", reason=reason) for s in steps]
            return
        shapes, ready = found
        if not ready:
            return
        above = max(shapes, default=0)
        request = self._journal.begin(Request(0, job, self._kind, write, self._undo, tuple(i for _, i in ready), above))
        refusal, named = self._sent(job, write, [i for _, i in ready])
        after = stored(self.target, job, self._kind)
        results = settled(self.target, request, after, named)
        self._journal.close(request, results)
        self._note_others(job, shapes, after, {i.id for _, i in ready} | {r.id for r in results})
        if refusal is not None and len(ready) > 1 and getattr(refusal, "status", None) == 400:
            # one bad shape stops its whole batch, and nothing of it was stored
            for (step, item), result in zip(ready, results, strict=True):
                if result.outcome == NOT_DONE:
                    self._batch(job, write, [step])
                else:
                    self.report.lines.append(_outcome(step, item, result, refusal))
            return
        pairs = zip(ready, results, strict=True)
        self.report.lines += [_outcome(step, item, result, refusal) for (step, item), result in pairs]
        undone = any(result.outcome == NOT_DONE for result in results)
        if refusal is not None and undone and getattr(refusal, "status", None) != 400:
            raise refusal

    def _prepared(self, job: int, steps: Sequence[Step]) -> tuple[dict[int, Shape], list[tuple[Step, Item]]] | None:
        """What to send now, from a state of the job that was still the same after it was looked at."""
        for _ in range(ATTEMPTS):
            version = self.target.job(job).version
            shapes = stored(self.target, job, self._kind)
            made = [(step, step.prepare(shapes)) for step in steps]
            if self.target.job(job).version != version:
                continue
            told = [found for _, found in made if isinstance(found, Line)]
            for line in told:
                self._adopt(line, shapes)
            self.report.lines += told
            return shapes, [(step, found) for step, found in made if isinstance(found, Item)]
        return None

    def _adopt(self, line: Line, shapes: dict[int, Shape]) -> None:
        """A create that the server carried out only after its lost answer was looked up is ours all the same."""
        if line.action != "create" or line.id is None or not self._journal.tried(line.findings):
            return
        found = shapes[line.id]
        item = Item(line.findings, None, None, found)
        request = self._journal.begin(Request(0, line.job, self._kind, "create", False, (item,), line.id - 1))
        self._journal.close(request, [Result(DONE, line.id, found)])

    def _sent(self, job: int, write: str, items: Sequence[Item]) -> tuple[AuditError | None, frozenset[int]]:
        """The error of a request that was refused or got lost; None for one that the server says it carried out.

        With it, the ids that the answer names.
        """
        shapes = [item.before if write == "delete" else item.after for item in items]
        try:
            sent = [s for s in shapes if s is not None]
            if self._kind == SHAPES:
                return None, self.target.write(job, write, sent)
            return None, self.target.write(job, write, sent, self._kind)
        except AuditError as error:
            return error, frozenset()

    def _note_others(self, job: int, before: dict[int, Shape], after: dict[int, Shape], ours: set[int | None]) -> None:
        changed = [i for i in before.keys() | after.keys() if i not in ours and before.get(i) != after.get(i)]
        if changed:
            self.report.notes.append(f"job {job}: somebody else changed {len(changed)} other shapes while this wrote")

    @property
    def _journal(self) -> Journal:
        if self.journal is None:
            raise ServiceError("nothing is sent without a journal")
        return self.journal


def stored(target: PushTarget, job: int, kind: str) -> dict[int, Shape]:
    """All shapes or all tracks of a job, by id."""
    return target.tracks(job) if kind == TRACKS else target.shapes(job)


def settled(
    target: PushTarget, request: Request, shapes: dict[int, Shape], named: frozenset[int] = frozenset()
) -> list[Result]:
    """What became of each item of a request, judged by what the job holds now. named: ids that the answer gave."""
    taken: set[int] = set()
    results = []
    # somebody else may have drawn the very same at the same moment: what the answer names is ours
    new = sorted((key for key in shapes if key > request.above), key=lambda key: (key not in named, key))
    for item in request.items:
        result = _created(target, item, new, shapes, taken) if item.id is None else _kept(target, item, shapes)
        if result.id is not None:
            taken.add(result.id)
        results.append(result)
    return results


def _created(target: PushTarget, item: Item, new: list[int], shapes: dict[int, Shape], taken: set[int]) -> Result:
    """A created shape is one with a new id that looks as it was sent."""
    for key in new:
        if key not in taken and item.after is not None and target.same(shapes[key], item.after):
            return Result(DONE, key, shapes[key])
    return Result(NOT_DONE)


def _kept(target: PushTarget, item: Item, shapes: dict[int, Shape]) -> Result:
    now = shapes.get(item.id) if item.id is not None else None
    if _alike(target, now, item.after):
        return Result(DONE, item.id, now)
    if _alike(target, now, item.before):
        return Result(NOT_DONE, item.id, now)
    what = "is gone" if now is None else "was changed by somebody else"
    return Result(CONFLICT, item.id, now, f"shape {item.id} {what} while this wrote to it")


def _alike(target: PushTarget, now: Shape | None, wanted: Shape | None) -> bool:
    if now is None or wanted is None:
        return now is wanted
    return target.same(now, wanted)


def recover(target: PushTarget, journal: Journal, report: Report) -> None:
    """Find out what became of the requests that an earlier command began and never closed."""
    issues: dict[int, list[IssueView]] = {}
    for request in journal.pending():
        try:
            results = _fate(target, request, issues)
        except UsageError as error:
            if getattr(error, "status", None) not in (403, 404):
                raise
            results = [Result(CONFLICT, item.id, None, str(error)) for item in request.items]
        journal.close(request, results)
        done = sum(r.outcome == DONE for r in results)
        report.notes.append(
            f"job {request.job}: an earlier {'undo' if request.undo else 'push'} was cut off here; "
            f"{done} of its {len(results)} changes had been carried out"
        )
        report.lines += [
            Line(item.findings, request.action, request.job, "conflict", id=item.id, reason=result.reason)
            for item, result in zip(request.items, results, strict=True)
            if result.outcome == CONFLICT
        ]


def _fate(target: PushTarget, request: Request, issues: dict[int, list[IssueView]]) -> list[Result]:
    if request.kind != "issue":
        return settled(target, request, stored(target, request.job, request.kind))
    if request.job not in issues:
        issues[request.job] = target.issues(request.job)
    return [issue_result(item, request, issues[request.job]) for item in request.items]


def issue_result(item: Item, request: Request, issues: Sequence[IssueView]) -> Result:
    """Whether the issue is there (or, of an undo, gone)."""
    found = find_issue(item.findings[0], issues)
    if request.undo:
        gone = item.id not in {issue.id for issue in issues}
        return Result(DONE if gone else NOT_DONE, item.id)
    return Result(DONE, found.id, item.after) if found else Result(NOT_DONE)


def find_issue(finding: str, issues: Sequence[IssueView]) -> IssueView | None:
    """The first issue whose text carries the finding's marker."""
    marker = MARKER.format(finding)
    return next((i for i in issues if i.comments and marker in i.comments[0].text), None)


def _told(step: Step, found: Item | Line) -> Line:
    if isinstance(found, Line):
        return found
    return _with(step.line, found, found.id)


def _with(line: Line, item: Item, key: int | None) -> Line:
    """The line of a step, with what it sends. A shape without attributes loses none with its label."""
    before = item.before or {}
    lost = line.action != "relabel" or any(part.get("attributes") for part in (before, *before.get("shapes", ())))
    kept = OF_A_TRACK if line.note.startswith(OF_A_TRACK) else ""
    return replace(line, id=key, before=item.before, after=item.after, note=line.note if lost else kept)


def _outcome(step: Step, item: Item, result: Result, refusal: AuditError | None) -> Line:
    line = _with(step.line, item, result.id)
    if result.outcome == DONE:
        return replace(line, status="done", after=result.after)
    if result.outcome == CONFLICT:
        return replace(line, status="conflict", reason=result.reason)
    if refusal is None:
        return replace(line, status="conflict", reason="the server took it, but another writer put it back")
    met = DUPLICATE_KEY in str(refusal)
    return replace(line, status="conflict" if met else "failed", reason=str(refusal))
