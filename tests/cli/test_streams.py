"""Output that nobody reads, or that cannot be written, neither ends the work nor passes for findings."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from .conftest import BOX, COMMAND, Command, write_coco


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path):
    """Runs a line of bash in which ``$audit`` is the command; gives what came out and the exit codes of its parts."""

    def call(line: str, **more: str) -> subprocess.CompletedProcess[str]:
        script = f'audit() {{ {shlex.join(COMMAND)} "$@"; }}; {line}'
        env = {**environment, **more}
        return subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env,
                              cwd=tmp_path, check=False, timeout=120)  # fmt: skip

    return call


@pytest.fixture
def audited(cvat_audit: Command, export: Path, results: Path) -> None:
    assert cvat_audit("run", export, "--predictions", results, "--out", "out", "--no-fiftyone").returncode == 0


RUN = "audit run set --predictions results.json --out out --no-fiftyone"


@pytest.mark.parametrize("line", [f"{RUN} | true", f"{RUN} 2>&1 | true", f"{RUN} >&-", f"{RUN} >&- 2>&-"])
def test_an_audit_goes_on_when_nobody_reads(shell, export: Path, results: Path, tmp_path: Path, line: str) -> None:
    assert results == tmp_path / "results.json"
    done = shell(f"{line}; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.splitlines()[-1:] == ["0"], done.stderr
    assert "Traceback" not in done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "report" in manifest["timings"]


def test_a_rule_still_counts_when_nobody_reads(shell, export: Path, results: Path) -> None:
    assert shell(f"{RUN} --fail-on any:0.3 2>&1 | true; exit ${{PIPESTATUS[0]}}").returncode == 1


@pytest.mark.usefixtures("audited")
@pytest.mark.parametrize("form", ["", "--json", "--csv"])
def test_a_list_that_nobody_reads_to_its_end_is_no_failure(shell, form: str) -> None:
    done = shell(f"audit findings out {form} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("audited")
@pytest.mark.parametrize("form", ["", "--json", "--csv"])
def test_a_full_disk_is_one_line_and_exit_code_3(shell, form: str) -> None:
    done = shell(f"audit findings out {form} > /dev/full")
    assert (done.returncode, done.stderr) == (3, "cvat-audit: No space left on device\n")


def test_a_full_disk_does_not_pass_for_findings(shell, export: Path, results: Path) -> None:
    done = shell(f"{RUN} > /dev/full")
    assert done.returncode == 3 and done.stderr.endswith("cvat-audit: No space left on device\n")


@pytest.mark.parametrize("form", ["", "--json", "--csv"])
def test_letters_that_the_terminal_lacks_are_no_failure(shell, cvat_audit: Command, tmp_path: Path, form: str) -> None:
    images = [{"id": 1, "file_name": "日本.jpg", "width": 200, "height": 200}]
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "area": 9, "iscrowd": 0, "segmentation": []}
    write_coco(tmp_path / "odd.json", images, [annotation, {**annotation, "id": 2}])
    assert cvat_audit("run", "odd.json", "--out", "odd", "--no-fiftyone").returncode == 0
    done = shell(f"audit findings odd {form}", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5\\u672c.jpg" in done.stdout


def test_a_fault_of_ours_shows_its_traceback_and_is_not_taken_for_findings(shell, audited: None) -> None:
    broken = "import audit.report.text as t; t.json = None; from audit.cli import main; main()"
    done = shell(f'{shlex.quote(COMMAND[0])} -c "{broken}" findings out --json')
    assert done.returncode == 3 and "Traceback" in done.stderr
    assert done.stderr.endswith("cvat-audit: this is a fault in cvat-audit; please report it with the lines above\n")


@pytest.mark.usefixtures("audited")
def test_a_connection_that_breaks_is_a_failure_and_no_reader_that_has_gone(shell, tmp_path: Path) -> None:
    code = (
        "import audit.report.text as text\n"
        "class Broken:\n"
        "    def __getattr__(self, name):\n"
        "        raise BrokenPipeError\n"
        "text.json = Broken()\n"
        "from audit.cli import main\n"
        "main()\n"
    )
    (tmp_path / "broken.py").write_text(code)
    done = shell(f"{shlex.quote(COMMAND[0])} broken.py findings out --json")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1), done.stderr
    assert "closed the connection; try again" in done.stderr


@pytest.mark.usefixtures("audited")
def test_a_damaged_table_is_one_line(shell, tmp_path: Path) -> None:
    table = tmp_path / "out" / "findings.parquet"
    table.write_bytes(table.read_bytes()[:1000])
    done = shell("audit findings out --json")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("cvat-audit: a table of the run cannot be read (") and "Traceback" not in done.stderr
