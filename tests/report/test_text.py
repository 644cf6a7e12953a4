from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from audit.report.rows import FIELDS, finding_rows
from audit.report.text import csv_header, printable, write_csv, write_json, write_table
from audit.runs import RunFolder

ROW: dict[str, Any] = {
    "id": "0123456789abcdef",
    "type": "low_overlap",
    "image": "a.jpg",
    "frame": 7,
    "annotation_id": 5,
    "label": "car",
    "suggested_label": "car",
    "bbox_xyxy": [-1.5, 2.0, 3.0, 4.0],
    "suggested_bbox_xyxy": None,
    "iou": 0.5,
    "prediction_score": 0.9,
    "score": 0.885,
    "reason": "because",
    "link": "https://cvat.example/tasks/1",
    "job": None,
    "assignee": None,
    "p_error": 0.885,
    "frames": 1,
    "first_frame": 12,
    "last_frame": 12,
}


def written(write: Any, rows: Any, **options: Any) -> str:
    stream = io.StringIO(newline="")
    write(rows, stream, **options)
    return stream.getvalue()


def test_nothing_to_write() -> None:
    assert json.loads(written(write_json, [])) == []
    assert written(write_csv, []) == ",".join(csv_header()) + "\r\n"
    assert written(write_table, []) == "No findings.\n"


def test_json_round_trip(real_run: RunFolder) -> None:
    rows = finding_rows(real_run)
    assert json.loads(written(write_json, rows)) == rows


def test_json_is_ascii_and_holds_no_terminal_escape() -> None:
    text = written(write_json, [{**ROW, "label": "Füßgänger\x1b[2J\u202e"}])
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)[0]["label"] == "Füßgänger\x1b[2J\u202e"


def test_json_never_holds_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        written(write_json, [{**ROW, "iou": float("nan")}])


def test_csv_columns_are_stable() -> None:
    assert csv_header() == [
        *("id", "type", "image", "frame", "annotation_id", "label", "suggested_label"),
        *("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"),
        *("suggested_bbox_x1", "suggested_bbox_y1", "suggested_bbox_x2", "suggested_bbox_y2"),
        *("iou", "prediction_score", "score", "reason", "link", "job", "assignee", "p_error"),
        *("frames", "first_frame", "last_frame"),
    ]


def test_csv_values() -> None:
    row = next(csv.DictReader(io.StringIO(written(write_csv, [ROW]), newline="")))
    assert (row["bbox_x1"], row["bbox_y2"], row["suggested_bbox_x1"]) == ("-1.5", "4.0", "")
    assert (row["image"], row["job"], row["score"]) == ("a.jpg", "", "0.885")


@pytest.mark.parametrize("bad", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_csv_texts_cannot_start_a_formula(bad: str) -> None:
    text = written(write_csv, [{**ROW, "label": bad, "assignee": bad, "image": bad}])
    row = next(csv.DictReader(io.StringIO(text, newline="")))
    assert row["label"] == row["assignee"] == row["image"] == "'" + bad


def test_csv_quotes_what_needs_it() -> None:
    nasty = 'a,"b"\nc'
    row = next(csv.DictReader(io.StringIO(written(write_csv, [{**ROW, "label": nasty}]), newline="")))
    assert row["label"] == nasty


def test_table_shows_rank_caption_place_and_id() -> None:
    lines = written(write_table, [ROW], width=160).splitlines()
    assert lines[0].split() == ["#", "finding", "image", "frame", "id", "link"]
    expected = ["1", "Low", "IoU:", "car", "(88.5", "%)", "a.jpg", "7", "0123456789abcdef", ROW["link"]]
    assert lines[1].split() == expected


def test_table_leaves_the_link_out_where_there_is_no_room() -> None:
    text = written(write_table, [ROW], width=80)
    assert "https" not in text
    assert "0123456789abcdef" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 80, 130, 200])
def test_table_keeps_to_its_width(width: int) -> None:
    text = written(write_table, [{**ROW, "label": "x" * 10_000, "image": "y" * 300}], width=width)
    assert max(map(len, text.splitlines())) <= width


def test_table_says_how_many_more_there_are() -> None:
    text = written(write_table, [ROW] * 1234, limit=10)
    assert text.count("0123456789abcdef") == 10
    assert text.endswith("… and 1,224 more\n")


def test_table_prints_all_without_a_limit() -> None:
    text = written(write_table, [ROW] * 60, limit=None)
    assert text.count("0123456789abcdef") == 60
    assert "more" not in text


def test_table_neutralises_terminal_escapes_and_markup() -> None:
    row = {**ROW, "label": "\x1b]0;owned\x07", "image": "[bold]\u202eb\x9b1m\r\n.jpg"}
    text = written(write_table, [row], width=200)
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\r", "\u202e"}
    assert "\\x1b]0;owned\\x07" in text
    assert "[bold]\\u202eb\\x9b1m\\r\\n.jpg" in text
    assert len(text.splitlines()) == 2


def test_ordinary_text_is_left_alone() -> None:
    assert printable("Füßgänger 行人 שלום") == "Füßgänger 行人 שלום"


def test_every_field_has_a_place_in_both_forms() -> None:
    assert set(ROW) == set(FIELDS)


def test_a_table_says_what_verdicts_made_of_the_scores() -> None:
    rows = [{**ROW, "id": f"{i:016x}", "p_error": p} for i, p in enumerate((1.0, 0.0, 0.637))]
    lines = written(write_table, rows).splitlines()
    assert "real" in lines[0].split()
    assert [line.split("(88.5 %)")[1].split("a.jpg")[0].strip() for line in lines[1:4]] == ["yes", "no", "64 %"]
    assert "real" not in written(write_table, [ROW]).splitlines()[0].split()


def test_a_cause_on_many_frames_shows_from_which_to_which() -> None:
    rows = [{**ROW, "frames": 300, "first_frame": 2, "last_frame": 311}]
    assert " 7 (2-311) " in written(write_table, rows, width=200)
