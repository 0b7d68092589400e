"""A short report on openb files: how many rows, of which classes, asking for how much, with which known defects."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from clustersim.errors import TraceError
from clustersim.traces.openb import node_table_of, pod_table_of
from clustersim.traces.openb_files import OpenbFiles, find_files
from clustersim.traces.openb_format import NODE_COLUMNS, REQUEST_COLUMNS, node_frame, pod_frame
from clustersim.traces.pod_classes import pod_counts
from clustersim.traces.text_table import read_text_table
from clustersim.workload import GPU_MILLI, NodeTable


def check_openb(path: Path) -> str:
    """Validate one list, or every list in a folder; return the report. Raises TraceError at the first broken file."""
    files = find_files(path)
    if path.is_dir():
        lists = [*files.nodes.values(), *files.pods.values()]
        return "\n".join(_report(file, files) for file in sorted(lists))
    return _report(path, files)


def _report(file: Path, files: OpenbFiles) -> str:
    header = read_text_table(file).columns
    if "sn" in header:
        lines = _nodes_report(node_table_of(node_frame(file), "all"))
    elif "num_gpu" in header:
        lines = _pods_report(file, files)
    else:
        raise TraceError(
            f"{file}: line 1 is the header of neither a node list ({', '.join(NODE_COLUMNS)}) nor a pod list "
            f"({', '.join(REQUEST_COLUMNS)}, ...); it is {', '.join(header)}"
        )
    return "\n  ".join([f"{file}: keeps the rules of the format", *lines])


def _nodes_report(nodes: NodeTable) -> list[str]:
    gpus = Counter[str]()
    for model, count in zip(nodes.gpu_model, nodes.gpu_count.tolist(), strict=True):
        gpus[model] += count
    by_model = ", ".join(f"{count:,} {model}" for model, count in gpus.most_common() if model)
    return [
        f"{_counted(len(nodes), 'node')}, {int((nodes.gpu_count == 0).sum()):,} of them without GPU; "
        f"{nodes.cpu_milli.sum() / 1000:,.0f} cores",
        f"{nodes.gpu_count.sum():,} GPUs: {by_model}",
    ]


def _pods_report(file: Path, files: OpenbFiles) -> list[str]:
    nodes = node_table_of(node_frame(files.node_list("gpu")), "gpu") if files.nodes else None
    frame = pod_frame(file, models=None if nodes is None else set(nodes.gpu_model))
    pods = pod_table_of(frame)
    gpus = int(pods.gpu_demand_milli.sum()) / GPU_MILLI
    demand = f"GPU demand {gpus:,.1f} GPUs"
    if nodes is None:
        demand += "; no node list beside it, so gpu_spec was not compared with one"
    else:
        capacity = int(nodes.gpu_count.sum())
        demand += f", {gpus / capacity:.1%} of the {capacity:,} in {files.node_list('gpu').name}"
    classes = [f"{name} {count:,} ({count / len(pods):.1%})" for name, count in pod_counts(pods).items()]
    return [_counted(len(pods), "pod") + ": " + ", ".join(classes), demand, "defects: " + _defects(frame)]


def _defects(frame: pd.DataFrame) -> str:
    found = []
    if count := int((frame["memory_mib"] == 0).sum()):
        found.append(f"{_counted(count, 'pod')} with 0 MiB of memory")
    if "creation_time" not in frame:
        found.append("no history: every pod arrives at 0 s, never leaves and counts as qos LS")
        return "; ".join(found)
    if count := int(frame["scheduled_time"].isna().sum()):
        found.append(f"{_counted(count, 'pod')} without scheduled_time (never scheduled)")
    specs = frame["gpu_spec"].str.split("|")
    if count := sum(len(set(models)) < len(models) for models in specs):
        found.append(f"{_counted(count, 'pod')} with a model twice in gpu_spec")
    if not frame["creation_time"].is_monotonic_increasing:
        found.append("not sorted by creation_time")
    return "; ".join(found) or "none"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
