"""What a command writes to never holds other people's files under its names, and nothing else is deleted."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.core.annotations import Annotations, Frames, Predictions
from audit.core.findings import Findings
from audit.core.table import Table
from audit.errors import ServiceError, UsageError
from audit.out_folder import KEPT, MARK, MARKED, REPLACED, alone, check, claim
from audit.runs import write_table

RUN = ("run", "cvat://host/tasks/1")
"""A command and a source."""
MANIFEST = {"format_version": 1, "source": "cvat://host/tasks/1", "models": []}


def test_a_new_folder_and_an_empty_one_are_fine(tmp_path: Path) -> None:
    check(tmp_path / "new", *RUN)
    assert not (tmp_path / "new").exists()
    check(tmp_path, *RUN)
    claim(tmp_path / "deep" / "new", *RUN)
    assert [p.name for p in (tmp_path / "deep" / "new").iterdir()] == [MARK]


def test_other_files_do_not_matter_as_long_as_no_name_is_ours(tmp_path: Path) -> None:
    for name in ("notes.txt", ".env", "results.json", "images"):
        (tmp_path / name).write_text("mine")
    check(tmp_path, *RUN)
    claim(tmp_path, *RUN)
    assert {p.read_text() for p in tmp_path.iterdir() if p.name != MARK} == {"mine"}


@pytest.mark.parametrize("name", REPLACED)
def test_a_file_of_somebody_elses_is_named_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "a web page", "icons": []}')
    with pytest.raises(UsageError, match=f"holds a {name} that cvat-audit did not make"):
        check(tmp_path, *RUN)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_dangling_link_counts_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="manifest"):
        check(tmp_path, *RUN)


@pytest.mark.parametrize("text", ["", "[]", '{"format_version": 1}', "[" * 100_000, "\x00"])
def test_a_manifest_of_another_program_is_not_ours_even_in_a_marked_folder(tmp_path: Path, text: str) -> None:
    claim(tmp_path, *RUN)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest\.json"):
        check(tmp_path, *RUN)


def test_what_a_killed_command_left_may_be_replaced(tmp_path: Path) -> None:
    claim(tmp_path, *RUN)
    for name in REPLACED[1:]:
        (tmp_path / name).write_text("half")
    check(tmp_path, *RUN)
    (tmp_path / MARK).write_text("somebody else's")
    with pytest.raises(UsageError, match="did not make"):
        check(tmp_path, *RUN)


def test_a_run_of_any_version_is_ours_also_without_the_mark(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**MANIFEST, "format_version": 99}))
    (tmp_path / "report.html").write_text("report")
    check(tmp_path, *RUN)


def test_the_source_itself_and_a_file_are_no_folder_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is what is to be read"):
        check(tmp_path, "run", str(tmp_path / "x" / ".."))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is what is to be read"):
        check(tmp_path / "link", "run", str(tmp_path))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        check(tmp_path / "file", *RUN)


def test_only_our_own_beginnings_are_removed(tmp_path: Path) -> None:
    theirs = (".env.local.template", ".eslintrc.json.disabled", ".manifest.json.Disabled", ".manifest.json.old")
    ours = (".manifest.json.abcdefgh", ".predictions.parquet.a_b1c2d3")
    for name in (*theirs, *ours):
        (tmp_path / name).write_text("x")
    claim(tmp_path, *RUN)
    assert {p.name for p in tmp_path.iterdir()} == {*theirs, MARK}


def test_tables_of_a_version_without_marks_that_was_killed_are_ours(tmp_path: Path) -> None:
    write_table(tmp_path / "annotations.parquet", Annotations(), ("car",))
    (tmp_path / "decisions.jsonl").write_text("people's verdicts")
    (tmp_path / "report.html").write_text("report")
    check(tmp_path, *RUN)
    (tmp_path / "annotations.parquet").unlink()
    pq.write_table(pa.table({"frame": [1], "label": ["car"]}), tmp_path / "predictions.parquet")
    with pytest.raises(UsageError, match="did not make"):
        check(tmp_path, *RUN)


@pytest.mark.parametrize("kind", [Frames, Annotations, Predictions, Findings])
def test_each_of_our_tables_is_known(tmp_path: Path, kind: type[Table]) -> None:
    write_table(tmp_path / f"{kind.__name__.lower()}.parquet", kind(), ("car",))
    check(tmp_path, *RUN)


def test_a_mark_of_somebody_elses_is_kept(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("my settings")
    with pytest.raises(UsageError, match=f"holds a {MARK} that cvat-audit did not make"):
        check(tmp_path, *RUN)
    (tmp_path / MARK).unlink()
    (tmp_path / MARK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="did not make"):
        check(tmp_path, *RUN)
    (tmp_path / MARK).unlink()
    (tmp_path / MARK).write_text("")  # a kill while it was written
    check(tmp_path, *RUN)
    claim(tmp_path, *RUN)
    owner = {"command": "run", "source": "cvat://host/tasks/1"}
    assert (tmp_path / MARK).read_text() == f"{MARKED}{json.dumps(owner)}\n"


@pytest.mark.parametrize("left", KEPT)
@pytest.mark.parametrize("other", [("run", "cvat://host/tasks/2"), ("prelabel", "cvat://host/tasks/1")])
def test_what_people_left_on_an_audit_that_was_cut_off_stays_its_own(
    tmp_path: Path, left: str, other: tuple[str, str]
) -> None:
    claim(tmp_path, *RUN)
    (tmp_path / left).write_text("a push, or verdicts")
    check(tmp_path, *RUN)  # the same command goes on
    with pytest.raises(UsageError, match=rf"holds the {left} of 'cvat-audit run' of cvat://host/tasks/1, which was"):
        check(tmp_path, *other)
    (tmp_path / left).unlink()
    check(tmp_path, *other)


def test_a_mark_of_an_earlier_version_names_no_owner(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text(MARKED)
    (tmp_path / "journal.jsonl").write_text("{}")
    check(tmp_path, *RUN)


@pytest.mark.parametrize("rest", ["x", "[]", "[" * 100_000])
def test_a_mark_with_something_else_behind_it_is_not_ours(tmp_path: Path, rest: str) -> None:
    (tmp_path / MARK).write_text(MARKED + rest)
    with pytest.raises(UsageError, match="did not make"):
        check(tmp_path, *RUN)


def test_two_audits_never_write_to_one_folder_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    with alone(out):
        claim(out, *RUN)
        with pytest.raises(UsageError, match="another cvat-audit is writing to"), alone(out):
            pass
    with alone(out):
        check(out, *RUN)
    with alone(tmp_path / "other"), alone(out):
        pass


def test_a_disk_without_locks_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with alone(tmp_path), alone(tmp_path):
        claim(tmp_path, *RUN)
    assert (tmp_path / MARK).read_text().startswith(MARKED)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ServiceError, match="cannot write to"), alone(tmp_path / "file" / "run"):
        pass
