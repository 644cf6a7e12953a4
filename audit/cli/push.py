"""cvat-audit push, undo and pull-issues."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.options import RUN
from audit.cli.progress import TerminalProgress, printable
from audit.core.words import amount
from audit.errors import UsageError

if TYPE_CHECKING:
    from audit.push_ports import Line, PushTarget, Report
    from audit.runs import RunFolder

NOTHING = {"push": "Nothing accepted, nothing to do.", "undo": "Nothing of this run's pushes is left to take back."}
UNDO_EXPORT = "push never touches an export but writes a copy of it, so there is nothing to take back"
PULL_EXPORT = "only tasks of a CVAT server have issues"
LEFT_ALONE = 1
"""Exit code: something was a conflict or was refused, the rest is done."""
AUTH = click.option("--auth", metavar="USER[:PASS]", help="CVAT user; else CVAT_ACCESS_TOKEN. Password also from PASS.")
YES = click.option("--yes", is_flag=True, help="Really send it. Without this nothing is written anywhere.")
DRY = click.option("--dry-run", is_flag=True, help="Only print what would be sent (the default).")
JSON = click.option("--json", "as_json", is_flag=True, help="A JSON object with every shape as sent, for programs.")


@click.command(short_help="Write accepted findings back into CVAT.")
@RUN
@click.option("--as", "mode", type=click.Choice(["fixes", "issues"]), required=True, help="Change shapes, or only say.")
@DRY
@YES
@click.option("--include-completed", is_flag=True, help="Also write to jobs in stage acceptance, state completed.")
@click.option("--to", type=click.Path(path_type=Path), help="An export's corrected copy; by default in RUN.")
@click.option("--replace", is_flag=True, help="Write over the file of --to if it is there.")
@AUTH
@JSON
def push(  # noqa: PLR0913, PLR0917 - one parameter per option
    run: Path, mode: str, dry_run: bool, yes: bool, include_completed: bool, to: Path | None, replace: bool,
    auth: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Write what reviewers accepted in RUN back to where it was read.

    A CVAT task is changed shape by shape, by id ('undo' takes it back), or gets an issue at each spot.
    Shapes that changed since the audit are listed as conflicts and left alone. For an export on disk a
    corrected copy is written, which CVAT imports. Without --yes nothing is sent, only printed.

    Exit codes: 0 all done, 1 something was left alone, 2 wrong use, 3 the server failed.
    """
    from audit.adapters.cvat.address import is_address
    from audit.pushing import intent_of
    from audit.pushing import push as send
    from audit.runs import RunFolder

    execute = decided(dry_run, yes)
    opened = RunFolder.open(run)
    source = str(opened.manifest["source"])
    if not is_address(source):
        _to_export(opened, mode, to, execute=execute, as_json=as_json, replace=replace)
        return
    if to is not None:
        raise UsageError(f"--to is for exports on disk; this run is of {source}")
    intent = intent_of(opened, mode)
    with _target(source, auth) as target:
        report = send(run, intent, target, execute=execute, include_completed=include_completed,
                      progress=TerminalProgress())  # fmt: skip
    _end(opened, report, execute, as_json, "push")


@click.command(short_help="Take a push back, shape for shape.")
@RUN
@DRY
@YES
@AUTH
@JSON
def undo(run: Path, dry_run: bool, yes: bool, auth: str | None, as_json: bool) -> None:
    """Bring the task back to how it was before RUN's pushes.

    Changed shapes get their old fields, deleted ones come back under their ids, created ones and
    unanswered issues are deleted. What others touched since is listed and left alone. Without --yes
    nothing is sent, only printed.
    """
    from audit.pushing import undo as take_back
    from audit.runs import RunFolder

    execute = decided(dry_run, yes)
    opened = RunFolder.open(run)
    with _target(_server(opened, UNDO_EXPORT), auth) as target:
        report = take_back(run, target, execute=execute, progress=TerminalProgress())
    _end(opened, report, execute, as_json, "undo")


@click.command("pull-issues", short_help="Read back what became of the pushed issues.")
@RUN
@AUTH
@JSON
def pull_issues(run: Path, auth: str | None, as_json: bool) -> None:
    """Turn what people did with RUN's issues in CVAT into decisions.

    A resolved issue is an accept. A comment that begins with accept (yes), reject (no) or unsure is its
    author's verdict, whatever the issue's state. An issue that is open again retracts the accept.
    """
    from audit.issue_replies import pull_issues as read_back
    from audit.runs import RunFolder

    opened = RunFolder.open(run)
    with _target(_server(opened, PULL_EXPORT), auth) as target:
        replies, notes = read_back(opened, target, TerminalProgress())
    for note in notes:
        click.echo(printable(note), err=True)
    if as_json:
        click.echo(json.dumps([asdict(r) for r in replies], ensure_ascii=False, indent=2))
        return
    for reply in replies:
        said = ", ".join(f"{d.reviewer}: {d.verdict.value}" for d in reply.decisions) or "nothing new"
        click.echo(printable(f"issue {reply.issue} (finding {reply.finding}) is {reply.state}; {said}"))
        for comment in reply.comments:
            click.echo(printable(f"    {comment.author}: {comment.text}"))
    new = sum(len(r.decisions) for r in replies)
    click.echo(f"{amount(len(replies), 'issue')} of this run, {amount(new, 'new decision')}.")


def decided(dry_run: bool, yes: bool) -> bool:
    """Whether to send. Raises UsageError for both at once."""
    if dry_run and yes:
        raise UsageError("--dry-run and --yes exclude each other")
    return yes


def _server(run: RunFolder, otherwise: str) -> str:
    """The address that was audited. Raises UsageError for an export, and says ``otherwise``."""
    from audit.adapters.cvat.address import is_address

    source = str(run.manifest["source"])
    if not is_address(source):
        raise UsageError(f"{run.path} is an audit of {source}, an export on disk; {otherwise}")
    return source


@contextmanager
def _target(source: str, auth: str | None) -> Iterator[PushTarget]:
    from audit.adapters.cvat.credentials import credentials_from
    from audit.adapters.cvat.writer import CvatWriter

    credentials = credentials_from(auth, os.environ)
    if credentials.needs_password and not sys.stdin.isatty():
        raise UsageError("no way to log in: set CVAT_ACCESS_TOKEN, or give --auth USER and the password in PASS")
    if credentials.needs_password:
        prompt = f"Password of {credentials.user} for {source}"
        credentials = credentials.with_password(click.prompt(prompt, hide_input=True, err=True))
    target = CvatWriter(source, credentials)
    try:
        yield target
    finally:
        target.close()


def _to_export(run: RunFolder, mode: str, to: Path | None, *, execute: bool, as_json: bool, replace: bool) -> None:
    from audit.adapters.exports.writer import write_corrected
    from audit.pushing import intent_of

    if mode == "issues":
        raise UsageError("an export on disk has no issues; use --as fixes")
    intent = intent_of(run, mode)
    progress = TerminalProgress()
    report, target = write_corrected(
        intent.plan, intent.snapshot, to, run=run.path, execute=execute, progress=progress, replace=replace
    )
    _print(run, report, execute, as_json, "push")
    if execute:
        what = "Import into CVAT" if report.lines else "A copy as it was"
        click.echo(printable(f"{what}: {target}"), err=as_json)
    sys.exit(LEFT_ALONE if report.count("conflict") else 0)


def _end(run: RunFolder, report: Report, execute: bool, as_json: bool, command: str) -> None:
    _print(run, report, execute, as_json, command)
    leave(report, command)


def leave(report: Report, command: str) -> None:
    """End with what the report tells: the failure that stopped it, or the exit code."""
    if report.failure is not None:
        left = report.count("to do")
        error, kind = str(report.failure), type(report.failure)
        raise kind(*_arguments(report.failure, f"{error}. {left} changes were not sent; the same {command} goes on."))
    sys.exit(LEFT_ALONE if report.count("conflict") + report.count("failed") else 0)


def _arguments(error: Any, text: str) -> tuple[Any, ...]:
    return (text, error.status) if hasattr(error, "status") else (text,)


def _print(run: RunFolder, report: Report, execute: bool, as_json: bool, command: str) -> None:
    from audit.run_rows import without_labels

    for note in report.notes:
        click.echo(printable(note), err=True)
    view = without_labels(run)
    links = [view.frame_link(line.frame) if line.frame >= 0 else "" for line in report.lines]
    counts = {s: report.count(s) for s in ("to do", "done", "already", "conflict", "failed") if report.count(s)}
    if as_json:
        rows = [{**asdict(line), "link": link or None} for line, link in zip(report.lines, links, strict=True)]
        body = {"sent": execute, "counts": counts, "changes": rows, "notes": report.notes}
        click.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    names = [view.frames.name[line.frame] if line.frame >= 0 else "" for line in report.lines]
    _table(report.lines, links, names)
    click.echo(", ".join(f"{n} {s}" for s, n in counts.items()) or NOTHING[command])
    if not execute and report.count("to do"):
        click.echo("Nothing was sent. Send it with --yes.")


def _table(lines: list[Line], links: list[str], names: list[str]) -> None:
    """The lines under a heading for each frame: the job with a link, or in an export the image's name."""
    order = sorted(range(len(lines)), key=lambda i: (lines[i].job, lines[i].frame))
    heading = None
    for i in order:
        line = lines[i]
        here = names[i] if line.job < 0 else f"job {line.job}  {links[i]}".rstrip()
        if here != heading:
            heading = here
            click.echo(printable(here))
        click.echo(printable(_sentence(line)))


def _sentence(line: Line) -> str:
    what = f"{line.action} {line.id}" if line.id is not None else line.action
    # what a new label costs matters only where it is given
    note = line.note if line.action != "relabel" or line.status in ("to do", "done") else ""
    said = "; ".join(text for text in (_sent(line), note, line.reason) if text)
    return f"  {line.status:<9}{what:<16} {','.join(line.findings)}" + (f"  {said}" if said else "")


def _sent(line: Line) -> str:
    """The fields that differ between before and after, in short."""
    if line.status == "already" or not line.after or line.action == "issue":
        return ""
    names = ("type", "label_id", "points") if line.before is None else tuple(line.after)
    after = {n: line.after[n] for n in names if n in line.after}  # a track has shapes instead of a type and points
    changed = {n: value for n, value in after.items() if line.before is None or value != line.before.get(n)}
    if "shapes" in changed or (line.before is None and "shapes" in line.after):
        changed["shapes"] = f"on {len(line.after['shapes'])} key frames"
    if line.label and "label_id" in changed:
        changed = {"label": line.label, **{n: v for n, v in changed.items() if n != "label_id"}}
    text = ", ".join(f"{name} {value}" for name, value in changed.items())
    return text if len(text) <= 200 else text[:199] + "…"
