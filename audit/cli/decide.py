"""cvat-audit decide."""

from __future__ import annotations

import csv
import getpass
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from audit.cli.options import RUN
from audit.core.decisions import Decision, Verdict
from audit.core.words import amount
from audit.errors import UsageError

COLUMNS = ("finding", "verdict", "label", "reviewer")
LONGEST_CSV = 64 << 20
"""Bytes: a million decisions have about 60 MB."""
IDS = "FINDING"
LAST_CHARACTER = "\U0010ffff"


@click.command(short_help="Decide on findings without the App.")
@RUN
@click.option("--accept", multiple=True, metavar=IDS, help="The finding is right: do what it proposes. Repeatable.")
@click.option("--reject", multiple=True, metavar=IDS, help="The label is fine as it is. Repeatable.")
@click.option("--unsure", multiple=True, metavar=IDS, help="Cannot be told. Repeatable.")
@click.option("--retract", multiple=True, metavar=IDS, help="No decision after all. Repeatable.")
@click.option("--label", default="", help="With --accept: the right label, instead of the suggested one.")
@click.option("--from", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A CSV with the columns finding, verdict, label, reviewer.")  # fmt: skip
@click.option("--reviewer", help="Who decides; by default this machine's user.")
def decide(  # noqa: PLR0913, PLR0917 - one parameter per option
    run: Path,
    accept: tuple[str, ...],
    reject: tuple[str, ...],
    unsure: tuple[str, ...],
    retract: tuple[str, ...],
    label: str,
    file: Path | None,
    reviewer: str | None,
) -> None:
    """Note verdicts on findings of the audit in RUN.

    FINDING is an id as 'cvat-audit findings' lists it, or its beginning if only one begins so; several
    may be joined by commas. All or nothing: one unknown id, and nothing is noted.
    """
    from audit.decisions import append
    from audit.run_rows import SortedIds
    from audit.runs import RunFolder

    opened = RunFolder.open(run)
    by_verdict = {Verdict.ACCEPT: accept, Verdict.REJECT: reject, Verdict.UNSURE: unsure, Verdict.UNDONE: retract}
    given = [(text, verdict) for verdict, values in by_verdict.items() for value in values for text in value.split(",")]
    if label and not accept:
        raise UsageError("--label goes with --accept")
    if not given and file is None:
        raise UsageError("nothing to decide: give --accept, --reject, --unsure or --retract with ids, or --from FILE")
    ids, who = SortedIds(opened), reviewer or getpass.getuser()
    made = [_decision(text, verdict, label if verdict is Verdict.ACCEPT else "", who, ids) for text, verdict in given]
    made += _from_csv(file, who, ids) if file else []
    _check(made, opened.labels)
    append(run, made)
    what = "What it changes" if len(made) == 1 else "What they change"
    click.echo(f"{amount(len(made), 'decision')} noted. {what}: cvat-audit push {run} --as fixes")


def _decision(text: str, verdict: Verdict, label: str, who: str, ids: Sequence[str]) -> Decision:
    from audit.decisions import now

    return Decision(_finding(text.strip(), ids), verdict, who, now(), label=label, origin="command")


def _finding(text: str, ids: Sequence[str]) -> str:
    """The id that is this text or, alone, begins with it. ids: sorted: a hundred thousand are not gone through.

    Raises UsageError.
    """
    begun = text.lower()
    first, stop = bisect_left(ids, begun), bisect_right(ids, begun + LAST_CHARACTER)
    if not text or first == stop:
        raise UsageError(f"finding '{text[:60]}' is not in this run; 'cvat-audit findings' lists the ids")
    if stop - first > 1 and ids[first] != begun:
        some = ", ".join(ids[first : min(stop, first + 5)])
        raise UsageError(f"'{text}' begins {stop - first} findings ({some}); give more of it")
    return ids[first]


def _from_csv(path: Path, who: str, ids: Sequence[str]) -> list[Decision]:
    return [_decision(f, v, label, reviewer or who, ids) for f, v, label, reviewer in _rows(path)]


def _rows(path: Path) -> Iterator[tuple[str, Verdict, str, str]]:
    """finding, verdict, label, reviewer of each line. Raises UsageError with the line's number."""
    if path.stat().st_size > LONGEST_CSV:
        raise UsageError(f"{path}: over {LONGEST_CSV >> 20} MiB, too long for a list of decisions")
    try:
        # spreadsheets write a byte-order mark
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        missing = [c for c in COLUMNS[:2] if c not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{path}: has no column '{missing[0]}'; expected {', '.join(COLUMNS)}")
        for row in reader:
            word = (row["verdict"] or "").strip().lower()
            if word not in [v.value for v in Verdict]:
                raise UsageError(f"{path}, line {reader.line_num}: verdict '{word[:40]}'; expected {_verdicts()}")
            finding, label, reviewer = ((row.get(c) or "").strip() for c in ("finding", "label", "reviewer"))
            yield finding, Verdict(word), label, reviewer
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from None


def _verdicts() -> str:
    return ", ".join(v.value for v in Verdict)


def _check(decisions: Sequence[Decision], labels: Sequence[str]) -> None:
    for d in decisions:
        if d.label and d.label not in labels:
            known = ", ".join(labels[:12])
            raise UsageError(f"finding {d.finding}: label '{d.label[:60]}' is not in this run; it has: {known}")
    doubled = {(d.finding, d.reviewer) for d in decisions}
    if len(doubled) < len(decisions):
        seen: set[tuple[str, str]] = set()
        twice = next(d for d in decisions if (d.finding, d.reviewer) in seen or seen.add((d.finding, d.reviewer)))  # type: ignore[func-returns-value]  # add gives None
        raise UsageError(f"finding {twice.finding} is decided twice by {twice.reviewer}; nothing was noted")
