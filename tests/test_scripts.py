"""The scripts' own decisions, with stand-ins for Python and pip; and the checks that scripts/check runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [ROOT / "scripts" / name for name in ("common.sh", "demo", "test", "check")] + [ROOT / ".ci" / "run"]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that looks like the project to scripts/common.sh, with nothing installed."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "common.sh", tmp_path / "scripts")
    (tmp_path / "scripts" / "constraints.txt").write_text("one==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


@pytest.fixture
def shell(project: Path) -> Shell:
    """Runs a line of bash in which scripts/common.sh has been read."""

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "CVAT_AUDIT_VENV")}
        command = ["bash", "-c", f"set -euo pipefail; source '{project}/scripts/common.sh'; {line}"]
        return subprocess.run(
            command, env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def executable(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    return path


def python_of(path: Path, minor: int) -> Path:
    """A stand-in that answers the question for its version like Python 3.minor."""
    return executable(path, f'exec {sys.executable} -c "import sys; sys.version_info = (3, {minor}, 0); ${{2#*;}}"')


def fake_venv(project: Path, pip: str) -> Path:
    """An environment whose pip logs that it was called and then runs the given line."""
    body = f'if [ "$2" = pip ] && [ "$3" = install ]; then echo called >>"{project}/calls"; {pip}; fi'
    executable(project / ".venv" / "bin" / "python", body)
    (project / ".venv" / "pyvenv.cfg").touch()
    return project / ".venv"


def calls(project: Path) -> int:
    log = project / "calls"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_parse(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK) or script.name == "common.sh"


@pytest.mark.parametrize("check", ["lint", "format", "types"])
@pytest.mark.timeout(600)
def test_the_code_passes(check: str) -> None:
    if check == "types" and np.lib.NumpyVersion(np.__version__) < "2.3.0":
        pytest.skip("types are checked with the annotations of numpy 2.3, which Python 3.10 cannot have")
    tools = {"lint": ["ruff", "check", "."], "format": ["ruff", "format", "--check", "."], "types": ["mypy"]}
    assert f'"$VENV/bin/python" -m {" ".join(tools[check])} ;;' in (ROOT / "scripts" / "check").read_text()
    command = [sys.executable, "-m", *tools[check]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_python_is_said_with_the_line_to_type(shell: Shell, tmp_path: Path) -> None:
    done = shell(f"PATH={tmp_path}; find_python")
    assert done.returncode == 2
    assert "no Python 3.10 to 3.13 found" in done.stderr and "apt-get install python3" in done.stderr


@pytest.mark.parametrize(("minor", "supported"), [(9, False), (10, True), (13, True), (14, False)])
def test_only_supported_versions_are_taken(shell: Shell, tmp_path: Path, minor: int, supported: bool) -> None:
    python = python_of(tmp_path / "bin" / "python3", minor)
    assert (shell(f"supported_python {python}").returncode == 0) is supported


def test_a_numbered_python_is_taken_if_python3_is_too_new(shell: Shell, tmp_path: Path) -> None:
    python_of(tmp_path / "bin" / "python3", 14)
    python_of(tmp_path / "bin" / "python3.12", 12)
    assert shell(f"PATH={tmp_path}/bin; find_python").stdout == "python3.12\n"


def test_a_python_named_by_the_user_goes_first(shell: Shell, tmp_path: Path) -> None:
    mine = python_of(tmp_path / "mine", 11)
    assert shell("find_python", PYTHON=str(mine)).stdout.strip() == str(mine)


def test_a_folder_that_is_no_environment_is_left_alone(shell: Shell, project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "thesis.txt").write_text("mine")
    done = shell("make_venv")
    assert done.returncode == 2 and "is not a virtual environment" in done.stderr
    assert (project / ".venv" / "thesis.txt").read_text() == "mine"


def test_python_that_cannot_make_environments_gives_the_line_to_type(shell: Shell, project: Path) -> None:
    body = f'case "$*" in *venv*|*pip*) exit 1;; *) exec {sys.executable} "$@";; esac'
    python = executable(project / "python", body)
    done = shell("make_venv", PYTHON=str(python))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 2 and f"sudo apt-get install python{version}-venv" in done.stderr
    assert not (project / ".venv").exists()


def test_an_installation_is_made_once_and_again_when_a_version_changes(shell: Shell, project: Path) -> None:
    fake_venv(project, "exit 0")
    for expected in (1, 1):
        assert shell("install a,b").returncode == 0
        assert calls(project) == expected
    (project / "scripts" / "constraints.txt").write_text("one==2\n")
    assert shell("install a,b").returncode == 0
    assert calls(project) == 2


def test_an_installation_of_more_extras_will_do_but_not_of_fewer(shell: Shell, project: Path) -> None:
    fake_venv(project, "exit 0")
    assert shell("install a,b; install a,b,dev; install a,b").returncode == 0
    assert calls(project) == 2
    (project / ".venv" / ".installed-a,b").unlink()
    assert shell("install a,b").returncode == 0
    assert calls(project) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("Failed to establish a new connection: [Errno 111] Connection refused", "index cannot be reached"),
        ("Temporary failure in name resolution", "index cannot be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0", "No matching distribution found"),
    ],
)
def test_a_failed_installation_is_explained_and_tried_again(shell: Shell, project: Path, words: str, said: str) -> None:
    fake_venv(project, f'echo "{words}"; exit 1')
    for expected in (1, 2):
        done = shell("install a,b; echo went on")
        assert done.returncode == 3 and said in done.stderr
        assert "went on" not in done.stdout
        assert calls(project) == expected


def test_a_full_disk_is_said_beforehand(shell: Shell, project: Path) -> None:
    done = shell("DISK_MB=999999999; check_disk")
    assert done.returncode == 3 and "MB are free" in done.stderr


def test_pips_progress_is_short_but_not_silent(shell: Shell) -> None:
    log = "\n".join([*(f"Collecting p{i}" for i in range(30)), "  Downloading torch-2.whl (190.2 MB)"])
    log += "\n  Downloading small.whl (9.2 kB)\nInstalling collected packages: a, b, c"
    said = shell(f"printf '%s\\n' '{log}' | show_progress").stderr.splitlines()
    assert said == [
        "  25 packages looked up",
        "  downloading torch-2.whl (190.2 MB)",
        "  unpacking 3 packages",
    ]


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--nonsense"], 2), (["--out"], 2)])
def test_demo_reads_its_arguments_before_it_installs(tmp_path: Path, arguments: list[str], code: int) -> None:
    environment = {**os.environ, "CVAT_AUDIT_VENV": str(tmp_path / "venv")}
    command = ["bash", ROOT / "scripts" / "demo", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "--no-app" in done.stdout or "Error:" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_constraints_name_each_package_once_and_pin_the_pair_of_torch_and_torchvision() -> None:
    lines = [line for line in (ROOT / "scripts" / "constraints.txt").read_text().splitlines() if line[:1] != "#"]
    names = [re.split(r"[=;< >]", line, maxsplit=1)[0] for line in lines]
    assert len(names) == len(set(names)) > 50
    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(lines)


def test_no_file_names_a_package_index() -> None:
    for path in [*SCRIPTS, ROOT / "scripts" / "constraints.txt", ROOT / "pyproject.toml"]:
        assert "://" not in path.read_text(), path


def test_the_demo_leaves_a_folder_of_other_files_alone(project: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "scripts" / "demo", project / "scripts")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "findings.json").write_text("mine")
    command = ["bash", str(project / "scripts" / "demo"), "--out", str(theirs), "--no-app"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "the demo did not make" in done.stderr) == (2, True), done.stderr
    assert [p.name for p in theirs.iterdir()] == ["findings.json"]
    assert calls(project) == 0
