"""``scripts/deploy_functions`` as it is run, with stand-ins for nuctl and docker that note what they are asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "deploy_functions"
NUCTL = """#!/bin/sh
echo "nuctl $*" >> "$LOG"
case "$1" in
  get) exit "${PROJECT_MISSING:-0}" ;;
  create) [ -z "$CREATE_FAILS" ] || { echo "connection refused" >&2; exit 1; } ;;
  deploy)
    while [ "$1" != --path ]; do shift; done
    (cd "$2" && find . -type f | sort) > "$LOG.staged"
    cp "$2/function.yaml" "$LOG.yaml"
    exit "${DEPLOY:-0}" ;;
esac
"""
DOCKER = """#!/bin/sh
[ -z "$DOCKER_DOWN" ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the PATH with Python and both tools in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("nuctl", NUCTL), ("docker", DOCKER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def deploy(tools: Path, *arguments: object, **environment: str) -> tuple[int, str, list[str]]:
    """Exit code, what was said, and what nuctl was asked."""
    log = tools.parent / "log"
    path = os.pathsep.join([str(tools), "/usr/bin", "/bin"])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={"PATH": path, "LOG": str(log), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr, log.read_text().splitlines() if log.exists() else []


def test_the_function_is_staged_with_the_shared_code_and_deployed(tools: Path) -> None:
    code, said, asked = deploy(tools, "serverless/yolo")
    assert (code, asked[0]) == (0, "nuctl get project cvat --platform local")
    assert asked[1].startswith("nuctl deploy --project-name cvat --path ")
    assert len(asked) == 2
    staged = (tools.parent / "log.staged").read_text().split()
    assert {"./main.py", "./model_handler.py", "./function.yaml", "./audit/serving/entry.py"} <= set(staged)
    assert not [s for s in staged if "__pycache__" in s or "gpu" in s]
    assert (tools.parent / "log.yaml").read_text() == (ROOT / "serverless/yolo/function.yaml").read_text()
    assert "Deployed: cvat-audit-yolo" in said


def test_all_that_main_imports_is_staged(tools: Path, tmp_path: Path) -> None:
    """The staged folder alone, without the repository, is enough for Python to find every module."""
    deploy(tools, "serverless/sam")
    staged = set((tools.parent / "log.staged").read_text().split())
    program = (
        "import sys, importlib.util as u\n"
        "names = ['audit.serving.entry', 'audit.serving.interacting', 'audit.serving.detecting']\n"
        "print(*[u.find_spec(n).origin for n in names])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert {f"./{Path(p).relative_to(ROOT)}" for p in found.split()} <= staged


def test_gpu_takes_its_own_file(tools: Path) -> None:
    code, _, _ = deploy(tools, "serverless/yolo", "serverless/sam", "--gpu")
    assert code == 0
    assert "nvidia.com/gpu" in (tools.parent / "log.yaml").read_text()


def test_a_missing_project_is_made(tools: Path) -> None:
    code, said, asked = deploy(tools, "serverless/yolo", PROJECT_MISSING="1")
    assert (code, asked[1]) == (0, "nuctl create project cvat --platform local")
    code, said, asked = deploy(tools, "serverless/yolo", PROJECT_MISSING="1", CREATE_FAILS="1")
    assert code == 3
    assert "connection refused" in said
    assert "docker compose" in said
    assert not [line for line in asked[3:] if "deploy" in line]


def test_a_failed_build_is_named_and_the_others_go_on(tools: Path) -> None:
    code, said, asked = deploy(tools, "serverless/yolo", "serverless/sam", DEPLOY="1")
    assert code == 3
    assert "not deployed: cvat-audit-yolo, cvat-audit-sam" in said
    assert sum("deploy" in line for line in asked) == 2


def test_missing_tools_and_a_dead_docker_are_told_apart(tools: Path) -> None:
    assert "Docker does not answer: Cannot connect" in deploy(tools, "serverless/yolo", DOCKER_DOWN="1")[1]
    (tools / "nuctl").unlink()
    code, said, _ = deploy(tools, "serverless/yolo")
    assert (code, "nuctl is not on the PATH" in said, "functions serve" in said) == (2, True, True)


@pytest.mark.parametrize("folder", ["serverless/nix", "tests"])
def test_a_folder_without_a_function_is_said(tools: Path, folder: str) -> None:
    code, said, asked = deploy(tools, folder)
    assert (code, asked) == (2, [])
    assert f"{folder}/function.yaml cannot be read" in said
    assert "serverless/yolo" in said


def test_a_dry_run_asks_nobody(tools: Path) -> None:
    (tools / "nuctl").unlink()
    code, said, asked = deploy(tools, "serverless/yolo", "--dry-run")
    assert (code, asked) == (0, [])
    assert "nuctl deploy --project-name cvat" in said
    assert "model_handler.py" in said
