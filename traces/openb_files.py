"""The openb layout: which file in a folder is which node list or pod list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from clustersim.errors import ConfigError, TraceError
from clustersim.traces.catalog import suggestion

NodeList = Literal["gpu", "all"]

GET_FILES = "`clustersim traces fetch openb` gets the files"

_SUBFOLDERS = ("", "data/csv", "csv")  # the folder itself, or upstream's repository root or its `data`
_PODS = "openb_pod_list_"
_NODES = "openb_node_list_"


@dataclass(frozen=True, slots=True)
class OpenbFiles:
    """The lists found in `folder`: pod lists by workload, node lists by kind ("gpu_node", "all_node")."""

    folder: Path
    pods: dict[str, Path]
    nodes: dict[str, Path]

    def pod_list(self, workload: str) -> Path:
        if workload in self.pods:
            return self.pods[workload]
        raise TraceError(
            f"{self.folder}: no pod list of workload {workload!r} ({_PODS}{workload}.csv or .csv.gz); "
            f"{suggestion(workload, sorted(self.pods))}"
        )

    def node_list(self, kind: NodeList) -> Path:
        """The list of that kind; where only the all-node list is there it stands in for the GPU one (filter it)."""
        if kind not in get_args(NodeList):
            raise ConfigError(f"nodes is {kind!r}; it must be one of {', '.join(get_args(NodeList))}")
        for name in ("gpu_node", "all_node") if kind == "gpu" else ("all_node",):
            if name in self.nodes:
                return self.nodes[name]
        raise TraceError(
            f"{self.folder}: no node list ({_NODES}{kind}_node.csv or .csv.gz); {GET_FILES}, "
            "node lists must lie beside the pod lists"
        )


def find_files(path: Path) -> OpenbFiles:
    """What lies in `path`, or beside it when it is a file. Raises TraceError where there is no openb list at all."""
    if not path.exists():
        raise TraceError(f"{path}: no such file or folder; {GET_FILES}")
    for folder in (path / sub for sub in _SUBFOLDERS) if path.is_dir() else (path.parent,):
        found = OpenbFiles(folder, pods=_lists(folder, _PODS), nodes=_lists(folder, _NODES))
        if found.pods or found.nodes or path.is_file():
            return found
    raise TraceError(
        f"{path}: no {_PODS}*.csv or {_NODES}*.csv (plain or .gz) in it, nor in data/csv or csv below it; {GET_FILES}"
    )


def workload_name(pod_list: Path) -> str:
    """What a pod list is called in results: "openb-default", or the bare name of a file named otherwise."""
    return _bare_name(pod_list).replace(_PODS, "openb-")


def _lists(folder: Path, prefix: str) -> dict[str, Path]:
    """Files by the rest of their name; a plain file goes before a compressed one of the same name."""
    files = sorted([*folder.glob(f"{prefix}*.csv"), *folder.glob(f"{prefix}*.csv.gz")], reverse=True)
    return {_bare_name(file).removeprefix(prefix): file for file in files}


def _bare_name(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".csv")
