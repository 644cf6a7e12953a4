"""What ``prelabel`` and ``boxes2masks`` share: a run folder of their own, and writes by way of its journal.

Written against ports; knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from audit import journal as journals
from audit import out_folder
from audit.core.annotations import Predictions, Snapshot
from audit.core.findings import Findings
from audit.core.proposals import Box
from audit.errors import ServiceError, UsageError
from audit.journal import Chain, Journal, link
from audit.ports import Progress
from audit.push_engine import Step, Writer
from audit.push_ports import JobView, Line, PushTarget, Report, Shape
from audit.pushing import SIGNED_OFF, begun, rest, signed_off
from audit.runs import RunFolder, describe, write_manifest, write_table

BoxOf = Callable[[Shape], Box]
"""The box around a stored shape, xyxy pixels; may hold NaN."""


class Own:
    """What this folder's journal says it wrote, kept up as it grows."""

    def __init__(self, journal: Journal, target: PushTarget) -> None:
        self._journal, self._target, self._taken = journal, target, 0
        self._chains: dict[tuple[str, int, int], Chain] = {}
        self._by_key: dict[str, Chain] = {}
        self._of_job: dict[int, dict[int, Chain]] = {}
        self._at: dict[tuple[int, int], dict[int, Chain]] = {}

    def wrote(self, key: str) -> Chain | None:
        """The shape made or changed under this key, also if it is gone again."""
        self._catch_up()
        return self._by_key.get(key)

    def stands(self, key: str) -> Chain | None:
        """The shape that our last write under this key left; None if there was none or we took it back."""
        chain = self.wrote(key)
        return chain if chain is not None and chain.after is not None and not chain.undone else None

    def free_key(self, base: str) -> str:
        """The key to use for this shape: one taken back by us may be made again, under a key of its own."""
        key, n = base, 0
        while self.wrote(key) is not None and self.stands(key) is None:
            n += 1
            key = f"{base}.{n}"
        return key

    def of_job(self, job: int) -> Mapping[int, Chain]:
        """Every shape we made in a job that we did not take back, by its id; a person may have deleted it."""
        self._catch_up()
        return _standing(self._of_job.get(job, {}))

    def at(self, job: int, number: int) -> Mapping[int, Chain]:
        """Those of one frame."""
        self._catch_up()
        return _standing(self._at.get((job, number), {}))

    def untouched(self, job: int, shape: Shape) -> bool:
        """Whether we made this stored shape and nobody changed it since."""
        self._catch_up()
        chain = self._of_job.get(job, {}).get(int(shape["id"]))
        made = chain is not None and chain.before is None and chain.after is not None
        return made and chain is not None and chain.after is not None and self._target.same(shape, chain.after)

    def _catch_up(self) -> None:
        requests = self._journal.requests
        while self._taken < len(requests) and requests[self._taken].results is not None:
            for chain in link(self._chains, requests[self._taken]):
                self._of_job.setdefault(chain.job, {})[chain.id] = chain
                self._by_key.update((key, chain) for key in chain.findings)
                if chain.after is not None:
                    self._at.setdefault((chain.job, int(chain.after["frame"])), {})[chain.id] = chain
            self._taken += 1


def _standing(chains: Mapping[int, Chain]) -> dict[int, Chain]:
    return {i: c for i, c in chains.items() if c.before is None and c.after is not None}


class ByFrame:
    """A job's shapes by frame number, sorted once for each reading of the job."""

    def __init__(self) -> None:
        self._of: dict[int, Shape] | None = None
        self._frames: dict[int, list[Shape]] = {}

    def at(self, shapes: dict[int, Shape], number: int) -> Sequence[Shape]:
        if shapes is not self._of:
            self._of, self._frames = shapes, {}
            for shape in shapes.values():
                self._frames.setdefault(int(shape["frame"]), []).append(shape)
        return self._frames.get(number, ())


SCORELESS = "this CVAT is too old to keep scores; they stand in the run folder's predictions.parquet only"
Closed = Callable[[JobView], str]
"""Why a job is not written to; "" if it is."""
StepsOf = Callable[[int, Own], tuple[list[Line], list[Step]]]
"""For a job: lines that need no request, and the steps to take."""


def accepted(job: JobView) -> str:
    """Closed is what people have signed off."""
    return SIGNED_OFF.format(job.id) if signed_off(job) else ""


def open_to_all(_: JobView) -> str:
    """No job is closed."""
    return ""


def carry_out(
    run: Path,
    jobs: Sequence[int],
    steps_of: StepsOf,
    target: PushTarget,
    *,
    execute: bool,
    closed: Closed,
    progress: Progress,
) -> Report:
    """Take the steps of each job, journalled in ``run``; ``cvat-audit undo`` takes them back.

    execute: False only reads, and tells what would be sent. closed: which jobs are left alone.
    Raises UsageError for a wrong login, ServiceError only before anything was
    sent; later failures stand in the report.
    """
    if not execute:
        return _carry_out(jobs, steps_of, target, journals.read(run), None, closed, progress)
    with journals.opened(run) as journal:
        return _carry_out(jobs, steps_of, target, journal, journal, closed, progress)


def _carry_out(
    jobs: Sequence[int],
    steps_of: StepsOf,
    target: PushTarget,
    known: Journal,
    journal: Journal | None,
    closed: Closed,
    progress: Progress,
) -> Report:
    report = begun(target, known, journal)
    own = Own(known, target)
    with progress.task("Jobs", len(jobs)) as advance:
        for job in jobs:
            lines, steps = steps_of(job, own)
            report.lines += lines
            if report.failure is None:
                _job(job, steps, target, journal, report, closed)
            else:
                report.lines += [step.line for step in steps]
            advance()
    stored = [line.after for line in report.lines if (line.action, line.status) == ("create", "done") and line.after]
    if journal is not None and stored and not any("score" in shape for shape in stored):
        report.notes.append(SCORELESS)
    return report


def _job(
    job: int,
    steps: Sequence[Step],
    target: PushTarget,
    journal: Journal | None,
    report: Report,
    closed: Closed,
) -> None:
    """One job. A server that fails ends it all, with what was done told."""
    lines = [step.line for step in steps]
    try:
        reason = closed(target.job(job)) if steps else ""
        if reason:
            rest(report, lines, "conflict", reason)
        else:
            Writer(target, journal, report).run(job, steps)
    except UsageError as error:
        if getattr(error, "status", None) == 401:
            raise
        rest(report, lines, "failed", str(error))
    except ServiceError as error:
        report.failure = error
        rest(report, lines)


def check_folder(out: Path, command: str, source: str) -> None:
    """Raises UsageError rather than replace a run of another command or of another source, or a person's files."""
    out_folder.check(out, command, source)
    try:
        manifest = RunFolder.open(out).manifest
    except UsageError:
        return
    made_by = str(manifest.get("command", "run"))
    if made_by != command:
        raise UsageError(f"{out} was made by 'cvat-audit {made_by}'. Give another --out.")
    if manifest["source"] != source:
        raise UsageError(f"{out} belongs to {manifest['source']}. Give another --out.")


def write_folder(
    out: Path, command: str, snapshot: Snapshot, models: Iterable[Mapping[str, Any]], **facts: Any
) -> RunFolder:
    """Write the tables but for the predictions, which are there already, and the manifest; gives the folder.

    It is a run folder without findings, so that all that reads one reads it. facts: more of the manifest.
    """
    tables = {"frames": snapshot.frames, "annotations": snapshot.annotations, "findings": Findings()}
    for name, table in tables.items():
        write_table(out / f"{name}.parquet", table, snapshot.labels)
    counts = {"frames": len(snapshot.frames), "annotations": len(snapshot.annotations), "findings": 0}
    made = {"command": command, **describe(snapshot), "models": list(models), "counts": counts}
    write_manifest(out, {**made, "versions": {"cvat-audit": version("cvat-audit")}, "timings": {}, **facts})
    return RunFolder.open(out)


def write_predictions(out: Path, predictions: Predictions, labels: tuple[str, ...]) -> None:
    """The model's shapes as the run's table of predictions."""
    write_table(out / "predictions.parquet", predictions, labels)
