"""The command line: parse, wire adapters, print, exit code. Nothing else."""

from __future__ import annotations

import sys
import traceback

import click
import pyarrow as pa

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
from audit.cli.startup import end_without_search, start_without_pandas
from audit.cli.streams import Commands, ReaderGone, forget_output, prepare_streams
from audit.cli.train import train
from audit.errors import INTERRUPTED, AuditError, ServiceError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    """Entry point of ``cvat-audit``: expected failures become one line and their exit code.

    No failure ends with 1, which tells a pipeline that ``--fail-on`` has found something.
    """
    start_without_pandas()
    end_without_search()
    prepare_streams()
    try:
        cli.main(standalone_mode=False)
        sys.stdout.flush()
    except AuditError as error:
        _end(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted; the same command goes on from here", INTERRUPTED)
    except (ReaderGone, BrokenPipeError):
        forget_output()
    except pa.ArrowException as error:
        _end(f"a table of the run cannot be read ({error}); make the audit again", ServiceError.exit_code)
    except OSError as error:
        forget_output()
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}", ServiceError.exit_code)
    except Exception:  # a bug: told with all that is needed to mend it
        traceback.print_exc()
        _end("this is a fault in cvat-audit; please report it with the lines above", ServiceError.exit_code)


def _end(message: str, code: int) -> None:
    click.echo(f"cvat-audit: {message}", err=True)
    sys.exit(code)
