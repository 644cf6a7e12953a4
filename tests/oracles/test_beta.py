"""Quantiles of the beta distribution against scipy's, and by their own law."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import betainc, betaincinv

from audit.trust.beta import beta_below, beta_quantile


def test_nothing_gives_nothing() -> None:
    assert beta_quantile(0.5, np.zeros(0), np.zeros(0)).shape == (0,)
    assert beta_below(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("share", [0.025, 0.5, 0.975])
@pytest.mark.parametrize("trials", [1, 2, 15, 300, 20_000, 1_000_000])
def test_quantiles_are_scipys(trials: int, share: float) -> None:
    hits = np.random.default_rng(trials).integers(0, trials + 1, 12)
    hits = np.concatenate([hits, [0, 1, trials - 1, trials]])
    a, b = np.asarray([hits + 0.5, trials - hits + 0.5], np.float64)
    assert np.allclose(beta_quantile(share, a, b), betaincinv(a, b, share), rtol=1e-8, atol=0)


def test_shares_below_are_scipys_on_parameters_of_all_sizes() -> None:
    rng = np.random.default_rng(0)
    a, b = 10 ** rng.uniform(-1, 4, (2, 200))
    x = rng.beta(a, b).clip(1e-12, 1 - 1e-12)
    assert np.allclose(beta_below(x, a, b), betainc(a, b, x), rtol=1e-9, atol=1e-13)


def test_the_quantile_has_its_share_below_it() -> None:
    rng = np.random.default_rng(1)
    a, b = 10 ** rng.uniform(-0.3, 3, (2, 100))
    for share in (0.001, 0.3, 0.999):
        x = beta_quantile(share, a, b)
        # a quantile that is next to 1 can itself be told to 16 digits only
        assert np.allclose(beta_below(x, a, b)[x < 1 - 1e-9], share, rtol=1e-9)


def test_an_audit_does_not_wait_for_scipys_functions() -> None:
    code = "import sys, audit.workflow, audit.report.html; sys.exit('scipy.special' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
