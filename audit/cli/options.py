"""Option values that several commands parse. Click turns a BadParameter into a line that names the option."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from audit.core.findings import FindingType
from audit.errors import UsageError

TYPES = {t.code: t for t in FindingType}
RUN = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
KEEP_DATABASE = click.option(
    "--keep-database", is_flag=True, help="Leave FiftyOne's database running; 'stop-database' ends it."
)
NO_LIMIT = 2**62


class NewFolder(click.Path):
    """A folder that is there or will be made. An empty name, as of an unset variable, is not the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click's."""
        if not str(value):
            self.fail("expected the name of a folder, but it is empty", param, ctx)
        return super().convert(value, param, ctx)


def finding_type(value: str) -> FindingType:
    """A finding type by its code; "-" works like "_"."""
    found = TYPES.get(value.strip().lower().replace("-", "_"))
    if found is None:
        raise click.BadParameter(f"'{value}' is not a finding type; these are: {', '.join(TYPES)}")
    return found


@dataclass(frozen=True)
class FailOn:
    """Findings of this type (None: any) with at least this score make the command fail."""

    type: FindingType | None
    score: float


def fail_on(value: str) -> FailOn:
    """TYPE or TYPE:SCORE; TYPE may be "any"."""
    kind, _, score = value.partition(":")
    wanted = None if kind.lower() == "any" else finding_type(kind)
    return FailOn(wanted, part(score or "0.5", f"'{score}' is not a score between 0 and 1"))


def part(text: str, wrong: str) -> float:
    """A number from 0 to 1. wrong: what to say of anything else."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise click.BadParameter(wrong)
    return found


def share(value: str) -> float:
    """A share such as "10%" or "0.1"."""
    number, wrong = value.strip(), f"'{value}' is not a share between 0% and 100%"
    if not number.endswith("%"):
        return part(number, wrong)
    try:
        return part(str(float(number[:-1]) / 100), wrong)
    except ValueError:
        raise click.BadParameter(wrong) from None


def pair(value: str) -> tuple[str, str]:
    """CLASS=LABEL."""
    cls, equals, label = value.partition("=")
    if not (cls and equals and label):
        raise click.BadParameter(f"'{value}' is not of the form CLASS=LABEL, such as person=Pedestrian")
    return cls, label


def mapping_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Labels by class. Raises UsageError for a class with two labels; a label may have several classes."""
    mapping: dict[str, str] = {}
    for cls, label in pairs:
        if mapping.setdefault(cls, label) != label:
            raise UsageError(f"--map gives '{cls}' two labels, '{mapping[cls]}' and '{label}'; a class stands for one")
    return mapping


def frame_range(value: str) -> range:
    """FIRST-LAST, both included; either may be left out."""
    first, dash, last = value.partition("-")
    try:
        start = int(first or 0)
        stop = start + 1 if not dash else int(last) + 1 if last else NO_LIMIT
    except ValueError:
        raise click.BadParameter(f"'{value}' is not a range of frames such as 0-99") from None
    if not 0 <= start < stop:
        raise click.BadParameter(f"'{value}' is an empty range of frames")
    return range(start, stop)


def shown_range(frames: range) -> str:
    """As ``frame_range`` reads it."""
    return f"{frames.start}-" if frames.stop == NO_LIMIT else f"{frames.start}-{frames.stop - 1}"
