"""What a model tells of itself is kept beside it, and the network is opened when a frame comes."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.adapters.digests import file_sha256
from audit.adapters.ultralytics.detector import open_model
from audit.adapters.ultralytics.export import exported
from audit.adapters.ultralytics.facts import keep_facts, kept_facts
from audit.adapters.ultralytics.runtimes import ModelFacts, OnnxRuntime
from audit.adapters.ultralytics.weights import find_weights
from audit.errors import UsageError

FACTS = ModelFacts(("person", "Auto ü"), "segment", stride=64, end_to_end=True, fixed_hw=(320, 640))


@pytest.fixture(scope="module")
def network() -> Path:
    weights = find_weights("yolo11n")
    return exported(weights, file_sha256(weights), 640)


def test_nothing_is_known_of_a_model_that_told_nothing(tmp_path: Path) -> None:
    assert kept_facts(tmp_path / "m.onnx") is None


@pytest.mark.parametrize("facts", [FACTS, replace(FACTS, fixed_hw=None, labels=())])
def test_facts_come_back_as_they_were(tmp_path: Path, facts: ModelFacts) -> None:
    keep_facts(tmp_path / "m.onnx", facts)
    assert kept_facts(tmp_path / "m.onnx") == facts


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep_facts(tmp_path / "file" / "m.onnx", FACTS)
    assert kept_facts(tmp_path / "file" / "m.onnx") is None


GOOD: dict[str, Any] = {"labels": ["a"], "task": "detect", "stride": 32, "end_to_end": False, "fixed_hw": None}
WRONG: dict[str, tuple[Any, ...]] = {
    "labels": ("abc", [1]), "task": ("pose",), "stride": (1.5, 0), "end_to_end": (1,),
    "fixed_hw": ([1], 5, ["a", "b"], [640, float("inf")], [640, 0]),
}  # fmt: skip
DAMAGED = [[], "x", 7, {}, *({**GOOD, key: value} for key, values in WRONG.items() for value in values)]


@pytest.mark.parametrize("said", [*map(json.dumps, DAMAGED), "", "{", "[" * 100_000, "\udcff"])
def test_damaged_facts_are_none(tmp_path: Path, said: str) -> None:
    (tmp_path / "m.onnx.facts.json").write_bytes(said.encode("utf-8", "surrogateescape"))
    assert kept_facts(tmp_path / "m.onnx") is None
    (tmp_path / "m.onnx.facts.json").write_text(json.dumps(GOOD))
    assert kept_facts(tmp_path / "m.onnx") == ModelFacts(("a",), "detect")


def test_a_known_network_is_opened_once_for_the_first_frames(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, really = [], OnnxRuntime._open
    monkeypatch.setattr(OnnxRuntime, "_open", lambda runtime: opened.append(runtime) or really(runtime))  # type: ignore[func-returns-value]  # a list's append
    facts = OnnxRuntime(network).facts
    runtime = OnnxRuntime(network, facts=facts)
    assert len(opened) == 1
    frame = np.full((1, 3, 64, 64), 0.5, np.float32)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(runtime.forward, [frame] * 4))
    assert len(opened) == 2
    assert all(np.array_equal(answer[0], answers[0][0]) for answer in answers)


def test_a_known_network_that_has_been_damaged_is_told_with_the_first_frame(network: Path, tmp_path: Path) -> None:
    facts, damaged = OnnxRuntime(network).facts, tmp_path / "m.onnx"
    damaged.write_bytes(network.read_bytes()[:1000])
    runtime = OnnxRuntime(damaged, facts=facts)
    with pytest.raises(UsageError, match="not an ONNX model that can be run"):
        runtime.forward(np.zeros((1, 3, 64, 64), np.float32))


def test_an_audit_whose_predictions_are_known_does_not_load_onnxruntime(network: Path) -> None:
    weights = find_weights("yolo11n")
    kept = network.with_name(f"{network.name}.facts.json")
    kept.unlink(missing_ok=True)
    eager, first = open_model(weights, device="cpu"), open_model(weights, device="cpu", lazily=True)
    assert kept.is_file()
    program = (
        "import sys; from pathlib import Path; from audit.adapters.ultralytics.detector import open_model;"
        "m = open_model(Path(sys.argv[1]), device='cpu', lazily=True);"
        "print(m.digest, len(m.labels), 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(weights)], capture_output=True, text=True, timeout=120, check=True
    )
    assert (eager.digest, eager.labels) == (first.digest, first.labels)
    assert done.stdout.split() == [eager.digest, "80", "False"]
