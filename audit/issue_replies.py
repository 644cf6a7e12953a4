"""What people in CVAT made of the issues: resolved, reopened, answered. Becomes decisions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from audit import decisions as stored
from audit.core.decisions import Decision, Verdict, standing
from audit.errors import UsageError
from audit.ports import Progress
from audit.push_ports import IssueView, PushTarget, Remark
from audit.run_rows import SortedIds, without_labels
from audit.runs import RunFolder

ORIGIN = "issue"
SOMEBODY = "CVAT"
"""Stands for the reviewer where CVAT does not tell who it was: it does not say who resolved an issue."""
WORDS = {
    Verdict.ACCEPT: ("accept", "accepted", "yes"),
    Verdict.REJECT: ("reject", "rejected", "no"),
    Verdict.UNSURE: ("unsure",),
}
_MARKER = re.compile(r"\[cvat-audit ([0-9a-f]{16})\]")


@dataclass(frozen=True)
class Reply:
    """One issue of ours. state: "open", "resolved" or "reopened". decisions: what it newly says."""

    finding: str
    issue: int
    job: int
    state: str
    comments: tuple[Remark, ...]
    decisions: tuple[Decision, ...]


def pull_issues(run: RunFolder, target: PushTarget, progress: Progress) -> tuple[list[Reply], list[str]]:
    """Read the issues of the run's jobs and append what they say to its decisions. Returns them, and notes.

    A comment that begins with accept/yes, reject/no or unsure is its author's verdict. A resolved issue
    without such a comment is an "accept" of the job's assignee; reopened, that is retracted. What was
    pulled before is not added again.
    """
    known, before = set(SortedIds(run)), stored.read(run.path)
    replies, notes = [], list[str]()
    jobs = {job.id: job.assignee for job in without_labels(run).jobs}
    with progress.task("Jobs", len(jobs)) as advance:
        for job, assignee in jobs.items():
            try:
                found = target.issues(job)
            except UsageError as error:
                if getattr(error, "status", None) not in (403, 404):
                    raise
                notes.append(str(error))
            else:
                replies += replies_of(found, known, before, assignee)
            advance()
    stored.append(run.path, [d for reply in replies for d in reply.decisions])
    return replies, notes


def replies_of(
    issues: Sequence[IssueView], findings: Collection[str], before: Sequence[Decision], assignee: str
) -> list[Reply]:
    """The issues that carry the marker of one of these findings, and what they say that was not said before."""
    ours = [(match.group(1), issue) for issue in issues if (match := _marker(issue))]
    said = standing(d for d in before if d.origin == ORIGIN)
    return [_reply(key, issue, said, assignee or SOMEBODY) for key, issue in ours if key in findings]


def _marker(issue: IssueView) -> re.Match[str] | None:
    found = list(_MARKER.finditer(issue.comments[0].text)) if issue.comments else []
    return found[-1] if found else None


def _reply(finding: str, issue: IssueView, said: Mapping[tuple[str, str], Decision], assignee: str) -> Reply:
    spoken = {c.author or SOMEBODY: (verdict, c.time) for c in issue.comments[1:] if (verdict := verdict_of(c.text))}
    resolver = said.get((finding, assignee))
    reopened = resolver is not None and not issue.resolved and assignee not in spoken
    if issue.resolved and not spoken:
        spoken[assignee] = (Verdict.ACCEPT, issue.time)
    elif reopened:
        spoken[assignee] = (Verdict.UNDONE, datetime.now(timezone.utc).isoformat(timespec="milliseconds"))
    fresh = [
        Decision(finding, verdict, who, time, origin=ORIGIN)
        for who, (verdict, time) in spoken.items()
        if (finding, who) not in said or said[finding, who].verdict is not verdict
    ]
    state = "resolved" if issue.resolved else "reopened" if reopened else "open"
    return Reply(finding, issue.id, issue.job, state, issue.comments[1:], tuple(fresh))


def verdict_of(text: str) -> Verdict | None:
    """The verdict that a comment begins with; None if it is only a remark."""
    word = re.match(r"\W*(\w+)", text)
    first = word.group(1).lower() if word else ""
    return next((verdict for verdict, words in WORDS.items() if first in words), None)
