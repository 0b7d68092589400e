"""The figures of the VM benchmarks, and how far a fragment rate is from what has been proven."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.bench.metrics import MetricInfo
from clustersim.bench.vm_names import value_of

FRAGMENT_RATE = MetricInfo("fragment_rate", "fragment rate", "", "lower", main=True, percent=True)
GAP = MetricInfo("gap", "above the best bound", "", "lower", percent=True)
BOUND = MetricInfo("bound", "proven bound", "", "higher", percent=True)
INITIAL = MetricInfo("initial_fragment_rate", "initial fragment rate", "", "lower", percent=True)
PLANNED = MetricInfo("planned_fragment_rate", "fragment rate as planned", "", "lower", percent=True)
MOVES = MetricInfo("moves", "migrations", "", "lower")
SECONDS = MetricInfo("seconds", "planning", "s", "lower")
MIGRATED = MetricInfo("migrated_mib", "bytes moved", "MiB", "lower")
DOWNTIME = MetricInfo("downtime_s", "downtime of all VMs", "s", "lower")
TRANSFER = MetricInfo("transfer_s", "pre-copy, one after the other", "s", "lower")
GONE = MetricInfo("dropped_gone", "dropped: VM gone", "", "lower")
FULL = MetricInfo("dropped_full", "dropped: target full", "", "lower")


LEAST_BOUND = 0.01
"""A bound under one percent of the free cores is as good as none: where a search ends without proof it is the residue
that no placement can avoid, and ratios to that are in the thousands."""


def with_gap(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs and one metric more: how far the planned fragment rate is above the best bound of its seed and limit.

    As a share of the bound. It is left out where no policy has proven anything, and where the bound is 0.
    """
    wide = runs[runs["metric"].isin(["bound", "planned_fragment_rate"])].pivot_table(
        index=["policy", "seed"], columns="metric", values="value"
    )
    if "bound" not in wide:
        return runs
    at = [(value_of(policy), seed) for policy, seed in wide.index]
    best = wide["bound"].groupby(pd.MultiIndex.from_tuples(at)).transform("max").to_numpy()
    gap = wide["planned_fragment_rate"].to_numpy() / np.where(best > LEAST_BOUND, best, np.nan) - 1
    gap[np.abs(gap) < 1e-9] = 0.0  # rounding
    frame = wide.index.to_frame(index=False).assign(metric="gap", value=gap).dropna()
    first = runs.iloc[0]
    rows = frame.assign(scenario=first["scenario"], trace=first["trace"])[list(runs.columns)]
    return pd.concat([runs, rows], ignore_index=True)
