"""The columns of the openb lists and the rules they keep."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from clustersim.traces.qos import PRIORITY
from clustersim.traces.rules import check, require_columns
from clustersim.traces.text_table import read_text_table
from clustersim.workload import GPU_MILLI

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
REQUEST_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
"""All that the multigpu lists have; every other pod list has the history as well."""
HISTORY_COLUMNS = ("gpu_spec", "qos", "creation_time", "deletion_time", "scheduled_time")

_UNIQUE = pa.Check(lambda names: ~names.duplicated(), error="repeats an earlier line, names must be unique")


def _text(pattern: str, rule: str) -> pa.Check:
    return pa.Check(lambda column: column.str.fullmatch(pattern), error=rule)


# 15 digits: exact in int64 and in float64
_NAME = [_text(".+", "must not be empty"), _UNIQUE]
_WHOLE = _text("[0-9]{1,15}", "must be a whole number, 0 or more")
_SECONDS = _text(r"[0-9]{1,15}(\.[0-9]+)?", "must be a number of seconds, 0 or more")
_SECONDS_OR_EMPTY = _text(r"([0-9]{1,15}(\.[0-9]+)?)?", "must be a number of seconds, 0 or more, or empty")

_NODE_TEXT = pa.DataFrameSchema(
    {
        "sn": pa.Column(checks=_NAME),
        "cpu_milli": pa.Column(checks=_WHOLE),
        "memory_mib": pa.Column(checks=_WHOLE),
        "gpu": pa.Column(checks=_WHOLE),
    }
)
_NODE_VALUES = pa.DataFrameSchema(
    {
        "cpu_milli": pa.Column(checks=pa.Check.gt(0, error="must be above 0")),
        "memory_mib": pa.Column(checks=pa.Check.gt(0, error="must be above 0")),
    },
    checks=pa.Check(
        lambda node: (node["model"] != "") == (node["gpu"] > 0),
        name="model",
        error="must name the GPU model where `gpu` is above 0, and be empty where it is 0",
    ),
)
_REQUEST_TEXT = pa.DataFrameSchema(
    {"name": pa.Column(checks=_NAME), **{column: pa.Column(checks=_WHOLE) for column in REQUEST_COLUMNS[1:]}}
)
_REQUEST_VALUES = pa.DataFrameSchema(
    checks=[
        pa.Check(
            lambda pod: (pod["num_gpu"] > 0) | (pod["gpu_milli"] == 0),
            name="gpu_milli",
            error="must be 0 where `num_gpu` is 0",
        ),
        pa.Check(
            lambda pod: (pod["num_gpu"] != 1) | pod["gpu_milli"].between(1, GPU_MILLI),
            name="gpu_milli",
            error=f"must be 1 to {GPU_MILLI} where `num_gpu` is 1",
        ),
        pa.Check(
            lambda pod: (pod["num_gpu"] <= 1) | (pod["gpu_milli"] == GPU_MILLI),
            name="gpu_milli",
            error=f"must be {GPU_MILLI} where `num_gpu` is above 1: only one device can be shared",
        ),
    ]
)
_HISTORY_TEXT = pa.DataFrameSchema(
    {
        "qos": pa.Column(checks=pa.Check.isin(list(PRIORITY), error=f"must be one of {', '.join(PRIORITY)}")),
        "creation_time": pa.Column(checks=_SECONDS),
        "deletion_time": pa.Column(checks=_SECONDS),
        "scheduled_time": pa.Column(checks=_SECONDS_OR_EMPTY),
    }
)
_HISTORY_VALUES = pa.DataFrameSchema(
    checks=[
        pa.Check(
            lambda pod: pod["deletion_time"] >= pod["creation_time"],
            name="deletion_time",
            error="must not be before `creation_time`",
        ),
        pa.Check(
            lambda pod: ~(pod["deletion_time"] < pod["scheduled_time"]),  # kept where the pod was never scheduled
            name="deletion_time",
            error="must not be before `scheduled_time`",
        ),
        pa.Check(
            lambda pod: ~(pod["scheduled_time"] < pod["creation_time"]),
            name="scheduled_time",
            error="must not be before `creation_time`",
        ),
    ]
)


def node_frame(file: Path) -> pd.DataFrame:
    """A node list that keeps the rules: integers, and `model` as text. Raises TraceError."""
    table = read_text_table(file)
    require_columns(table, NODE_COLUMNS, file)
    check(table, _NODE_TEXT, file)
    nodes = table.astype(dict.fromkeys(("cpu_milli", "memory_mib", "gpu"), "int64"))
    check(nodes, _NODE_VALUES, file)
    return nodes


def pod_frame(file: Path, models: Collection[str] | None) -> pd.DataFrame:
    """A pod list that keeps the rules: integers, times in float seconds (`scheduled_time` NaN where empty).

    `gpu_spec` stays text; it may name only `models` (None: any). Raises TraceError.
    """
    table = read_text_table(file)
    full = any(column in table for column in HISTORY_COLUMNS)
    require_columns(table, REQUEST_COLUMNS + HISTORY_COLUMNS if full else REQUEST_COLUMNS, file)
    check(table, _REQUEST_TEXT, file)
    pods = table.astype(dict.fromkeys(REQUEST_COLUMNS[1:], "int64"))
    check(pods, _REQUEST_VALUES, file)
    if not full:
        return pods
    check(table, _HISTORY_TEXT, file)
    pods = pods.assign(
        creation_time=table["creation_time"].astype("float64"),
        deletion_time=table["deletion_time"].astype("float64"),
        scheduled_time=table["scheduled_time"].replace("", "nan").astype("float64"),
    )
    check(pods, _HISTORY_VALUES, file)
    if models is not None:
        check(pods, _gpu_spec(models), file)
    return pods


def split_gpu_spec(text: str) -> tuple[str, ...]:
    """The distinct models of "A|B", sorted; the lists repeat some."""
    return tuple(sorted(set(text.split("|")))) if text else ()


def _gpu_spec(models: Collection[str]) -> pa.DataFrameSchema:
    known = frozenset(models)
    rule = pa.Check(
        lambda specs: specs.map(lambda spec: known.issuperset(split_gpu_spec(spec))).astype(bool),
        error=f"must be empty or name models of the node list, joined by '|' (there is {', '.join(sorted(known))})",
    )
    return pa.DataFrameSchema({"gpu_spec": pa.Column(checks=rule)})
