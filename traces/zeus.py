"""The power limits of Zeus (NSDI'23): time and power of one epoch of training, by GPU, workload and limit.

A folder holds `summary_power_GPU.csv`, plain or gzipped, one row a workload, batch size and limit.
Source: You, Chung, Chowdhury, USENIX NSDI 2023; data of ml-energy/zeus.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from clustersim.errors import TraceError
from clustersim.power_curves import PowerCapCurve
from clustersim.traces.rules import breaches, check, require_columns
from clustersim.traces.text_table import read_text_table

ZEUS_GPUS = ("a40", "p100", "rtx6000", "v100")
RUN = ["dataset", "network", "batch_size", "optimizer"]
"""What is trained, and how."""
MEASURED = ["power_limit", "time_per_epoch", "average_power"]
"""In watts, seconds and watts."""

_NUMBER = pa.Check(lambda text: text.str.fullmatch(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?"), error="must be a number")
_TEXT = pa.DataFrameSchema({column: pa.Column(checks=_NUMBER) for column in MEASURED})
_VALUES = pa.DataFrameSchema(
    {column: pa.Column(checks=pa.Check.gt(0, error="must be above 0")) for column in MEASURED},
    checks=pa.Check(
        lambda run: ~run.duplicated([*RUN, "power_limit"]), name="power_limit", error="was measured in an earlier line"
    ),
)


def read_zeus(folder: Path, gpu: str) -> pd.DataFrame:
    """The runs of a GPU: RUN as text, MEASURED as floats. Raises TraceError."""
    if gpu not in ZEUS_GPUS:
        raise TraceError(f"Zeus did not measure {gpu!r}; there is {', '.join(ZEUS_GPUS)}")
    name = f"summary_power_{gpu}.csv"
    file = next((file for file in (folder / name, folder / f"{name}.gz") if file.exists()), None)
    if file is None:
        raise TraceError(f"{folder}: there is no {name} or {name}.gz; get it from ml-energy/zeus")
    table = read_text_table(file)
    require_columns(table, [*RUN, *MEASURED], file)
    check(table, _TEXT, file)
    runs = table[RUN + MEASURED].astype(dict.fromkeys(MEASURED, "float64"))
    check(runs, _VALUES, file)
    highest_w = runs["power_limit"].max()
    without = runs[~runs.groupby(RUN)["power_limit"].transform("max").eq(highest_w)]
    if len(without):
        found = [
            f"line {line}: this run was not measured at {highest_w:g} W, the highest limit" for line in without.index
        ]
        raise breaches(file, found)
    return runs


def limit_means(runs: pd.DataFrame) -> pd.DataFrame:
    """By limit as a share of the highest: `speed` and `energy` per epoch against the highest, mean over all runs."""
    energy_j = runs["time_per_epoch"] * runs["average_power"]
    by_run = runs.assign(energy_j=energy_j).sort_values("power_limit").groupby(RUN)
    speed = by_run["time_per_epoch"].transform("last") / runs["time_per_epoch"]
    energy = energy_j / by_run["energy_j"].transform("last")
    share = runs["power_limit"] / runs["power_limit"].max()
    return pd.DataFrame({"share": share, "speed": speed, "energy": energy}).groupby("share").mean()


def cap_curve(name: str, means: pd.DataFrame) -> PowerCapCurve:
    """The curve through the means, to four digits; a limit that a lower one beats in speed is noise and left out."""
    kept: list[tuple[float, float, float]] = []
    for share, speed, energy in means.reset_index().round(4).itertuples(index=False):
        if not kept or speed > kept[-1][1]:
            kept.append((share, speed, energy))
    shares, speeds, energies = zip(*kept, strict=True)
    return PowerCapCurve(name, shares, speeds, energies)
