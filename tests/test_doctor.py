"""What ``cvat-audit doctor`` is told, without touching torch, FiftyOne or the network."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from audit import doctor


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("FIFTYONE_DATABASE_URI", *doctor.CVAT_SETTINGS):
        monkeypatch.delenv(name, raising=False)


def found(name: str) -> doctor.Check:
    return next(c for c in doctor.checks() if c.name == name)


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name in missing:
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)


def test_every_fact_has_a_name_and_a_detail_and_no_name_comes_twice() -> None:
    told = doctor.checks()
    assert all(c.name and c.detail for c in told)
    assert len({c.name for c in told}) == len(told)
    assert all(c.ok or c.advice or c.name == "FiftyOne database" for c in told)


def test_heavy_packages_are_not_imported() -> None:
    code = "import sys; from audit.doctor import checks; checks(); "
    code += "print(*{'torch', 'fiftyone', 'ultralytics'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def test_an_extra_that_is_not_there_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [name for names in doctor.EXTRAS["ultralytics"] for name in names.split("|")]
    without(monkeypatch, *everything)
    check = found("Extra ultralytics")
    assert check.ok
    assert "pip install 'cvat-audit[ultralytics]'" in check.detail


def test_an_extra_that_is_there_in_part_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"ultralytics": ("numpy", "no-such-package|another")})
    check = found("Extra ultralytics")
    assert not check.ok
    assert "missing: no-such-package" in check.detail
    assert check.advice == "pip install 'cvat-audit[ultralytics]'"


@pytest.mark.parametrize(
    ("torch", "vision", "fits"),
    [
        ("2.13.0", "0.28.0", True),
        ("2.13.0+cpu", "0.28.0", True),
        ("2.4.1", "0.19.1", True),
        ("2.13.0", "0.27.0", False),
        ("2.4.0", "0.28.0", False),
        ("3.0.0", "0.28.0", True),
        ("nightly", "0.28.0", True),
    ],
)
def test_torch_and_torchvision_are_of_one_release(torch: str, vision: str, fits: bool) -> None:
    assert doctor.torchvision_fits(torch, vision) is fits


def test_a_mismatch_of_torch_and_torchvision_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.13.0", "torchvision": "0.20.0"}
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or real(name))
    check = found("torch and torchvision")
    assert not check.ok
    assert "2.13.0" in check.detail and "0.20.0" in check.detail


def test_values_of_cvat_settings_are_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "very-secret")
    told = doctor.checks()
    assert "CVAT_ACCESS_TOKEN" in found("CVAT settings").detail
    assert "very-secret" not in repr(told)


def test_a_database_that_does_not_answer_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://me:very-secret@127.0.0.1:1")
    check = found("FiftyOne database")
    assert not check.ok
    assert "does not answer" in check.detail
    assert "very-secret" not in repr(check)


def test_weights_are_listed(tmp_path: Path) -> None:
    assert "none kept" in found("Weights").detail
    folder = tmp_path / "cache" / "cvat-audit" / "weights"
    folder.mkdir(parents=True)
    (folder / "yolo11n.pt").write_bytes(b"x" * 1_500_000)
    (folder / "notes.txt").write_text("no weights")
    assert found("Weights").detail == "yolo11n.pt (1.5 MB)"
    (folder / "onnx").mkdir()
    for name in ("0ebb-r1", "9fa6-r1"):
        (folder / "onnx" / f"{name}.onnx").write_bytes(b"x" * 1_000_000)
    assert found("Weights").detail == "yolo11n.pt (1.5 MB), 2 converted to ONNX (2.0 MB)"


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not found("Cache folder").ok
    assert "XDG_STATE_HOME" in found("State folder").advice


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Any = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: usage)
    check = found("Cache folder")
    assert not check.ok
    assert "1 GB free" in check.detail
