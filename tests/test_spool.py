"""Rows that wait on disk come back whole and in order, and nothing of them is left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from audit.errors import ServiceError
from audit.spool import Spool


def rows(*values: int) -> pa.Table:
    words = pa.array([str(v) for v in values]).dictionary_encode()
    return pa.table({"value": pa.array(values, pa.int64()), "word": words})


def test_an_empty_spool_has_no_groups(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        assert spool.groups == []
        assert 0 not in spool
        spool.split(np.zeros(0, np.int64), rows().slice(0, 0))
        assert spool.groups == []


def test_rows_of_a_group_keep_their_order_over_pieces(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.split(np.array([7, 2, 7, 2]), rows(1, 2, 3, 4))
        spool.split(np.array([2, 7]), rows(5, 6))
        spool.add(9, rows())
        assert spool.groups == [2, 7, 9]
        assert spool.read(2)["value"].to_pylist() == [2, 4, 5]
        assert spool.read(7)["word"].to_pylist() == ["1", "3", "6"]
        assert spool.read(9).num_rows == 0
        assert spool.read(2)["value"].to_pylist() == [2, 4, 5]


def test_the_file_has_no_name(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.add(0, rows(1))
        assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, pyarrow as pa; from pathlib import Path; from audit.spool import Spool\n"
        "s = Spool(Path(sys.argv[1])); s.add(0, pa.table({'a': list(range(100000))})); print('there', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with Spool(tmp_path) as spool, pytest.raises(ServiceError, match=rf"{tmp_path}: No space left on device"):
        spool.add(0, rows(1))


def test_a_write_that_the_system_cuts_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:100], at))
    with Spool(tmp_path) as spool:
        spool.add(0, rows(*range(50)))
        assert spool.read(0)["value"].to_pylist() == list(range(50))


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"cannot keep temporary data in .*none: No such file"):
        Spool(tmp_path / "none")
