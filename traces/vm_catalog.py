"""The traces of VMs in the catalogue."""

from __future__ import annotations

from clustersim.traces.catalog_entry import Trace, TraceFile

_VMR2L_COMMIT = "d571032fa16d02552dca44de9b5e427508a21cf6"
_AZURE2017_COMMIT = "fa856db037539396ae5dbc71f5a255f74c888443"

VMR2L = Trace(
    name="vmr2l",
    title="VMR2L (EuroSys'25): where 2,089 VMs stand on 280 machines with two NUMA nodes, in two clusters",
    licence="none stated",
    redistribution="not allowed, as no licence says so, and the authors have removed the files since; use a copy "
    "locally, or generate fleets like it (vm-like). clustersim ships no copy",
    schema=(
        "cluster_list[]: cluster_name, host_info[], vm_instance[], other_requirement.deployment_set[]",
        "host_info[]: node_id, status (ACTIVE or not), rack_id, numa[2] = node, total_cpu, free_cpu (cores), "
        "memory_huge_total_mb, memory_huge_free_mb (MiB)",
        "vm_instance[]: instance_id, instance_type, host_id, allow_migration, numa[1 or 2] = node, cpu, mem_mb",
        "deployment_set[]: granularity (host or rack), data (VMs that have to be on different ones)",
        "vm_type_list[]: vm_type, request_cpu, request_mem_mb, numa",
    ),
    defects=(
        "on 132 of 474 NUMA nodes of cluster 0 and on 21 of 86 of cluster 1 the free memory is not the total less that "
        "of the VMs: the authors' reset of the placement did not compute it again",
        "vm_type_list says of 8xlarge that it is split over both NUMA nodes and of smaller types that they are not; "
        "61 and 106 VMs are placed otherwise. What counts is the entries of the VM",
        "there are no anti-affinity sets, and every VM may be migrated",
        "host and VM names were replaced by numbers",
    ),
    upstream=f"https://github.com/RLVMR/VMR2L-NSDI24 at commit {_VMR2L_COMMIT} (reset_dataset/reset_vm_pm0.json)",
    folder="vm_vmr2l",
    files=(TraceFile("reset_vm_pm0.rekeyed.json", "6a9bf2687b5afd72b7d0d90db3e9830fe9be9f137b1fa74a8c00a4edfbb49d87"),),
)

VM_LIKE = Trace(
    name="vm-like",
    title="generated fleets of VMs on machines with two NUMA nodes, fragmented as those of vmr2l; needs no files",
    licence="Apache-2.0 (part of clustersim)",
    redistribution="allowed; it holds summary figures of vmr2l and none of its rows",
    schema=("generated in memory from a seed: see clustersim.traces.vm_like",),
    defects=(
        "7 shapes instead of 11: no small VM is split over both NUMA nodes",
        "10 % of the cores are free, against 6.6 % and 2.7 % in the two clusters of vmr2l",
        "small fleets have more and smaller VMs on a machine: about 9 at 40 machines, 7.5 at 280",
    ),
)

AZURE2017 = Trace(
    name="azure2017",
    title="Azure 2017 (SOSP'17, SOSP'21): 669,435 VMs that arrive in 9 days, by tenant, with flavours and lifetimes",
    licence="CC BY 4.0 (data of Azure), MIT (code)",
    redistribution="allowed with attribution: Cortez et al., Resource Central, SOSP 2017; Bergsma et al., Generating "
    "Complex, Realistic Cloud Workloads using Recurrent Neural Networks, SOSP 2021",
    schema=(
        "traces/v1.{dev,test}.txt: seconds, then the flavours of the VMs; '|' is between tenants",
        "traces/v1.dev.c2100000.txt, v1.test.c2591400.txt: the same VMs, U or C with the bin of the lifetime; C: the "
        "VM outlived the split",
        "maps/flav_map.txt: cores, memory (GB), flavour; maps/v1.interval_map.txt: lifetime (s), bin",
    ),
    defects=(
        "a split begins with an empty cloud: VMs from before are missing, so the load rises for two days",
        "lifetimes are known to 300 s up to an hour, to an hour up to a day and to a day or more beyond",
        "6 % of the VMs outlive the split: nobody knows for how long",
        "lifetimes of the split train are not published",
        "VMs have at most 16 cores",
    ),
    upstream=f"https://github.com/huaweicloud/trace_generation_rnn at commit {_AZURE2017_COMMIT}",
    base_url=f"https://raw.githubusercontent.com/huaweicloud/trace_generation_rnn/{_AZURE2017_COMMIT}/resources/",
    folder="vm_azure2017_arrivals",
    files=(
        TraceFile("maps/flav_map.txt", "2b7ae5498471022e4bb0d62b148cbde01d5704a5fef482096ad780e17cbb0902"),
        TraceFile("maps/v1.interval_map.txt", "404436c751ac5a345092b8b5c9cb91ca99ae013c675fd932cfb7fc633eb9579d"),
        TraceFile("traces/v1.dev.txt", "78a3e6c258553b458bd8e55d867ef5fa1a2b82cdd5c4c4b1f777210669835af6"),
        TraceFile("traces/v1.dev.c2100000.txt", "46521121c2917b14800abd090354b41045ff5f5d88f8b144456af6e098196b32"),
        TraceFile("traces/v1.test.txt", "2f0fcc2d12b76c54e58d222caa90547dd76033f3a97b032694e403ee81d4f815"),
        TraceFile("traces/v1.test.c2591400.txt", "0f277857eb4240e9137429fd0bec9ed5355061d157492cb8061fb3e189ead963"),
    ),
)

VM_CATALOG = (VMR2L, VM_LIKE, AZURE2017)
VM_TRACES = tuple(trace.name for trace in VM_CATALOG)
