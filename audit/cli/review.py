"""cvat-audit review and review-report."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.options import RUN, share
from audit.cli.progress import TerminalProgress


@click.command(short_help="Answer one question after another about the findings.")
@RUN
@click.option("--reviewer", required=True, metavar="NAME", help="Who answers; stands beside every decision.")
@click.option(
    "--overlap", type=share, default="0%", show_default=True, help="Share of findings given to two reviewers."
)
@click.option("--checks", type=share, default="0%", show_default=True, help="Share of questions with a known answer.")
@click.option("--blind-sample", type=share, default="5%", show_default=True,
              help="Share of questions drawn by chance, to tell what is left.")  # fmt: skip
@click.option("--port", type=click.IntRange(1024, 65535), help="Port of the App; by default the first free one.")
@click.option("--no-browser", is_flag=True, help="Only serve; print the address instead of opening it.")
def review(
    run: Path,
    reviewer: str,
    overlap: float,
    checks: float,
    blind_sample: float,
    port: int | None,
    no_browser: bool,
) -> None:
    """Review the findings of the audit in the folder RUN in the FiftyOne App. Ends with Ctrl-C.

    One question at a time, answered by one key; each answer is in RUN/decisions.jsonl before the next
    question shows. As verdicts come in, what is left is put in a better order. Some questions are drawn
    by chance, so that 'cvat-audit review-report' can tell how many mistakes are left. Several people may
    review one RUN at a time, each with this command and a NAME of their own. It listens on this
    machine only: the App has no login.
    """
    from audit.adapters.fiftyone.board import import_run
    from audit.adapters.fiftyone.database import database
    from audit.adapters.fiftyone.review_app import serve_review
    from audit.review import Plan, checked_name
    from audit.runs import RunFolder

    name = checked_name(reviewer)
    opened = RunFolder.open(run)
    progress = TerminalProgress()
    with database(progress):
        dataset = import_run(opened, progress=progress)
        plan = Plan(overlap=overlap, checks=checks, blind=blind_sample)
        serve_review(opened, name, dataset, plan=plan, port=port, open_browser=not no_browser, progress=progress)


@click.command("review-report", short_help="How reviewers judged: precision, agreement, time, checks.")
@RUN
@click.option("--json", "as_json", is_flag=True, help="A JSON object, for programs.")
def review_report(run: Path, as_json: bool) -> None:
    """Sum up the decisions in the folder RUN: how often each type was right, how far reviewers agree."""
    import sys

    from audit.report.review_summary import summary
    from audit.report.review_text import write_review_json, write_review_text
    from audit.runs import RunFolder

    told = summary(RunFolder.open(run))
    (write_review_json if as_json else write_review_text)(told, sys.stdout)
