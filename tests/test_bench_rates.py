"""The bench of rates: what it plants, and that it tells before from after."""

from __future__ import annotations

import numpy as np
import pytest

from audit.checks import study
from audit.checks.calibration import RATE, moved
from audit.checks.evidence import combine, gather
from audit.core.findings import FindingType as T
from scripts.benchmarks.labelled import LabelledSet
from scripts.benchmarks.mistakes import TYPES, spoil
from scripts.benchmarks.quality import at_one_rate
from scripts.benchmarks.rates import CONDITIONS, HEAD, measured, table
from tests.scenes import scene

HW = np.full((40, 2), 600)


@pytest.fixture(scope="module")
def data() -> LabelledSet:
    snapshot, predictions = scene(1, frames=40, per_frame=4, predicted=6)
    return LabelledSet("scene", snapshot, predictions)


@pytest.mark.parametrize("kind", TYPES)
def test_one_type_alone_is_planted(data: LabelledSet, kind: T) -> None:
    clean = data.snapshot.annotations
    spoilt, k = spoil(clean, HW, 0, rate={kind: 0.1}), round(0.1 * len(clean))
    assert spoilt.planted == {t: k * (t == kind) for t in TYPES}
    assert {t for t, _ in spoilt.wrong} == {kind} - {T.MISSING_ANNOTATION}
    assert len(spoilt.dropped) == k * (kind == T.MISSING_ANNOTATION)
    added = k * ((kind in {T.EXTRA_ANNOTATION, T.DUPLICATE_ANNOTATION}) - (kind == T.MISSING_ANNOTATION))
    assert len(spoilt.annotations) == len(clean) + added


def test_nothing_planted_leaves_the_labels(data: LabelledSet) -> None:
    spoilt = spoil(data.snapshot.annotations, HW, 0, rate={})
    assert np.array_equal(spoilt.annotations.xyxy, data.snapshot.annotations.xyxy)
    assert not spoilt.wrong and not len(spoilt.dropped)


def test_before_is_what_the_planted_mistakes_taught(data: LabelledSet) -> None:
    a = data.snapshot.annotations
    evidence = combine([gather(a, data.predictions, judged=np.ones(len(a), bool), frame_hw=HW)])
    after = study(evidence, len(data.snapshot.labels))
    before = at_one_rate(after)
    assert set(after.rates) == set(TYPES)
    for kind, weights in before.weights.items():
        assert moved(weights, after.rates[kind]) == pytest.approx(after.weights[kind])
        assert after.rates[kind] != RATE
    assert before.rates == {}


def test_the_table_has_two_lines_for_each_condition(data: LabelledSet, capsys: pytest.CaptureFixture[str]) -> None:
    table([data], range(1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * len(CONDITIONS)
    told = measured(data, dict.fromkeys(TYPES, 0.1), 0)
    assert all(len(figures) == len(HEAD) and np.isfinite(figures[2:]).all() for figures in told.values())
    assert told["–"] != told["+"]
