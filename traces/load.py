"""One front function for every trace of pods: a name from the catalogue or a path in, a workload out."""

from __future__ import annotations

from pathlib import Path

from clustersim.errors import ConfigError, TraceError
from clustersim.traces.catalog import AZURE2019, OPENB, OPENB_LIKE, suggestion
from clustersim.traces.dag_catalog import DAG_TRACES
from clustersim.traces.locate import VARIABLE, locate
from clustersim.traces.openb_files import NodeList
from clustersim.traces.openb_like import openb_like
from clustersim.traces.vm_catalog import VM_TRACES
from clustersim.workload import PodWorkload


def load(trace: str | Path, workload: str = "default", nodes: NodeList = "gpu", seed: int = 0) -> PodWorkload:
    """The workload of a catalogue name, a folder in the openb layout or a single pod list.

    A name goes before a path: a folder called "openb" is "./openb". `workload` and `nodes` choose among the lists of
    a real trace, `seed` is for a generated one. Raises TraceError, or ConfigError for options that cannot be met.
    """
    if trace == OPENB_LIKE.name:
        if (workload, nodes) != ("default", "gpu"):
            raise ConfigError(
                f"{OPENB_LIKE.name} has only workload 'default' and nodes 'gpu', not {workload!r} and {nodes!r}; "
                f"load {OPENB.name!r} for the others"
            )
        return openb_like(seed)
    # pandas and pandera, which the reader needs, take more than half a second to import
    from clustersim.traces.openb import read_openb

    if trace == OPENB.name:
        folder = locate(OPENB.name)
        if folder is None:
            raise TraceError(
                f"trace {OPENB.name!r} is not on this machine; run `clustersim traces fetch {OPENB.name}`, name its "
                f"folder in {VARIABLE}, or use {OPENB_LIKE.name!r}, which needs no files"
            )
        return read_openb(folder, workload, nodes)
    if trace in DAG_TRACES:
        raise TraceError(f"{trace!r} is a trace of jobs, not of pods; use it with the scenario dag-scheduling")
    if trace == AZURE2019.name:
        raise TraceError(
            f"{trace!r} is a trace of calls, not of pods; use it for the services of the scenario cluster-control"
        )
    if trace in VM_TRACES:
        raise TraceError(f"{trace!r} is a trace of VMs, not of pods; use it with the scenario vm-rescheduling")
    if not Path(trace).exists():
        names = [OPENB.name, OPENB_LIKE.name]
        raise TraceError(
            f"{str(trace)!r} is neither a file or folder nor a trace of the catalogue; {suggestion(str(trace), names)}"
        )
    return read_openb(Path(trace), workload, nodes)
