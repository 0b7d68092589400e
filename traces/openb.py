"""Reading the openb lists into a workload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.errors import TraceError
from clustersim.traces.openb_files import NodeList, find_files, workload_name
from clustersim.traces.openb_format import node_frame, pod_frame, split_gpu_spec
from clustersim.traces.qos import PRIORITY
from clustersim.workload import NodeTable, PodTable, PodWorkload


def read_openb(path: Path, workload: str = "default", nodes: NodeList = "gpu") -> PodWorkload:
    """The workload in a folder of the upstream layout, or in a single pod list with the node lists beside it.

    `workload` picks `openb_pod_list_<workload>` in a folder and is ignored for a single list. Pods stay in file
    order. Raises TraceError for whatever is missing or breaks a rule of the format.
    """
    files = find_files(path)
    pod_list = files.pod_list(workload) if path.is_dir() else path
    node_list = files.node_list(nodes)
    node_table = node_table_of(node_frame(node_list), nodes)
    if len(node_table) == 0:
        raise TraceError(f"{node_list}: no node has a GPU; read it with nodes='all'")
    models = set(node_table.gpu_model) - {""}
    return PodWorkload(workload_name(pod_list), node_table, pod_table_of(pod_frame(pod_list, models)))


def node_table_of(frame: pd.DataFrame, nodes: NodeList) -> NodeTable:
    """The nodes of a checked list: "gpu" keeps only those with a GPU."""
    if nodes == "gpu":
        frame = frame[frame["gpu"] > 0]
    return NodeTable(
        name=tuple(frame["sn"]),
        cpu_milli=_array(frame, "cpu_milli"),
        memory_mib=_array(frame, "memory_mib"),
        gpu_count=_array(frame, "gpu"),
        gpu_model=tuple(frame["model"]),
    )


def pod_table_of(frame: pd.DataFrame) -> PodTable:
    """The pods of a checked list.

    A pod runs from `scheduled_time` to `deletion_time`. One that was never scheduled has only its time in the queue,
    from `creation_time` to `deletion_time`: its submitter gave up then, so that is the best known bound on its stay.
    A list without history gets arrival 0, no end and qos "LS".
    """
    count = len(frame)
    if "creation_time" in frame:
        arrival_s = _array(frame, "creation_time")
        scheduled_s = _array(frame, "scheduled_time")
        duration_s = _array(frame, "deletion_time") - np.where(np.isnan(scheduled_s), arrival_s, scheduled_s)
        gpu_spec = tuple(split_gpu_spec(spec) for spec in frame["gpu_spec"])
        qos = tuple(frame["qos"])
    else:
        arrival_s, duration_s = np.zeros(count), np.full(count, np.nan)
        gpu_spec, qos = ((),) * count, ("LS",) * count
    return PodTable(
        name=tuple(frame["name"]),
        cpu_milli=_array(frame, "cpu_milli"),
        memory_mib=_array(frame, "memory_mib"),
        num_gpu=_array(frame, "num_gpu"),
        gpu_milli=_array(frame, "gpu_milli"),
        gpu_spec=gpu_spec,
        qos=qos,
        priority=np.array([PRIORITY[name] for name in qos], dtype=np.int64),
        arrival_s=arrival_s,
        duration_s=duration_s,
        image=("",) * count,
        image_mib=np.zeros(count, dtype=np.int64),
    )


def _array(frame: pd.DataFrame, column: str) -> NDArray[Any]:
    """A contiguous array of our own: pandas hands out read-only views of a block of columns."""
    return frame[column].to_numpy(copy=True)
