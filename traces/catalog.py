"""The catalogue: which traces there are, where each comes from, under which licence, and what is wrong with it."""

from __future__ import annotations

import difflib

from clustersim.errors import TraceError
from clustersim.traces.catalog_entry import Trace, TraceFile
from clustersim.traces.dag_catalog import DAG_CATALOG
from clustersim.traces.site_catalog import SITE_CATALOG
from clustersim.traces.vm_catalog import VM_CATALOG

_OPENB_COMMIT = "8f3d6417353c5083c6d56617f255fadd8dc306bc"

OPENB = Trace(
    name="openb",
    title="Alibaba cluster-trace-gpu-v2023 (FGD, ATC'23): 1,523 nodes, 6,212 GPUs, 8,152 pods, shared and whole GPUs",
    licence="Apache-2.0",
    redistribution="allowed by that licence of the upstream repository; clustersim ships no copy. The same files in "
    "alibaba/clusterdata are offered for research or study purposes",
    schema=(
        "openb_node_list_{gpu,all}_node.csv: sn, cpu_milli, memory_mib, gpu (devices), model",
        "openb_pod_list_WORKLOAD.csv: name, cpu_milli, memory_mib, num_gpu, gpu_milli (per device), "
        "gpu_spec (accepted models, 'A|B'), qos, pod_phase, creation_time, deletion_time, scheduled_time (seconds)",
        "openb_pod_list_multigpu*.csv: name, cpu_milli, memory_mib, num_gpu, gpu_milli only",
    ),
    defects=(
        "897 of 8,152 pods (default) were never scheduled: they have no scheduled_time",
        "the multigpu lists have neither times nor qos",
        "some gpu_spec values name a model twice",
        "one pod asks for 0 MiB of memory",
        "the derived lists (cpu*, gpushare*, ...) are not sorted by creation_time",
        "99 % of the pods arrive in the last 34 of 149 days, and even then they keep only about 36 GPUs busy: "
        "replayed at its own pace the cluster is nearly empty",
    ),
    upstream=f"https://github.com/hkust-adsl/kubernetes-scheduler-simulator at commit {_OPENB_COMMIT}",
    base_url=f"https://raw.githubusercontent.com/hkust-adsl/kubernetes-scheduler-simulator/{_OPENB_COMMIT}/data/csv/",
    folder="gpu_openb_v2023",
    files=(
        TraceFile("openb_node_list_all_node.csv", "5a85c2af79c66a1efff8bbcbda430400aae56d8431370d738480967e1a9c6b15"),
        TraceFile("openb_node_list_gpu_node.csv", "2beca64b4d3dfa342036a34b56a495c6cef9225db836c81f541282cb1df320b5"),
        TraceFile("openb_pod_list_cpu250.csv", "134c21ff96d57533df8a37b67632972884fec9396e77cd0898ddc370cc8e607d"),
        TraceFile("openb_pod_list_default.csv", "1ee7ed79c27a3b0861cda8ddba86a004c6aba904caafa329a76ae93ca63834a8"),
        TraceFile("openb_pod_list_gpushare100.csv", "12dbc07d6a49bf8641e2275a2ff5bf7be74b5df7d148d531e135b140b95f9a3d"),
        TraceFile("openb_pod_list_gpuspec33.csv", "eca4f746db1e5b25864ad021b55ece3943e101a3ebd4574d09dcb95c46117652"),
        TraceFile("openb_pod_list_multigpu50.csv", "206f2f5959db30ecb7c44e7f13197c8ec50b7a35558ad3777cc3662ef0fe5373"),
    ),
)

OPENB_LIKE = Trace(
    name="openb-like",
    title="generated stand-in for openb: same node and pod mix, lifetimes and daily rhythm; needs no files",
    licence="Apache-2.0 (part of clustersim)",
    redistribution="allowed; it holds summary figures of openb and none of its rows",
    schema=("generated in memory from a seed: see clustersim.traces.openb_like",),
    defects=(
        "pods do not depend on each other or on the state of the cluster: no bursts of one user, no retries",
        "lifetimes depend on the class of the pod only, not on its qos",
        "about 70 request shapes with rounded CPU and memory instead of the 151 of openb",
    ),
)

_INVITRO_COMMIT = "163911a85008446394bb3d7f2ae4695763ad6c05"

AZURE2019 = Trace(
    name="azure2019",
    title="Azure Functions 2019 (ATC'20), sampled by vHive invitro: calls per minute of 100 and of 500 functions, 8 h",
    licence="MIT (invitro); the data are Azure's, CC BY 4.0",
    redistribution="allowed with attribution: Shahrad et al., Serverless in the Wild, USENIX ATC 2020",
    schema=(
        "{100,500}/invocations.csv: HashOwner, HashApp, HashFunction, Trigger, 480 .. 959 (calls in each minute of a "
        "day)",
        "{100,500}/durations.csv: HashOwner, HashApp, HashFunction, Average (ms, cold starts excluded), Count, "
        "Minimum, Maximum, percentile_Average_*",
        "{100,500}/memory.csv: HashFunction, HashOwner, HashApp, SampleCount, AverageAllocatedMb, _pct*",
    ),
    defects=(
        "8 hours of one day: no daily rhythm can be seen",
        "one function makes 80 % of the calls in the sample of 100, and one 63 % in that of 500",
        "nearly half of the functions are timers",
        "upstream has replaced these files by pointers since; the commit named here still has them",
    ),
    upstream=f"https://github.com/vhive-serverless/invitro at commit {_INVITRO_COMMIT}",
    base_url=f"https://raw.githubusercontent.com/vhive-serverless/invitro/{_INVITRO_COMMIT}/data/traces/",
    folder="faas_azure2019_sample",
    files=(
        TraceFile("100/invocations.csv", "002e124025d2f7cc81867cf5e48809bec4c853f1728d7874db46433e5d289305"),
        TraceFile("100/durations.csv", "f25b3424cc6030143c92f595bbeef97707f22cfcaf306792b6b840a2875e2e16"),
        TraceFile("100/memory.csv", "999563b3a707cfd0f3b998e8109016b7bf4225158816ffd21f1e7cf2463ab0df"),
        TraceFile("500/invocations.csv", "a0ca953d1b50cc1f0e813c656e0c3d65b7369757804b571e2767e1ab76b05536"),
        TraceFile("500/durations.csv", "bc2e52d33f1ec0d4032dc7cbdacadb7622413c9264f5478bf8da2c3aacd92b55"),
        TraceFile("500/memory.csv", "ea3ac4b65629cb33e567ac0a517d6ae68747a5dd143ff394b86f78f685b65305"),
    ),
)

CATALOG = (OPENB, OPENB_LIKE, AZURE2019, *DAG_CATALOG, *SITE_CATALOG, *VM_CATALOG)

__all__ = ["AZURE2019", "CATALOG", "OPENB", "OPENB_LIKE", "Trace", "TraceFile", "find", "suggestion"]


def find(name: str) -> Trace:
    """The entry of that name; raises TraceError with the nearest name."""
    for trace in CATALOG:
        if trace.name == name:
            return trace
    names = [trace.name for trace in CATALOG]
    raise TraceError(f"unknown trace {name!r}; {suggestion(name, names)}")


def suggestion(name: str, names: list[str]) -> str:
    """The remedy for a misspelt name: the nearest one if there is one, and all that exist."""
    near = difflib.get_close_matches(name, names, n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"There is {', '.join(names) or 'none'}"
