"""One reviewer's session on a run: which findings come next, and every answer on disk before the next one."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from audit import decisions
from audit.boxes_only import boxes_only
from audit.checks import with_reasons
from audit.core.decisions import Decision, Verdict
from audit.core.findings import Findings, FindingType, span_of, with_ids
from audit.core.questions import Answer, Question, blind_question, question, verdict
from audit.core.table import objects
from audit.errors import ServiceError, UsageError
from audit.leases import Held, Leases
from audit.loop.blind import NO_QUESTIONS, SHARES, Blind, blind_questions
from audit.loop.planting import Planted, plant
from audit.loop.queue import EVERYTHING, Candidates, Filter, is_open, ordered, seed_of, voices
from audit.report.rows import assignees
from audit.run_rows import plain_annotations
from audit.runs import RunFolder
from audit.tail import Tail
from audit.trust.verdicts import facts_of, learnt_from

CHECKS = "checks"
"""Folder in a run for planted questions: the answers expected, and those given, in files like ``decisions.jsonl``."""

BLIND = "blind"
"""Folder in a run for the answers to blind questions about labels and photos, which are no findings."""

SAMPLE = "sample"
"""Origin of a decision on a finding that was drawn by chance, not by its rank."""

RERANK_EVERY = 10
"""Verdicts after which what is left is put in a new order; of very many findings, one for each so many:"""
FINDINGS_A_VERDICT = 2000

SOLUTION = "(solution)"
"""Stands as the reviewer of an expected answer."""

MAX_CHECKS = 200
FRAMES_FOR_CHECKS = 150
"""Frames from which checks are made: their predictions are read one frame at a time."""

MAX_SECONDS = 3600.0
"""A longer time for one answer is a lunch break; it is noted as this."""

MAX_NAME = 100


@dataclass(frozen=True)
class Plan:
    """How a run is reviewed. overlap: share of findings given to two. checks: share of questions planted.

    blind: share of questions drawn by chance, by which what is left can be estimated.
    """

    overlap: float = 0.0
    checks: float = 0.0
    blind: float = 0.0


ALONE = Plan()


@dataclass(frozen=True)
class Counts:
    """left: findings that still wait for this reviewer, done: what this reviewer has answered; both as filtered."""

    left: int
    done: int
    total: int


class Review:
    """A session. Several may run on one run folder at once, in several processes; methods are thread-safe."""

    def __init__(self, run: RunFolder, reviewer: str, plan: Plan = ALONE) -> None:
        """Raises UsageError for an unusable name, ServiceError if the run folder cannot be written."""
        self.reviewer = checked_name(reviewer)
        self.run = run
        real = run.findings()
        planted = _planted(run, self.reviewer, plan.checks, real)
        blind = _blind(run, real) if plan.blind > 0 else NO_QUESTIONS
        self.findings = Findings.concat([real, planted.findings, blind.labels, blind.frames])
        self._row = {str(i): row for row, i in enumerate(self.findings.id)}
        self._n_real = len(real)
        self._first_blind = len(real) + len(planted.findings)
        self._facts = facts_of(real)
        self._box_only = boxes_only(run, self.findings)
        self._by_chance = _by_chance(real, blind)
        self._drawn: set[str] = set()
        self._candidates = _candidates(run, self.findings)
        self._number = run.frames(files=False).number
        self._wanted = voices(map(str, real.id), plan.overlap)
        self._said: dict[str, dict[str, Verdict]] = {}
        self._closed = np.zeros(len(self.findings), bool)
        self._mine = np.zeros(len(self.findings), bool)
        self._history: list[str] = []
        self._checks, self._blind = plan.checks, plan.blind
        self._news = 0
        self._rng = np.random.default_rng(seed_of("checks", self.reviewer, len(real)))
        self._held: list[str] = []
        self._lock = threading.RLock()
        self._tails = [Tail(folder / decisions.FILE) for folder in (run.path, run.path / CHECKS, run.path / BLIND)]
        self._catch_up()
        self._rerank()
        self._leases = Leases(run.path, self.reviewer)

    def ask(self, number: int, wanted: Filter = EVERYTHING, known: Collection[str] = ()) -> list[str]:
        """Up to ``number`` findings to be asked next, by id: those handed out and not in ``known``, then new ones."""
        with self._lock:
            self._catch_up()
            if self._news >= max(RERANK_EVERY, self._n_real // FINDINGS_A_VERDICT):
                self._rerank()
            keep = wanted.keep(self._candidates)
            unwanted = [i for i in self._held if not keep[self._row[i]]]
            self._leases.release(unwanted)
            self._held = [i for i in self._held if keep[self._row[i]]]
            ready = [i for i in self._held if i not in known][:number]
            missing = number - len(ready)
            if missing > 0:
                by_chance = self._blind if wanted == EVERYTHING else 0.0
                new = self._leases.take(lambda held: self._chosen(missing, keep, held, by_chance))
                self._held += new
                ready += new
            return ready

    def answer(self, finding: str, answer: Answer, *, label: str = "", seconds: float = 0.0) -> None:
        """Write down an answer; it is on disk when this returns.

        label: the name chosen with ``Answer.OTHER``. seconds: from the question's appearing to the answer.
        Raises UsageError for an unknown finding or label, or if that label is the shape's already.
        """
        with self._lock:
            asked = self.question(finding)
            if answer is Answer.OTHER:
                if not asked.other:
                    raise UsageError("this question is not about the label of a shape: answer yes, no or unsure")
                if label not in self.run.labels:
                    raise UsageError(f"label {label[:80]!r} is not in this run")
                if label == self.label(self.row(finding)):
                    raise UsageError(f"it is labelled {label[:80]!r} already; choose another label")
            took = min(max(seconds if np.isfinite(seconds) else 0.0, 0.0), MAX_SECONDS)
            chosen = label if answer is Answer.OTHER else ""
            self._write(finding, verdict(asked, answer), round(took, 3), chosen)
            self._held = [i for i in self._held if i != finding]

    def undo(self) -> str | None:
        """Take back this reviewer's last answer, of an earlier session too; gives the finding to ask again."""
        with self._lock:
            self._catch_up()
            if not self._history:
                return None
            finding = self._history[-1]
            self._leases.take(lambda _held: [finding])  # first: once it is undone, others may take it
            self._write(finding, Verdict.UNDONE, 0.0, "")
            self._held.insert(0, finding)
            return finding

    def question(self, finding: str) -> Question:
        """What is asked about a finding. Raises UsageError if the run has none of this id."""
        row = self.row(finding)
        f, names = self.findings, (*self.run.labels, "")
        if self.is_blind(row):
            return blind_question(names[f.label[row]])
        label, suggested, score = names[f.label[row]], names[f.suggested_label[row]], float(f.score[row])
        return question(
            int(f.type[row]), label, suggested, score, box_only=bool(self._box_only[row]), span=self._span(row)
        )

    def _span(self, row: int) -> str:
        """On which frames of a video the finding in this row shows, in words; "" for a single one."""
        f = self.findings[np.array([row])]
        first, last = f.span()
        number = self._number
        return span_of(int(f.frames[0]), int(number[first[0]]), int(number[last[0]]))

    def label(self, row: int) -> str:
        """What the shape of the finding in this row is called now, "" if there is none."""
        return (*self.run.labels, "")[int(self.findings.label[row])]

    def is_blind(self, row: int) -> bool:
        """Whether this row is no finding but a label or a photo drawn by chance."""
        return row >= self._first_blind

    def title(self, row: int) -> str:
        """The type of the finding in this row, in words."""
        if self.is_blind(row):
            return "Drawn by chance"
        return FindingType(int(self.findings.type[row])).title

    def row(self, finding: str) -> int:
        """The row of a finding in ``findings``. Raises UsageError if the run has none of this id."""
        if finding not in self._row:
            raise UsageError(f"this run has no finding {finding[:40]!r}; was the audit run again? Open the review anew")
        return self._row[finding]

    @property
    def real(self) -> Findings:
        """The findings of the run, without what was planted or drawn by chance."""
        return self.findings[: self._n_real]

    def counts(self, wanted: Filter = EVERYTHING) -> Counts:
        """How far this reviewer is with the findings wanted; planted questions are not counted."""
        with self._lock:
            keep = wanted.keep(self._candidates)[: self._n_real]
            closed, mine = self._closed[: self._n_real], self._mine[: self._n_real]
            return Counts(int((keep & ~closed & ~mine).sum()), int((keep & mine).sum()), int(keep.sum()))

    def choices(self) -> dict[str, list[Any]]:
        """What can be filtered by: types, labels, annotators, jobs that occur among the findings."""
        c = self._candidates[: self._n_real]
        labels = sorted({*c.label.tolist(), *c.suggested.tolist()} - {""})
        people = sorted({*c.annotator.tolist()} - {""})
        jobs = sorted({j for j in c.job.tolist() if j >= 0})
        kinds = [t for t in FindingType if t.code in set(c.type.tolist())]
        types = [{"code": t.code, "title": t.title} for t in kinds]
        return {"types": types, "labels": labels, "annotators": people, "jobs": jobs}

    def close(self) -> None:
        """Give back what was handed out and not answered."""
        self._leases.close()

    def _chosen(self, number: int, keep: np.ndarray, held: Held, by_chance: float) -> list[str]:
        new = list(islice(self._open(keep, held), number))
        planted = [i for i in self._open_checks(keep) if i not in self._held]
        for place in range(len(new)):
            if planted and self._rng.random() < self._checks:
                new[place] = planted.pop(0)
            elif self._rng.random() < by_chance:
                new[place] = self._drawn_by_chance(new, held) or new[place]
        return new

    def _drawn_by_chance(self, new: Collection[str], held: Held) -> str | None:
        """A finding, label or photo that waits for this reviewer, whatever its rank."""
        for i in self._by_chance[self._rng.choice(len(SHARES), p=SHARES)]:
            row = self._row[i]
            waits = not self._closed[row] and i not in self._held and i not in new
            if waits and is_open(self.reviewer, self._wanted.get(i, 1), self._said.get(i, ()), held.get(i, ())):
                self._drawn.add(i)
                return i
        return None

    def _rerank(self) -> None:
        """Put what is left in the order of what the verdicts so far teach. What is handed out stays so."""
        self._news = 0
        told = [(self._row[i], _plainly(by.values())) for i, by in self._said.items() if self._row[i] < self._n_real]
        rows = np.array([row for row, said in told if said is not None], np.int64)
        real = np.array([said is Verdict.ACCEPT for _, said in told if said is not None], np.float64)
        chance = learnt_from(self._facts[rows], real).chance(self._facts)
        self._order = ordered(chance, seed_of("order", self.reviewer))

    def _open(self, keep: np.ndarray, held: Held) -> Iterable[str]:
        rows = self._order[(keep & ~self._closed & ~self._mine)[self._order]]
        for i in self.findings.id[rows].tolist():
            free = is_open(self.reviewer, self._wanted[i], self._said.get(i, ()), held.get(i, ()))
            if free and i not in self._held:
                yield i

    def _open_checks(self, keep: np.ndarray) -> list[str]:
        rows = np.arange(self._n_real, self._first_blind)
        return [str(i) for i in self.findings.id[rows[keep[rows] & ~self._mine[rows]]]]

    def _write(self, finding: str, said: Verdict, seconds: float, label: str) -> None:
        row = self.row(finding)
        folder = self.run.path / (BLIND if self.is_blind(row) else CHECKS if row >= self._n_real else "")
        origin = SAMPLE if finding in self._drawn else "review"
        decisions.append(folder, [Decision(finding, said, self.reviewer, decisions.now(), seconds, label, origin)])
        self._catch_up()

    def _catch_up(self) -> None:
        """Take in what was decided since the last look, by anybody."""
        for tail in self._tails:
            for line in tail.lines():
                finding, reviewer = str(line.get("finding")), str(line.get("reviewer"))
                try:
                    said = Verdict(line.get("verdict"))
                except ValueError:
                    continue
                if finding in self._row and reviewer != SOLUTION:
                    self._note(finding, reviewer, said)

    def _note(self, finding: str, reviewer: str, said: Verdict) -> None:
        row, by = self._row[finding], self._said.setdefault(finding, {})
        self._news += row < self._n_real
        by.pop(reviewer, None)
        if said is not Verdict.UNDONE:
            by[reviewer] = said
        self._closed[row] = len(by) >= self._wanted.get(finding, 1)
        if reviewer == self.reviewer:
            self._mine[row] = said is not Verdict.UNDONE
            self._history = [i for i in self._history[-1000:] if i != finding]
            self._history += [finding] if said is not Verdict.UNDONE else []


def checked_name(reviewer: str) -> str:
    """A reviewer's name without outer blanks. Raises UsageError if nobody could be known by it."""
    name = reviewer.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable() or name == SOLUTION:
        raise UsageError(f"'{reviewer[:40]}' is no reviewer's name; give 1 to {MAX_NAME} printable characters")
    return name


def _candidates(run: RunFolder, findings: Findings) -> Candidates:
    frames, people = run.frames(files=False), assignees(run)
    names = np.array([*run.labels, ""], dtype=object)
    codes = np.array([t.code for t in FindingType], dtype=object)
    jobs = frames.job[findings.frame]
    return Candidates(
        id=findings.id,
        score=findings.score,
        type=codes[findings.type],
        label=names[findings.label],
        suggested=names[findings.suggested_label],
        annotator=objects(people.get(job, "") for job in jobs.tolist()),
        job=jobs,
    )


def _planted(run: RunFolder, reviewer: str, share: float, real: Findings) -> Planted:
    """This reviewer's checks, their answers kept in the run. None without a wish for them or predictions."""
    if share <= 0 or not len(real):
        return Planted(Findings(), ())
    snapshot = run.snapshot()
    seed = seed_of("planted", reviewer)
    usable = np.flatnonzero((np.asarray(snapshot.frames.path) != "") & (snapshot.frames.width > 0))
    drawn = np.sort(np.random.default_rng(seed).permutation(usable)[:FRAMES_FOR_CHECKS])
    seen = type(run.predictions(0, 0)).concat(run.predictions(int(i), int(i) + 1) for i in drawn)
    frame_wh = np.column_stack([snapshot.frames.width, snapshot.frames.height])
    number = min(MAX_CHECKS, int(np.ceil(share * len(real))))
    shapes = snapshot.annotations
    planted = plant(shapes, seen, real, frame_wh, number=number, labels=len(run.labels), seed=seed)
    told = with_reasons(planted.findings, snapshot, frame_wh[:, ::-1])
    told = told.replace(id=with_ids(told, snapshot).id)
    new = ~np.isin(told.id, real.id)
    expected = [v for v, keep in zip(planted.expected, new.tolist(), strict=True) if keep]
    _keep_solutions(run.path / CHECKS, told[new].id.tolist(), expected)
    return Planted(told[new], tuple(expected))


def _blind(run: RunFolder, real: Findings) -> Blind:
    try:
        (run.path / BLIND).mkdir(exist_ok=True)
    except OSError as error:
        raise ServiceError(f"cannot write {run.path / BLIND}: {error.strerror or error}") from error
    return blind_questions(run.snapshot(annotations=plain_annotations(run)), real)


def _by_chance(real: Findings, blind: Blind) -> tuple[list[str], ...]:
    """Ids to draw from, each list in an order that has nothing to do with scores: ids are hashes."""
    return sorted(map(str, real.id)), blind.labels.id.tolist(), blind.frames.id.tolist()


def _plainly(said: Iterable[Verdict]) -> Verdict | None:
    """What reviewers said of a finding, if they agree; "unsure" contradicts nobody."""
    plain = {v for v in said if v is not Verdict.UNSURE}
    return plain.pop() if len(plain) == 1 else None


def _keep_solutions(folder: Path, ids: Sequence[str], expected: Sequence[Verdict]) -> None:
    folder.mkdir(exist_ok=True)
    known = {d.finding for d in decisions.read(folder) if d.reviewer == SOLUTION}
    new = [(i, v) for i, v in zip(ids, expected, strict=True) if i not in known]
    decisions.append(folder, [Decision(i, v, SOLUTION, decisions.now(), origin="check") for i, v in new])
