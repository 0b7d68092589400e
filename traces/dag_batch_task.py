"""`batch_task.csv` of Alibaba's cluster trace of 2018 as it is published: no header, one task a row, jobs by name.

Columns: task_name, instance_num, job_name, task_type, status, start_time, end_time, plan_cpu, plan_mem. Unlike the
derived JSON lines it has no mean time of an instance: `run_time_s` is end_time - start_time of the task, as if all
instances had run side by side. The published file is a window of a running cluster, so it has jobs that cannot be
played back; they are left out and counted:

* jobs with a task that has not ended well (status other than Terminated) or has no start or end;
* jobs with a task that waits for one that is not in the file, and with two tasks of one number.

The whole file has 14 million rows, which is more than pandas holds comfortably as text: take a part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from clustersim.errors import TraceError
from clustersim.traces.dag_alibaba import graph_from_names
from clustersim.traces.dag_alibaba_names import parse_task_name
from clustersim.traces.dag_job import RecordedJob
from clustersim.traces.rules import check
from clustersim.traces.text_table import read_text_table

COLUMNS = (
    "task_name",
    "instance_num",
    "job_name",
    "task_type",
    "status",
    "start_time",
    "end_time",
    "plan_cpu",
    "plan_mem",
)

_NOT_EMPTY = pa.Check.str_length(min_value=1, error="is empty; a name is expected")
_WHOLE = pa.Check.str_matches(r"^\d+(\.0+)?$", error="is not a whole number of at least 0")
_WHOLE_OR_NONE = pa.Check.str_matches(r"^\d*(\.0+)?$", error="is neither empty nor a whole number of at least 0")
_POSITIVE = pa.Check.str_matches(r"[1-9]", error="is 0; a task has at least one instance")
_ENDS_AFTER = pa.Check(
    lambda table: (
        (table["end_time"].replace("", "0").astype(float) == 0)
        | (table["start_time"].replace("", "0").astype(float) <= table["end_time"].replace("", "0").astype(float))
    ),
    name="end_time",
    error="is before start_time",
)
_RULES = pa.DataFrameSchema(
    {
        "task_name": pa.Column(str, _NOT_EMPTY),
        "job_name": pa.Column(str, _NOT_EMPTY),
        "status": pa.Column(str, _NOT_EMPTY),
        "instance_num": pa.Column(str, [_WHOLE, _POSITIVE]),
        "start_time": pa.Column(str, _WHOLE_OR_NONE),
        "end_time": pa.Column(str, _WHOLE_OR_NONE),
    }
)
_ORDER = pa.DataFrameSchema(checks=[_ENDS_AFTER])


@dataclass(frozen=True, slots=True, eq=False)
class BatchTasks:
    """`jobs` by arrival; `left_out`: how many jobs cannot be played back, by reason."""

    jobs: tuple[RecordedJob, ...]
    left_out: Mapping[str, int]


@lru_cache(maxsize=4)
def read_batch_task(file: Path) -> BatchTasks:
    """Raises TraceError with file and line; no job is left out for a breach of the format."""
    table = read_text_table(file, COLUMNS)
    check(table, _RULES, file)
    check(table, _ORDER, file)
    twice = table.duplicated(["job_name", "task_name"])
    if twice.any():
        line = table.index[twice][0]
        job, task = table.at[line, "job_name"], table.at[line, "task_name"]
        raise TraceError(f"{file}: line {line}: job {job!r} has a second task called {task!r}; names have to differ")
    jobs: list[RecordedJob] = []
    left_out: Counter[str] = Counter()
    for name, rows in table.groupby("job_name", sort=False):
        why = _why_unplayable(rows)
        if why:
            left_out[why] += 1
        else:
            jobs.append(_job(file, str(name), rows))
    if not jobs:
        reasons = ", ".join(f"{count} with {why}" for why, count in left_out.items())
        raise TraceError(f"{file}: no job can be played back: {reasons}")
    return BatchTasks(tuple(sorted(jobs, key=lambda job: job.arrival_s)), dict(left_out))


def _why_unplayable(rows: pd.DataFrame) -> str:
    if (rows["status"] != "Terminated").any():
        return "a task that has not terminated"
    if (rows[["start_time", "end_time"]].isin(["", "0"])).any(axis=None):
        return "a task without start or end"
    names = [parse_task_name(name) for name in rows["task_name"]]
    numbers = [name.number for name in names if name.number is not None]
    if len(set(numbers)) < len(numbers):
        return "two tasks of one number"
    if any(parent not in numbers for name in names for parent in name.parents):
        return "a task that waits for a missing one"
    return ""


def _job(file: Path, name: str, rows: pd.DataFrame) -> RecordedJob:
    start_s, end_s = rows["start_time"].astype(float), rows["end_time"].astype(float)
    lines = rows.index.tolist()
    return graph_from_names(
        name,
        rows["task_name"].tolist(),
        (end_s - start_s).tolist(),
        rows["instance_num"].astype(float).astype(int).tolist(),
        float(start_s.min()),
        lambda task, what: TraceError(f"{file}: line {lines[task]}: {what}"),
    )
