"""What a sweep says: means at every value, ratios to a reference, and how much each policy suffers from noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.bench.metrics import MetricInfo
from clustersim.bench.statistics import estimate

Values = pd.DataFrame
"""One row per unit (seed, or job), one column per swept value."""

Estimates = dict[str, dict[str, list[dict[str, Any] | None]]]
"""policy -> metric -> per swept value; None where nothing is defined."""


def totals(
    judged: Mapping[float, pd.DataFrame], policies: Sequence[str], reference: str, metrics: Sequence[MetricInfo]
) -> dict[str, Estimates]:
    """Means of ratios with their intervals; `judged` holds the values of the runs by the value of the sweep.

    `ratios`: policy over reference, paired by unit. Where 0 is among the values, `degradation`: of each policy, its
    metric at a value over its metric at 0, paired by unit; and `degradation_paired`: that of the policy minus that of
    the reference.
    """
    table = {(policy, info.name): _values(judged, policy, info.name) for policy in policies for info in metrics}

    def over_policies(paired: Callable[[Values, Values], Values]) -> Estimates:
        return {
            policy: {
                info.name: _estimates(paired(table[policy, info.name], table[reference, info.name])) for info in metrics
            }
            for policy in policies
        }

    found = {"ratios": over_policies(_ratio)}
    if 0 in judged:
        found["degradation"] = over_policies(lambda values, _: _degradation(values))
        found["degradation_paired"] = over_policies(lambda values, at: _degradation(values) - _degradation(at))
    return found


def _values(judged: Mapping[float, pd.DataFrame], policy: str, metric: str) -> Values:
    columns = {}
    for value, runs in judged.items():
        rows = runs[(runs["policy"] == policy) & (runs["metric"] == metric)]
        columns[value] = rows.set_index("seed")["value"]
    return pd.DataFrame(columns)


def _ratio(values: Values, reference: Values) -> Values:
    return values / reference.where(reference != 0)


def _degradation(values: Values) -> Values:
    return values.div(values[0].where(values[0] != 0), axis=0)


def _estimates(values: Values) -> list[dict[str, Any] | None]:
    found = []
    for value in values.columns:
        defined = values[value].dropna().to_numpy(dtype=np.float64)
        found.append(estimate(defined).as_json() if len(defined) else None)
    return found
