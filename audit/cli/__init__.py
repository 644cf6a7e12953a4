"""The command line: parse, wire adapters, print, exit code. Nothing else."""

from __future__ import annotations

import os
import sys

import click

from audit.cli.app import app
from audit.cli.boxes2masks import boxes2masks
from audit.cli.database import stop_database
from audit.cli.decide import decide
from audit.cli.doctor import doctor
from audit.cli.findings import findings
from audit.cli.functions import functions
from audit.cli.prelabel import prelabel
from audit.cli.push import pull_issues, push, undo
from audit.cli.report import report
from audit.cli.review import review, review_report
from audit.cli.run import run
from audit.cli.startup import start_without_pandas
from audit.cli.train import train
from audit.errors import AuditError

INTERRUPTED = 130
"""What shells report for a command ended by Ctrl-C."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cvat-audit", prog_name="cvat-audit")
def cli() -> None:
    """Find the mistakes in image annotations made in CVAT.

    Start with 'cvat-audit run SOURCE --model yolo11n --out RUN'; 'cvat-audit doctor' says what is
    installed and what is missing.

    Exit codes: 0 done, 1 findings at or above --fail-on, 2 wrong use, 3 a service failed.
    """


for command in (
    run,
    train,
    findings,
    report,
    app,
    functions,
    doctor,
    stop_database,
    review,
    review_report,
    decide,
    push,
    undo,
    pull_issues,
    prelabel,
    boxes2masks,
):
    cli.add_command(command)


def main() -> None:
    """Entry point of ``cvat-audit``: expected failures become one line and their exit code."""
    start_without_pandas()
    try:
        cli.main(standalone_mode=False)
    except AuditError as error:
        _end(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted; the same command goes on from here", INTERRUPTED)
    except BrokenPipeError:
        # the reader (head, less) has gone: not an error, and Python must not complain at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(message: str, code: int) -> None:
    click.echo(f"cvat-audit: {message}", err=True)
    sys.exit(code)
