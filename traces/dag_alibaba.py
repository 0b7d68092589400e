"""Batch jobs of Alibaba's cluster trace of 2018, one JSON object a line: job, tasks, and for each what was measured.

* The graph is in the task names (`clustersim.traces.dag_alibaba_names`).
* `run_time_s` is the mean time of an instance (`actual_duration`, or `duration` where there is none); `instances` run
  side by side. CPU and memory requests are not used: a machine runs one instance at a time.
* Nothing is sent along the edges, as the trace does not say how much.
* A job arrives when its first task has started. Jobs are sorted by that, the order of the file among equals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from clustersim.errors import TraceError
from clustersim.traces.dag_alibaba_names import parse_task_name
from clustersim.traces.dag_job import RecordedJob, from_parents
from clustersim.traces.dag_json import Json, read_json_lines


@lru_cache(maxsize=4)
def read_alibaba(file: Path) -> tuple[RecordedJob, ...]:
    """The jobs of a file by arrival. Raises TraceError with line and place."""
    jobs: dict[str, RecordedJob] = {}
    for document in read_json_lines(file):
        job = _job(document)
        if job.name in jobs:
            raise document["job"].wrong(f"is {job.name!r} once more; names of jobs have to differ")
        jobs[job.name] = job
    return tuple(sorted(jobs.values(), key=lambda job: job.arrival_s))


def graph_from_names(
    job: str,
    names: Sequence[str],
    run_time_s: Sequence[float],
    instances: Sequence[int],
    arrival_s: float,
    wrong: Callable[[int, str], TraceError],
) -> RecordedJob:
    """The job whose graph is in the names of its tasks; `wrong(i, what)` words an error with the place of task i."""
    parsed = [parse_task_name(name) for name in names]
    by_number: dict[int, int] = {}
    for task, name in enumerate(parsed):
        if name.number is not None and by_number.setdefault(name.number, task) != task:
            first = names[by_number[name.number]]
            raise wrong(task, f"tasks {first!r} and {names[task]!r} of job {job!r} have the same number {name.number}")
    parents = [[names[by_number[p]] if p in by_number else f"task {p}" for p in name.parents] for name in parsed]
    return from_parents(job, names, parents, run_time_s, wrong, instances=instances, arrival_s=arrival_s)


def _job(document: Json) -> RecordedJob:
    name = document["job"].text()
    tasks = document["tasks"].elements()
    if not tasks:
        raise document["tasks"].wrong("is empty; a job needs at least one task")
    for task in tasks:
        if task.has("job") and task["job"].text() != name:
            raise task["job"].wrong(f"is {task['job'].value!r} in a task of job {name!r}")
    return graph_from_names(
        name,
        [task["name"].text() for task in tasks],
        [task.first_of("actual_duration", "duration").number() for task in tasks],
        [_instances(task["instances"]) for task in tasks],
        min(task["start_time"].number() for task in tasks),
        lambda task, what: tasks[task].wrong(what),
    )


def _instances(value: Json) -> int:
    count = value.whole()
    if count < 1:
        raise value.wrong("is 0; a task has at least one instance")
    return count
