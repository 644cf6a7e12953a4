"""The real command in a process of its own: what it prints, what it leaves behind, how it exits."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from audit.out_folder import MARK
from audit.runs import RunFolder
from tests.cli.conftest import BOX, COMMAND, Command

KEYS = [
    "id", "type", "image", "frame", "annotation_id", "label", "suggested_label", "bbox_xyxy", "suggested_bbox_xyxy",
    "iou", "prediction_score", "score",
]  # fmt: skip
QUICK = ("--no-fiftyone", "--no-report")


def test_run_then_findings(cvat_audit: Command, export: Path, results: Path, tmp_path: Path) -> None:
    done = cvat_audit("run", export, "--predictions", results, "--out", "out", "--no-fiftyone")
    assert done.returncode == 0, done.stderr
    assert "2 likely mistakes and 0 weaker findings in 6 annotations on 6 of 6 frames." in done.stdout
    assert "Comparing: 6/6" in done.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    found = json.loads(cvat_audit("findings", "out", "--json").stdout)
    assert [list(f)[: len(KEYS)] for f in found] == [KEYS] * 2
    by_type = {f["type"]: f for f in found}
    missing, double = by_type["missing_annotation"], by_type["duplicate_annotation"]
    assert (missing["image"], missing["frame"], missing["annotation_id"]) == ("003.jpg", 3, None)
    assert (missing["suggested_label"], missing["suggested_bbox_xyxy"]) == ("person", [20, 30, 100, 90])
    assert (missing["prediction_score"], missing["bbox_xyxy"], missing["label"]) == (0.9, None, None)
    assert (double["image"], double["annotation_id"], double["iou"]) == ("005.jpg", 105, 1)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest["timings"]) == {"pull", "predict", "find", "report"}


def test_findings_as_table_and_csv_and_filtered(cvat_audit: Command, export: Path, results: Path) -> None:
    cvat_audit("run", export, "--predictions", results, "--out", "out", *QUICK)
    assert re.search(r"Missing label: person \(\d\d\.\d %\)", cvat_audit("findings", "out").stdout)
    rows = list(csv.DictReader(io.StringIO(cvat_audit("findings", "out", "--csv").stdout)))
    assert [r["type"] for r in rows] == ["duplicate_annotation", "missing_annotation"]
    only = cvat_audit("findings", "out", "--json", "--type", "missing-annotation", "--min-score", "0.5").stdout
    assert [f["type"] for f in json.loads(only)] == ["missing_annotation"]
    assert json.loads(cvat_audit("findings", "out", "--json", "--limit", "0.5").stdout or "[]") == []
    assert cvat_audit("findings", "out", "--label", "zebra").returncode == 2
    both = cvat_audit("findings", "out", "--json", "--csv")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)
    shares = [cvat_audit("findings", "out", "--csv", "--precision", share).stdout for share in ("90%", "0.9")]
    assert shares[0] == shares[1] != ""


@pytest.mark.parametrize(
    ("rule", "code"),
    [("missing_annotation", 1), ("missing_annotation:1", 0), ("low_overlap", 0), ("any:0.9", 1), ("any:1", 0)],
)
def test_fail_on(cvat_audit: Command, export: Path, results: Path, rule: str, code: int) -> None:
    done = cvat_audit("run", export, "--predictions", results, "--out", "out", *QUICK, "--fail-on", rule)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--predictions", "{results}"], "nowhere"),
        (["{export}", "--model", "nothing.pt"], "nothing.pt"),
        (["{export}", "--type", "low_overlap"], "low_overlap is told by a model only"),
        (["{export}", "--fail-on", "missing-annotation:0.9"], "missing_annotation is told by a model only"),
        (["{export}", "--predictions", "nothing.json"], "does not exist"),
        (["{export}", "--predictions", "{results}", "--map", "cow"], "CLASS=LABEL"),
        (["{export}", "--predictions", "{results}", "--map", "cow=person"], "no model has a class 'cow'"),
        (["", "--predictions", "{results}"], "SOURCE is empty"),
        (["{export}", "--predictions", "{results}", "--out", ""], "expected the name of a folder, but it is empty"),
        (["{export}", "--predictions", "{results}", "--map", "a=b", "--map", "a=c"], "'a' two labels, 'b' and 'c'"),
        (["{export}", "--predictions", "{results}", "--type", "strange"], "is not a finding type"),
        (["{export}", "--predictions", "{results}", "--fail-on", "low_overlap:2"], "is not a score"),
        (["{export}", "--predictions", "{results}", "--frames", "9-3"], "empty range"),
        (["{export}", "--predictions", "{results}", "--job-stage", "annotation"], "does not go with an export"),
        (["{export}", "--function", "yolo"], "must be on one"),
        (["{export}", "--model", "no-such-weights"], "no-such-weights"),
        (["cvat://", "--predictions", "{results}"], "cvat://"),
        (["cvat://localhost:1/tasks/1", "--predictions", "{results}"], "set CVAT_ACCESS_TOKEN"),
        (
            ["cvat://localhost:1/tasks/1", "--predictions", "{results}", "--images", "."],
            "does not go with a CVAT server",
        ),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    cvat_audit: Command, export: Path, results: Path, arguments: list[str], said: str
) -> None:
    filled = [a.format(export=export, results=results) for a in arguments]
    done = cvat_audit("run", "--out", "out", *filled, *QUICK)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_results_file(cvat_audit: Command, export: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    for text in ('[{"image_id": 10', '{"x": 1}', '[{"image_id": 10, "category_id": 1, "bbox": [1], "score": 1}]', ""):
        bad.write_text(text)
        done = cvat_audit("run", export, "--predictions", bad, "--out", "out", *QUICK)
        assert done.returncode == 2, text
        assert "bad.json" in done.stderr
        assert "Traceback" not in done.stderr


def test_names_left_over_on_both_sides(cvat_audit: Command, export: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps([{"image_id": 10, "category_name": "human", "bbox": BOX, "score": 0.9}]))
    done = cvat_audit("run", export, "--predictions", odd, "--out", "out", *QUICK)
    assert done.returncode == 2
    assert "'person'" in done.stderr
    assert "'human'" in done.stderr
    turned = cvat_audit("run", export, "--predictions", odd, "--out", "out", *QUICK, "--map", "person=human")
    assert (turned.returncode, "the model's class comes first: --map human=person" in turned.stderr) == (2, True)
    mapped = cvat_audit("run", export, "--predictions", odd, "--out", "out", *QUICK, "--map", "human=person")
    assert mapped.returncode == 0, mapped.stderr


def test_without_images_there_are_findings_and_a_report(
    cvat_audit: Command, export: Path, results: Path, tmp_path: Path
) -> None:
    for image in (export / "images").iterdir():
        image.unlink()
    done = cvat_audit("run", export / "annotations.json", "--predictions", results, "--out", "out", "--no-fiftyone")
    assert done.returncode == 0, done.stderr
    assert "2 likely mistakes" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_the_manifest_says_with_what_the_audit_was_made(
    cvat_audit: Command, export: Path, results: Path, tmp_path: Path
) -> None:
    images = ("--images", export / "images", "--frames", "1-4", "--format", "coco")
    done = cvat_audit("run", export / "annotations.json", "--predictions", results, *images, "--out", "out", *QUICK)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    digest = hashlib.sha256(results.read_bytes()).hexdigest()
    assert manifest["settings"].items() >= {
        "frames": "1-4", "format": "coco", "images": str(export / "images"), "predictions": {results.name: digest},
        "min_score": 0.02, "allow_unmatched": False,
    }.items()  # fmt: skip
    assert "image_size" not in manifest["settings"] and "runtime" not in manifest["settings"]
    assert {"cvat-audit", "python", "numpy", "pyarrow"} <= manifest["versions"].keys()


def test_not_a_run(cvat_audit: Command, tmp_path: Path) -> None:
    for command in ("findings", "report"):
        done = cvat_audit(command, tmp_path)
        assert done.returncode == 2
        assert "is not a run" in done.stderr


def test_a_reader_that_goes_away_is_no_error(export: Path, results: Path, cvat_audit: Command, tmp_path: Path,
                                             environment: dict[str, str]) -> None:  # fmt: skip
    cvat_audit("run", export, "--predictions", results, "--out", "out", *QUICK)
    line = " ".join(f"'{c}'" for c in [*COMMAND, "findings", "out", "--json"]) + " | head -c 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], env=environment, cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stdout == "["
    assert done.stderr == ""


def test_bad_pictures_are_reported_and_skipped(cvat_audit: Command, export: Path, tmp_path: Path) -> None:
    """A truncated JPEG, an empty file, a huge PNG; the model sees the others."""
    images = sorted((export / "images").iterdir())
    images[0].write_bytes(images[0].read_bytes()[:2000])
    images[1].write_bytes(b"")
    images[2].write_bytes(huge_png())
    done = cvat_audit("run", export, "--model", "yolo11n", "--out", "out", "--no-fiftyone", XDG_CACHE_HOME=CACHE)
    assert done.returncode == 0, done.stderr
    assert "on 3 of 6 frames" in done.stdout
    problems = {p["where"]: p["reason"] for p in RunFolder.open(tmp_path / "out").manifest["problems"]}
    assert "not a whole image" in problems["000.jpg"]
    assert "0 bytes" in problems["001.jpg"]
    assert "900 megapixels" in problems["002.jpg"]
    assert not set(RunFolder.open(tmp_path / "out").findings().frame.tolist()) & {0, 1, 2}


def huge_png() -> bytes:
    """The header of a 30,000 x 30,000 picture and nothing else: it must be refused before it is decoded."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


CACHE = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
"""The weights are fetched once for all tests."""


@pytest.mark.parametrize("after", ["manifest", 0.7, 1.2, 1.8])
def test_killed_at_any_stage_then_the_same_command(
    cvat_audit: Command, export: Path, environment: dict[str, str], tmp_path: Path, after: float | str
) -> None:
    """SIGKILL while it works; the second call ends well, and its tables are those of an undisturbed run."""
    arguments = ["run", str(export), "--model", "yolo11n", "--no-fiftyone", "--allow-unmatched"]
    env = {**environment, "XDG_CACHE_HOME": str(tmp_path / "own")}
    weights = Path(CACHE) / "cvat-audit" / "weights"
    (tmp_path / "own" / "cvat-audit").mkdir(parents=True)
    (tmp_path / "own" / "cvat-audit" / "weights").symlink_to(weights)
    process = subprocess.Popen([*COMMAND, *arguments, "--out", "out"], env=env, cwd=tmp_path,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    if after == "manifest":
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "manifest.json").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    else:
        time.sleep(float(after))
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = cvat_audit(*arguments, "--out", "out", XDG_CACHE_HOME=env["XDG_CACHE_HOME"])
    assert again.returncode == 0, again.stderr
    whole = cvat_audit(*arguments, "--out", "whole", XDG_CACHE_HOME=str(CACHE))
    assert whole.returncode == 0, whole.stderr
    for name in ("frames", "annotations", "predictions", "findings"):
        file = f"{name}.parquet"
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert [p.name for p in (tmp_path / "out").glob(".*")] == [MARK]  # nothing that was only begun


def test_a_second_run_gives_the_same_ids_and_keeps_decisions(
    cvat_audit: Command, export: Path, results: Path, tmp_path: Path
) -> None:
    command = ("run", export, "--predictions", results, "--out", "out", *QUICK)
    cvat_audit(*command)
    first = cvat_audit("findings", "out", "--json").stdout
    (tmp_path / "out" / "decisions.jsonl").write_text('{"finding": "x"}\n')
    cvat_audit(*command)
    assert cvat_audit("findings", "out", "--json").stdout == first
    assert (tmp_path / "out" / "decisions.jsonl").read_text() == '{"finding": "x"}\n'


def test_every_command_has_help(cvat_audit: Command) -> None:
    for command in ("run", "findings", "report", "app", "doctor", "stop-database"):
        done = cvat_audit(command, "--help")
        assert done.returncode == 0
        assert "Usage:" in done.stdout


def test_findings_loads_no_heavy_vendor(environment: dict[str, str]) -> None:
    vendors = ("torch", "fiftyone", "cvat_sdk", "ultralytics")
    code = f"import audit.cli, sys; print([v for v in {vendors!r} if v in sys.modules])"
    done = subprocess.run([COMMAND[0], "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_database_that_cannot_be_had_costs_only_fiftyone(
    cvat_audit: Command, export: Path, results: Path, tmp_path: Path
) -> None:
    done = cvat_audit("run", export, "--predictions", results, "--out", "out",
                      FIFTYONE_DATABASE_URI="mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300")  # fmt: skip
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "likely mistakes" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()
    assert len(json.loads(cvat_audit("findings", "out", "--json").stdout)) >= 2
