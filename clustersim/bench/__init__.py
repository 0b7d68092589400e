"""The benchmark engine: runs that survive interruptions, statistics over seeds, a table and a report."""

from clustersim.bench.benchmark import run_benchmark
from clustersim.bench.execution import Interrupted, execute
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.progress import BarProgress, Progress
from clustersim.bench.runs import JSON, Experiment, RunResult, Series
from clustersim.bench.statistics import summary
from clustersim.bench.store import RunStore

__all__ = [
    "JSON",
    "BarProgress",
    "Experiment",
    "Interrupted",
    "MetricInfo",
    "Progress",
    "RunResult",
    "RunStore",
    "Series",
    "execute",
    "run_benchmark",
    "summary",
]
