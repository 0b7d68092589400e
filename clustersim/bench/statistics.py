"""Means, paired differences and their 95 % Student-t confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from clustersim.bench.runs import Experiment
from clustersim.errors import ConfigError


@dataclass(frozen=True)
class Estimate:
    """A mean over n values; a single value has no interval, so its half width is None."""

    mean: float
    half_width: float | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """`ci95` is [lo, hi], or [null, null] where there is none."""
        if self.half_width is None:
            return {"mean": self.mean, "ci95": [None, None], "n": self.n}
        return {"mean": self.mean, "ci95": [self.mean - self.half_width, self.mean + self.half_width], "n": self.n}


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean of the values, shape (n,) with n >= 1, with the interval of a two-sided t test."""
    n = len(values)
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, None, n)
    standard_error = float(np.std(values, ddof=1)) / n**0.5
    return Estimate(mean, float(stdtrit(n - 1, 0.975)) * standard_error, n)


def require_reference(experiment: Experiment, reference: str) -> None:
    if reference not in experiment.policies:
        raise ConfigError(
            f"reference policy {reference!r} is not among the policies of this benchmark "
            f"({', '.join(experiment.policies)}); add it to --policies or choose one of them"
        )


def summary(experiment: Experiment, table: pd.DataFrame, reference: str) -> dict[str, Any]:
    """What summary.json holds: every mean with its interval, and every mean difference to the reference.

    A paired difference is policy minus reference over the seeds where both are defined. Undefined values (NaN, or
    a metric that a policy does not report) only lower `n`; a metric without any value is left out.
    """
    require_reference(experiment, reference)
    values = _defined_values(table)
    at_reference = values[reference]
    paired: dict[str, dict[str, Any]] = {}
    for policy in experiment.policies:
        if policy == reference:
            continue
        difference = {
            metric: _difference(by_seed, at_reference[metric])
            for metric, by_seed in values[policy].items()
            if metric in at_reference
        }
        paired[policy] = _estimates(difference)
    return {
        **experiment.identity,
        "seeds": list(experiment.seeds),
        "policies": {policy: _estimates(values[policy]) for policy in experiment.policies},
        "reference": reference,
        "paired": paired,
    }


def _defined_values(table: pd.DataFrame) -> dict[str, dict[str, pd.Series[float]]]:
    """policy -> metric -> values indexed by seed."""
    values: dict[str, dict[str, pd.Series[float]]] = {}
    for (policy, metric), rows in table.groupby(["policy", "metric"], sort=False):
        values.setdefault(str(policy), {})[str(metric)] = rows.set_index("seed")["value"].dropna()
    return values


def _estimates(values: dict[str, pd.Series[float]]) -> dict[str, Any]:
    return {
        metric: estimate(np.asarray(by_seed, dtype=np.float64)).as_json()
        for metric, by_seed in values.items()
        if len(by_seed)
    }


def _difference(values: pd.Series[float], reference: pd.Series[float]) -> pd.Series[float]:
    """Values minus reference where both are defined; what differs by rounding alone is equal."""
    difference = (values - reference).dropna()
    return difference.where(difference.abs() > 1e-12 * reference.abs().reindex(difference.index), 0.0)
