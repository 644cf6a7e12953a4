"""Findings written to a stream: JSON and CSV for programs, a table for a terminal."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Mapping, Sized
from itertools import islice
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.core.findings import FindingType, caption
from audit.report.rows import FIELDS

BOXES = ("bbox_xyxy", "suggested_bbox_xyxy")
CORNERS = ("x1", "y1", "x2", "y2")
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""First characters by which a spreadsheet takes a cell for a formula (OWASP, "CSV Injection")."""

PIPE_WIDTH = 240
"""Columns of a table that does not go to a terminal: enough for a link beside everything else."""

LINK_WIDTH = 130
"""Terminals narrower than this get no link column: it would squeeze out what the link is about."""

Rows = Iterable[Mapping[str, Any]]


def write_json(rows: Rows, stream: IO[str]) -> None:
    """A JSON list, one object a line, in ASCII (so that no pipe's encoding and no terminal can choke on it)."""
    separator, encoded = "[\n", json.JSONEncoder(allow_nan=False).encode
    for row in rows:
        stream.write(separator + encoded(row))
        separator = ",\n"
    stream.write("[]\n" if separator == "[\n" else "\n]\n")


def csv_header() -> list[str]:
    """Columns of the CSV form: those of the JSON form, each box as four (``bbox_x1`` ... ``bbox_y2``)."""
    return [column for name in FIELDS for column in _csv_names(name)]


def write_csv(rows: Rows, stream: IO[str]) -> None:
    """Comma-separated with a header (RFC 4180, lines end with CR LF); empty where there is no value.

    Texts come from servers and files, and a spreadsheet would run one that starts like a formula:
    such a cell gets a single quote in front. Numbers are never touched. Programs should read JSON.
    """
    # the default "\r\n" also makes the writer quote a lone "\r", which would else split a row
    writer = csv.writer(stream)
    writer.writerow(csv_header())
    writer.writerows([cell for name in FIELDS for cell in _csv_cells(name, row[name])] for row in rows)


def write_table(rows: Rows, stream: IO[str], *, limit: int | None = 50, width: int | None = None) -> None:
    """Rank, caption, image, frame, id and link of each finding, for people; what verdicts say of it if there are any.

    limit: print so many and say how many more there are. width: in columns; by default the
    terminal's. Control characters, terminal escapes and marks that turn the reading direction are
    shown as escapes, never sent.
    """
    remaining = iter(rows)
    shown = list(islice(remaining, limit))
    width = width or (shutil.get_terminal_size().columns if stream.isatty() else PIPE_WIDTH)
    console = _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    if not shown:
        console.print("No findings.")
        return
    with_link = width >= LINK_WIDTH and any(row["link"] for row in shown)
    console.print(_rich_table(shown, with_link))
    more = len(rows) - len(shown) if isinstance(rows, Sized) else sum(1 for _ in remaining)
    if more:
        console.print(f"… and {more:,} more")


class _Console(Console):
    """A reader who has gone is for the caller to judge; rich would end the program with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def printable(text: str) -> str:
    """The text with everything that could steer a terminal replaced by its escape, such as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def row_caption(row: Mapping[str, Any]) -> str:
    """The caption of a row, as in the report: "Low IoU: car (88.5 %)"."""
    kind = FindingType[row["type"].upper()]
    return caption(kind, row["label"] or "", row["suggested_label"] or "", row["score"] or 0.0)


def _rich_table(rows: list[Mapping[str, Any]], with_link: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("finding", no_wrap=True, ratio=3, min_width=16)
    corrected = any(row["p_error"] != row["score"] for row in rows)
    if corrected:
        table.add_column("real", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True, ratio=2, min_width=8)
    table.add_column("frame", justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True, min_width=16)
    if with_link:
        table.add_column("link", no_wrap=True, overflow="fold")
    for rank, row in enumerate(rows, 1):
        cells = [str(rank), row_caption(row), *([_chance(row)] if corrected else [])]
        cells += [row["image"], _frame(row), row["id"], *([row["link"] or ""] if with_link else [])]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _frame(row: Mapping[str, Any]) -> str:
    """The frame that shows it most, and of many the first and the last: "40 (12-311)"."""
    return str(row["frame"]) if row["frames"] == 1 else f"{row['frame']} ({row['first_frame']}-{row['last_frame']})"


def _chance(row: Mapping[str, Any]) -> str:
    """What verdicts made of the score; a plain word where one is in."""
    chance = row["p_error"]
    return {0.0: "no", 1.0: "yes"}.get(chance, f"{100 * chance:.0f} %")


def _csv_names(name: str) -> list[str]:
    return [name.removesuffix("xyxy") + corner for corner in CORNERS] if name in BOXES else [name]


def _csv_cells(name: str, value: Any) -> list[Any]:
    if name in BOXES:
        return value or [None] * 4
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return ["'" + value]
    return [value]
