"""Findings as issues on the server: opened once each, and deleted again by an undo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from audit.core.corrections import Correction
from audit.errors import AuditError, ServiceError
from audit.journal import DONE, Chain, Item, Journal, Request, Result
from audit.push_engine import find_issue, issue_result
from audit.push_ports import Line, Place, PushTarget, Report


def push_issues(
    target: PushTarget,
    journal: Journal | None,
    known: Journal,
    report: Report,
    job: int,
    wanted: Sequence[tuple[Correction, Place]],
) -> None:
    """One issue for each correction that has none yet; by its marker one is known even without a journal."""
    if not wanted:
        return
    pushed, existing = known.pushed("issue"), target.issues(job)
    for correction, place in wanted:
        finding = correction.findings[0]
        text = {"frame": place.number, "position": list(correction.position or ()), "text": correction.text}
        note = correction.why or correction.text.partition("\n")[0]
        line = Line(correction.findings, "issue", job, "to do", correction.frame, after=text, note=note)
        found = find_issue(finding, existing)
        if found is not None or finding in pushed:
            key = found.id if found is not None else pushed[finding]
            report.lines.append(replace(line, status="already", id=key))
        elif journal is None:
            report.lines.append(line)
        else:
            with target.holding(job):
                report.lines.append(_open(target, journal, job, line))


def delete_issues(
    target: PushTarget, journal: Journal | None, report: Report, job: int, chains: Sequence[Chain]
) -> None:
    """Take issues back that nobody answered or resolved."""
    if not chains:
        return
    existing = {issue.id: issue for issue in target.issues(job)}
    for chain in chains:
        line = Line(chain.findings, "delete issue", job, "to do", id=chain.id)
        issue = existing.get(chain.id)
        if issue is None:
            report.lines.append(replace(line, status="already", reason="it is gone"))
        elif issue.resolved or len(issue.comments) > 1:
            what = "resolved" if issue.resolved else "answered"
            report.lines.append(replace(line, status="conflict", reason=f"issue {chain.id} was {what}; it stays"))
        elif journal is None:
            report.lines.append(line)
        else:
            with target.holding(job):
                report.lines.append(_delete(target, journal, job, chain, line))


def _open(target: PushTarget, journal: Journal, job: int, line: Line) -> Line:
    item = Item(line.findings, None, None, line.after)
    request = journal.begin(Request(0, job, "issue", "create", False, (item,)))
    sent = line.after or {}
    try:
        key = target.open_issue(job, sent["frame"], sent["position"], sent["text"])
        journal.close(request, [Result(DONE, key, line.after)])
        return replace(line, status="done", id=key)
    except AuditError as error:
        return _settled(target, journal, request, line, error)


def _delete(target: PushTarget, journal: Journal, job: int, chain: Chain, line: Line) -> Line:
    item = Item(chain.findings, chain.id, chain.after, None)
    request = journal.begin(Request(0, job, "issue", "delete", True, (item,)))
    try:
        target.delete_issue(chain.id)
        journal.close(request, [Result(DONE, chain.id)])
        return replace(line, status="done")
    except AuditError as error:
        return _settled(target, journal, request, line, error)


def _settled(target: PushTarget, journal: Journal, request: Request, line: Line, error: AuditError) -> Line:
    """A failed request may have been carried out: the job's list of issues says."""
    result = issue_result(request.items[0], request, target.issues(request.job))
    journal.close(request, [result])
    if result.outcome == DONE:
        return replace(line, status="done", id=result.id)
    if isinstance(error, ServiceError):
        raise error
    return replace(line, status="failed", reason=str(error))
