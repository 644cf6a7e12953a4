"""cvat-audit doctor."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from audit.doctor import Check


@click.command(short_help="Say what is installed, what is missing and what to do.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of objects, for programs.")
def doctor(as_json: bool) -> None:
    """Say what is installed, which database and folders are used and why, and what to do about what is missing.

    Exit code 3 if something that an audit needs does not work.
    """
    from audit.doctor import checks

    tell(checks(), as_json=as_json)


def tell(found: Sequence[Check], *, as_json: bool, bad: str = "MISSING") -> NoReturn:
    """Print the checks and end, with code 3 if one of them is not well."""
    if as_json:
        click.echo(json.dumps([asdict(c) for c in found], indent=2))
    else:
        for check in found:
            mark = "ok" if check.ok else bad
            click.echo(f"{mark:{len(bad)}} {check.name}: {check.detail}")
            if check.advice and not check.ok:
                click.echo(f"{'':{len(bad)}} -> {check.advice}")
    sys.exit(0 if all(c.ok for c in found) else 3)
