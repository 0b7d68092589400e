"""A short report on files of jobs: how many jobs, tasks and edges, how much work, and which known defects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clustersim.traces.dag_alibaba import read_alibaba
from clustersim.traces.dag_alibaba_names import parse_task_name
from clustersim.traces.dag_batch_task import read_batch_task
from clustersim.traces.dag_ds3_job import read_soc_job
from clustersim.traces.dag_ds3_soc import read_soc
from clustersim.traces.dag_files import format_of, soc_beside
from clustersim.traces.dag_job import RecordedJob
from clustersim.traces.dag_tpch import read_tpch
from clustersim.traces.dag_wfformat import read_wfformat

PATTERNS = ("*.json", "*.jsonl", "batch_task*.csv", "job_*.txt", "*SoC*.txt")


def holds_dags(path: Path) -> bool:
    """Whether this is a file or folder of jobs rather than of pods."""
    return bool(_files(path))


def check_dags(path: Path) -> str:
    """Validate a file, or every file of jobs below a folder. Raises TraceError at the first broken one."""
    return "\n".join("\n  ".join([f"{file}: keeps the rules of the format", *_report(file)]) for file in _files(path))


def _files(path: Path) -> list[Path]:
    patterns = [pattern + suffix for pattern in PATTERNS for suffix in ("", ".gz")]
    if path.is_dir():
        return sorted({file for pattern in patterns for file in path.rglob(pattern)})
    return [path] if path.is_file() and any(path.match(pattern) for pattern in (*patterns, "*.txt")) else []


def _report(file: Path) -> list[str]:
    match format_of(file):
        case "wfformat":
            return _workflow(read_wfformat(file))
        case "tpch":
            return _tpch(file)
        case "alibaba":
            return _alibaba(file)
        case "ds3-job":
            return _soc_job(file)
        case "ds3-soc":
            return _soc(file)


def _workflow(job: RecordedJob) -> list[str]:
    zero = int((job.run_time_s == 0).sum())
    return [
        f"workflow: {_counted(len(job), 'task')}, {_counted(len(job.edges), 'edge')}; {job.work_s:,.0f} s of run time, "
        f"{job.data_bytes.sum() / 1e6:,.0f} MB on the edges",
        "defects: " + (f"{_counted(zero, 'task')} with a run time of 0" if zero else "none"),
    ]


def _tpch(file: Path) -> list[str]:
    queries = read_tpch(file)
    stages = [stage for query in queries for stage in query.stages]
    odd = [
        f"stage {index} of {query.name} has {stage.instances_seen} tasks by executor count, taken as {stage.instances}"
        for query in queries
        for index, stage in enumerate(query.stages)
        if len(stage.instances_seen) > 1
    ]
    return [
        f"TPC-H: {_counted(len(queries), 'job')}, {_counted(len(stages), 'stage')}, "
        f"{_counted(sum(len(query.edges) for query in queries), 'edge')}, {sum(s.instances for s in stages):,} tasks",
        "defects: " + ("; ".join(odd) or "none"),
    ]


def _alibaba(file: Path) -> list[str]:
    if file.name.removesuffix(".gz").endswith(".csv"):
        batch = read_batch_task(file)
        jobs, left_out = batch.jobs, batch.left_out
    else:
        jobs, left_out = read_alibaba(file), {}
    names = [parse_task_name(task) for job in jobs for task in job.tasks]
    found = [f"{_counted(count, 'job')} left out with {why}" for why, count in left_out.items()]
    if loose := sum(name.number is None for name in names):
        found.append(f"{_counted(loose, 'task')} with a name that says nothing of a graph")
    if ignored := sum(len(name.ignored) for name in names):
        found.append(f"{_counted(ignored, 'part')} of names that are no number")
    return [
        f"Alibaba: {_counted(len(jobs), 'job')}, {_counted(len(names), 'task')}, "
        f"{_counted(sum(len(job.edges) for job in jobs), 'edge')}, {sum(int(job.instances.sum()) for job in jobs):,} "
        f"instances; arrivals {jobs[0].arrival_s:,.0f} to {jobs[-1].arrival_s:,.0f} s",
        "defects: " + ("; ".join(found) or "none"),
    ]


def _soc_job(file: Path) -> list[str]:
    job = read_soc_job(file)
    able = [soc.name for soc in map(read_soc, soc_beside(file)) if all(task in soc.run_time_s for task in job.tasks)]
    return [
        f"DS3 job {job.name}: {_counted(len(job), 'task')}, {_counted(len(job.edges), 'edge')}",
        "SoCs beside it that can run it: " + (", ".join(able) or "none"),
    ]


def _soc(file: Path) -> list[str]:
    soc = read_soc(file)
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(soc.machines.kinds).items())
    return [
        f"DS3 SoC: {_counted(len(soc.machines), 'machine')} ({kinds}), {_counted(len(soc.run_time_s), 'function')}",
        "defects: " + (_twice(soc.repeated) or "none"),
    ]


def _twice(repeated: Sequence[str]) -> str:
    return f"listed twice, the first counts: {', '.join(repeated)}" if repeated else ""


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
