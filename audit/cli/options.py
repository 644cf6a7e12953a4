"""Option values that several commands parse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from audit.core.findings import FindingType

TYPES = {t.code: t for t in FindingType}
RUN = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))


class FindingTypeParam(click.ParamType):
    """A finding type by its code; "-" works like "_"."""

    name = "TYPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FindingType:
        if isinstance(value, FindingType):
            return value
        found = TYPES.get(str(value).strip().lower().replace("-", "_"))
        if found is None:
            self.fail(f"'{value}' is not a finding type; these are: {', '.join(TYPES)}", param, ctx)
        return found


@dataclass(frozen=True)
class FailOn:
    """Findings of this type (None: any) with at least this score make the command fail."""

    type: FindingType | None
    score: float


class FailOnParam(click.ParamType):
    """TYPE or TYPE:SCORE; TYPE may be "any"."""

    name = "TYPE[:SCORE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FailOn:
        if isinstance(value, FailOn):
            return value
        kind, _, score = str(value).partition(":")
        wanted = None if kind.lower() == "any" else FindingTypeParam().convert(kind, param, ctx)
        try:
            least = float(score) if score else 0.5
        except ValueError:
            least = -1.0
        if not 0 <= least <= 1:
            self.fail(f"'{score}' is not a score between 0 and 1", param, ctx)
        return FailOn(wanted, least)


class PairParam(click.ParamType):
    """CLASS=LABEL."""

    name = "CLASS=LABEL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        cls, equals, label = str(value).partition("=")
        if not (cls and equals and label):
            self.fail(f"'{value}' is not of the form CLASS=LABEL, such as person=Pedestrian", param, ctx)
        return cls, label


class FrameRangeParam(click.ParamType):
    """FIRST-LAST, both included; either may be left out."""

    name = "FIRST-LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        first, dash, last = str(value).partition("-")
        try:
            start = int(first or 0)
            stop = (int(last) if last else 2**62) + 1 if dash else start + 1
        except ValueError:
            self.fail(f"'{value}' is not a range of frames such as 0-99", param, ctx)
        if not 0 <= start < stop:
            self.fail(f"'{value}' is an empty range of frames", param, ctx)
        return range(start, stop)
