"""The command line: `clustersim bench | train | traces | speed`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, subcommand

from clustersim.agents.config import TrainConfig
from clustersim.agents.control_config import ControlTrainConfig
from clustersim.agents.dag_config import DagTrainConfig
from clustersim.agents.packing_config import PackingTrainConfig
from clustersim.agents.vm_config import VmTrainConfig
from clustersim.cli_options import FIRST_SEED, names, require_counts
from clustersim.cli_vm import BenchVmDelay, BenchVmFleet, BenchVmRescheduling
from clustersim.errors import ClustersimError, ConfigError


@dataclass(frozen=True)
class BenchPodPlacement:
    """Compare placement policies on one trace: a table, runs.parquet, summary.json and report.html."""

    trace: str = "openb-like"
    """A name of the catalogue (`clustersim traces list`), or a file or folder in the upstream layout."""
    workload: str = "default"
    """Which pod list of the trace."""
    mode: Literal["inflation", "replay"] = "inflation"
    """inflation: pods arrive until the GPU demand is 130 % of the capacity. replay: the times of the trace."""
    nodes: int | None = None
    """Play on a sample of this many nodes, drawn by the seed; by default on all."""
    policies: str | None = None
    """Comma-separated names of built-in policies and teams, and folders of trained agents; by default all built-in
    policies."""
    seeds: int = 10
    """Number of seeds, from the first seed on."""
    first_seed: int = FIRST_SEED
    jobs: int = 1
    """Processes; the numbers are the same for any number of them."""
    reference: str | None = None
    """The policy that the others are compared with; by default best-fit, or the first when that is not among them."""
    out: Path | None = None
    """Folder for the results; the same command resumes there. By default results/SCENARIO-TRACE-WORKLOAD-MODE."""
    queue: Literal["backfill", "head"] = "backfill"
    """replay: offer every pending pod that fits, or only the first."""
    arrival_speedup: float = 1.0
    """replay: divide arrival times by this; durations stay."""
    image_mib: int = 0
    """Size of a pod's image when the trace names none."""
    image_bandwidth_mib_s: float = float("inf")
    """Speed of an image pull; infinite: pulls take no time."""
    image_cache_mib: float = float("inf")
    """Budget of a node's image cache."""
    preemption: bool = False
    """replay: a pod that fits nowhere may take the place of less important ones, which go back to the queue."""
    checkpoint_share: float = 0.0
    """replay: share of its done work that a moved or evicted pod keeps, 0 to 1."""
    gap: bool = False
    """inflation: show the allocation also as a share of a proven bound, and of the best plan known."""

    def run(self, command_line: str) -> None:
        from clustersim.baselines.registry import POLICIES
        from clustersim.bench import run_benchmark
        from clustersim.bench.pod_placement import SCENARIO, SHIPPED_AGENT, PodPlacementBench

        require_counts(self.seeds, self.first_seed, self.jobs)
        bench = PodPlacementBench(
            trace=self.trace,
            workload=self.workload,
            mode=self.mode,
            nodes=self.nodes,
            queue=self.queue,
            arrival_speedup=self.arrival_speedup,
            image_mib=self.image_mib,
            image_bandwidth_mib_s=self.image_bandwidth_mib_s,
            image_cache_mib=self.image_cache_mib,
            preemption=self.preemption,
            checkpoint_share=self.checkpoint_share,
            gap=self.gap,
        )
        policies = (*POLICIES[SCENARIO], SHIPPED_AGENT) if self.policies is None else names(self.policies)
        experiment = bench.experiment(policies, tuple(range(self.first_seed, self.first_seed + self.seeds)))
        reference = self.reference or ("best-fit" if "best-fit" in policies else policies[0])
        out = self.out or Path("results") / "-".join(
            (SCENARIO, Path(self.trace).name, self.workload, self.mode, *([str(self.nodes)] if self.nodes else []))
        )
        run_benchmark(experiment, out, self.jobs, reference, bench.metrics(policies), command_line, Console())


@dataclass(frozen=True)
class BenchPodPacking:
    """Repair what the default scheduler leaves pending, by CP-SAT within a window and by other policies.

    The table of "Priority Matters" (arXiv 2511.08373), or the same question asked of a trace. Lists are separated by
    commas; every combination is a cell.
    """

    trace: str = "replica-sets"
    """replica-sets: the paper's random instances. Otherwise a trace (openb), of which one node pool is packed."""
    nodes: str | None = None
    """By default 4,8,16,32; of a trace 64,256."""
    pods_per_node: str | None = None
    """replica-sets: by default 4,8."""
    priorities: str | None = None
    """replica-sets: numbers of priorities, by default 1,2,4."""
    usage: str = "0.9,0.95,1.0,1.05"
    """What all pods ask for, as a share of all nodes."""
    window: str = "1,10"
    """How long the solver may think about a call, in seconds."""
    seeds: int = 20
    """Number of seeds in every cell, from the first seed on."""
    first_seed: int = FIRST_SEED
    jobs: int = 1
    """Processes; with the deterministic clock the numbers are the same for any number of them."""
    policies: str = ""
    """Who is compared with the solver: default, kube-preemption, ppo-packing, the folder of a trained agent."""
    clock: Literal["deterministic", "wall"] = "deterministic"
    """deterministic: the solver counts its own operations, for the same answer on any machine. wall: real seconds."""
    workers: int = 1
    """wall: threads of the solver."""
    gap_s: float = 0.0
    """replica-sets: time from one ReplicaSet's creation to the next; 0: all pods are in the queue at once."""
    out: Path | None = None
    """Folder for the results; the same command resumes there. By default results/pod-packing-TRACE."""

    def run(self, command_line: str) -> None:
        from clustersim.bench.packing_benchmark import run_packing
        from clustersim.bench.packing_grid import grid_of, number_list
        from clustersim.bench.pod_packing import SCENARIO, PodPackingBench

        require_counts(self.seeds, self.first_seed, self.jobs)
        grid = grid_of(self.trace, self.nodes, self.pods_per_node, self.priorities, self.usage, self.first_seed)
        windows_s = number_list("--window", self.window, float)
        bench = PodPackingBench(grid, windows_s, self.trace, self.clock, self.workers, self.gap_s)
        out = self.out or Path("results") / f"{SCENARIO}-{Path(self.trace).name}"
        run_packing(bench, names(self.policies), self.seeds, out, self.jobs, command_line, Console())


@dataclass(frozen=True)
class BenchDagScheduling:
    """Compare schedulers of dependent tasks on one trace: a table, runs.parquet, summary.json and report.html.

    With --sweep the same for several values of one option. Options of a trace that are not given have the trace's own
    defaults; one that a trace does not have is refused.
    """

    trace: str = "layered"
    """wfinstances, tpch, alibaba2018, soc; generated, without any file: layered, fork-join, topcuoglu, montage; known
    to the second: topcuoglu-2002, insertion-5, arabnejad-2014; or a file or folder in one of the upstream layouts."""
    policies: str | None = None
    """Comma-separated names of built-in policies and folders of trained agents; by default all built-in ones but the
    solver."""
    seeds: int = 10
    """Number of seeds, from the first seed on."""
    first_seed: int = FIRST_SEED
    each: bool = False
    """Play every job of the trace alone, each with all seeds, instead of what the seeds draw; values are averaged over
    the seeds of a job, and intervals are over jobs."""
    machines: int | None = None
    """Number of machines."""
    job_count: int | None = None
    """Jobs of an episode."""
    arrivals: Literal["batch", "poisson", "trace"] | None = None
    """batch: all jobs at time 0. poisson: at random. trace: at their recorded times."""
    load: float | None = None
    """Offered load of jobs that arrive, such as 0.8."""
    interarrival_s: float | None = None
    """Mean time between two arrivals, instead of a load."""
    ccr: float | None = None
    """Communication to computation ratio."""
    heterogeneity: float | None = None
    """Speed of the fastest machine over that of the slowest, at most."""
    tasks: str | None = None
    """Tasks of a job: 50, or 10-500."""
    bytes_per_s: float | None = None
    """Bandwidth of every link."""
    latency_s: float | None = None
    """Latency of every link."""
    switch_s: float | None = None
    """tpch: what a machine loses before it serves another job."""
    sizes: str | None = None
    """tpch: input sizes, comma-separated, such as 2g,10g."""
    profile: Literal["top", "wifi", "mixed"] | None = None
    """soc: which jobs and which system on a chip."""
    soc: str | None = None
    """The SoC file of a DS3 job that is given by its path."""
    shape: float | None = None
    """topcuoglu: height and width of the graphs."""
    out_degree: int | None = None
    """topcuoglu: successors of a task."""
    beta: float | None = None
    """topcuoglu: how much run times differ between machines, 0 to 2."""
    width: int | None = None
    """fork-join: parallel tasks."""
    noise: float = 0.0
    """Standard deviation of a run time as a share of it, such as 0.3."""
    max_jobs: int | None = None
    """Jobs admitted at once; further ones wait outside."""
    slowdown_every_s: float = float("inf")
    """Mean time until a machine is slowed down; infinite: never."""
    slowdown_s: float = 60.0
    """Mean duration of a slow-down."""
    slowdown_rate: float = 0.5
    """Speed during a slow-down, as a share."""
    failure_every_s: float = float("inf")
    """Mean time until a machine fails; infinite: never."""
    repair_s: float = 60.0
    """Mean time to repair."""
    clock: float = 1.0
    """Machines with several operating points run at the lowest of at least this share of their highest clock."""
    gap: bool = False
    """Show makespans also as distance to a proven bound: CP-SAT's within its budget, or that of paths and areas."""
    budget: float | None = None
    """How long CP-SAT may search for one plan or bound: seconds, counted in its own operations. By default 10, and 0.5
    where it plans again and again (cp-sat-rolling)."""
    sweep: Literal["noise", "load", "ccr", "machines"] | None = None
    """Play several values of this option, each in a folder of its own below --out."""
    sweep_values: str | None = None
    """Comma-separated. By default noise 0 to 0.5, load 0.2 to 0.9, ccr 0.1 to 10, machines 2 to 32."""
    reference: str | None = None
    """The policy that the others are compared with; by default heft, or the first when that is not among them."""
    jobs: int = 1
    """Processes; the numbers are the same for any number of them."""
    out: Path | None = None
    """Folder for the results; the same command resumes there. By default results/dag-scheduling-TRACE."""

    def run(self, command_line: str) -> None:
        from clustersim.bench.dag_benchmark import run_dag
        from clustersim.bench.dag_scheduling import WORLD, DagBench
        from clustersim.bench.dag_sweep import sweep_of
        from clustersim.bench.dag_sweep_benchmark import run_sweep
        from clustersim.bench.dag_teams import SCENARIO, default_policies
        from clustersim.traces.dag_load import DagOptions

        require_counts(self.seeds, self.first_seed, self.jobs)
        if self.job_count is not None and self.job_count < 1:
            raise ConfigError(f"--job-count is {self.job_count}; it has to be at least 1")
        special = {
            "jobs": self.job_count,
            "tasks": _range("--tasks", self.tasks),
            "sizes": self.sizes and names(self.sizes),
        }
        options = {name: special.get(name, getattr(self, name)) for name in vars(DagOptions())}
        bench = DagBench(
            self.trace,
            DagOptions(**options),
            self.first_seed,
            self.each,
            clock=self.clock,
            gap=self.gap,
            budget_s=self.budget,
            **{name: getattr(self, name) for name in WORLD},
        )
        policies = default_policies() if self.policies is None else names(self.policies)
        reference = self.reference or ("heft" if "heft" in policies else next(iter(policies), ""))
        kind = (["each"] if self.each else []) + ([self.sweep] if self.sweep else [])
        out = self.out or Path("results") / "-".join((SCENARIO, Path(self.trace).name, *kind))
        if self.sweep is not None:
            sweep = sweep_of(bench, self.sweep, self.sweep_values)
            run_sweep(sweep, policies, self.seeds, out, self.jobs, reference, command_line, Console())
        elif self.sweep_values is not None:
            raise ConfigError(f"--sweep-values is {self.sweep_values!r}, which has no effect without --sweep")
        else:
            run_dag(bench, policies, self.seeds, out, self.jobs, reference, command_line, Console())


@dataclass(frozen=True)
class BenchClusterControl:
    """Compare teams on one shared cluster: who places pods, scales services, caps power and migrates.

    A team is a joint policy, a trained team, or a mixture, such as "placer=fgd,scaler=kpa,capper=polca,migrator=none",
    a folder, or "placer=fgd,scaler=FOLDER,capper=polca,migrator=none". With --grid all combinations of some policies.
    """

    preset: str = "small"
    """small: 16 nodes, 2 h. medium: 100 nodes, 1 day. large: 1,213 nodes, 1 day."""
    policies: tuple[str, ...] = ()
    """Teams, separated by blanks; by default some that cover all policies, with --grid none besides the grid."""
    seeds: int = 10
    """Number of seeds, from the first seed on."""
    first_seed: int = FIRST_SEED
    trace_pods: str | None = None
    """Where the batch pods come from: openb, or a file or folder in its layout. By default generated."""
    trace_services: str | None = None
    """Calls per minute that the services get: azure2019, or a folder in its layout. By default generated."""
    duration_s: float | None = None
    """Another length of the episodes."""
    tick_s: float = 10.0
    """Time between two decisions of scalers, cappers and migrators."""
    oversubscription: float | None = None
    """Nameplate power of a row above its budget, as a share of the budget; by default 0.25."""
    interference: Literal["off", "hinge", "pairs"] = "hinge"
    """How tenants of a node slow each other."""
    failure_multiplier: float | None = None
    """Of the rate at which nodes of RSC-1 fail; 0: never. By default 100, 20 and 5, from small to large."""
    carbon_zone: str | None = None
    """Zone of the trace carbon, such as DE-LU, whose grid feeds the cluster; by default 475 g/kWh at any time."""
    grid: bool = False
    """Play all combinations of the policies below, besides --policies."""
    placers: str | None = None
    """grid: comma-separated; by default fgd,best-fit,kube-default,first-fit."""
    scalers: str | None = None
    """grid: by default fixed,fixed-peak,hpa,kpa,histogram."""
    cappers: str | None = None
    """grid: by default no-cap,1-threshold-low-priority,1-threshold-all,polca."""
    migrators: str | None = None
    """grid: by default none,consolidate,ha."""
    reference: str | None = None
    """The team that the others are compared with; by default the first, with --grid the best combination."""
    jobs: int = 1
    """Processes; the numbers are the same for any number of them."""
    out: Path | None = None
    """Folder for the results; the same command resumes there. By default results/cluster-control-PRESET."""

    def run(self, command_line: str) -> None:
        from clustersim.bench.control_bench import LOAD, WORLD, ControlBench
        from clustersim.bench.control_benchmark import run_control
        from clustersim.bench.control_grid import grid_of
        from clustersim.bench.control_grid_benchmark import run_grid
        from clustersim.bench.control_teams import DEFAULT_TEAMS, SCENARIO

        require_counts(self.seeds, self.first_seed, self.jobs)
        options = {name: getattr(self, name) for name in (*LOAD, *WORLD)}
        bench = ControlBench(self.preset, first_seed=self.first_seed, **options)
        out = self.out or Path("results") / "-".join((SCENARIO, self.preset, *(["grid"] if self.grid else [])))
        lists = {name: getattr(self, f"{name}s") for name in ("placer", "scaler", "capper", "migrator")}
        common = (self.seeds, out, self.jobs)
        if self.grid:
            grid = grid_of({role: None if text is None else names(text) for role, text in lists.items()})
            run_grid(bench, grid, self.policies, *common, self.reference, command_line, Console())
            return
        for role, text in lists.items():
            if text is not None:
                raise ConfigError(f"--{role}s is {text!r}, which has no effect without --grid")
        policies = self.policies or DEFAULT_TEAMS
        run_control(bench, policies, *common, self.reference or policies[0], command_line, Console())


@dataclass(frozen=True)
class Bench:
    """Compare policies on a benchmark: a table, runs.parquet, summary.json and report.html."""

    benchmark: (
        Annotated[BenchPodPlacement, subcommand("pod-placement")]
        | Annotated[BenchPodPacking, subcommand("pod-packing")]
        | Annotated[BenchDagScheduling, subcommand("dag-scheduling")]
        | Annotated[BenchClusterControl, subcommand("cluster-control")]
        | Annotated[BenchVmRescheduling, subcommand("vm-rescheduling")]
        | Annotated[BenchVmDelay, subcommand("vm-delay")]
        | Annotated[BenchVmFleet, subcommand("vm-fleet")]
    )

    def run(self, command_line: str) -> None:
        self.benchmark.run(command_line)


@dataclass(frozen=True)
class TrainPodPlacement:
    """Train an agent with MaskablePPO and compare it with the baselines on held-out seeds."""

    out: Path
    """Folder for checkpoints, TensorBoard logs, the agent and its evaluation."""
    trace: str = "openb-like"
    workload: str = "default"
    config: TrainConfig = field(default_factory=TrainConfig)
    resume: bool = False
    """Go on with the training in --out, after an interruption or for more --steps."""
    evaluate: str = "best-fit,fgd"
    """Baselines of the evaluation at the end, comma-separated."""
    evaluation_seeds: int = 10

    def run(self, command_line: str) -> None:
        _require_agents_extra()
        import torch
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from clustersim.agents.train import train
        from clustersim.bench.pod_placement import make_policy
        from clustersim.traces import load

        if self.evaluation_seeds < 1:
            raise ConfigError(f"--evaluation-seeds is {self.evaluation_seeds}; it has to be at least 1")
        for name in filter(None, map(str.strip, self.evaluate.split(","))):  # before hours of training, not after
            make_policy(name)
        # The matrices are small: a second thread costs more in hand-overs than it computes.
        torch.set_num_threads(1)
        done = TextColumn("{task.completed:,.0f}/{task.total:,.0f} decisions")
        columns = (BarColumn(bar_width=20), done, TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=self.config.steps, note="")
            with _checkpoint_kept(self.out):
                train(
                    load(self.trace, self.workload),
                    self.config,
                    self.out,
                    resume=self.resume,
                    description={"command": command_line, "trace": self.trace, "workload": self.workload},
                    progress=lambda done, note: bar.update(task, completed=min(done, self.config.steps), note=note),
                )
        BenchPodPlacement(
            trace=self.trace,
            workload=self.workload,
            nodes=self.config.nodes,
            policies=f"{self.evaluate},{self.out}",
            seeds=self.evaluation_seeds,
            out=self.out / f"evaluation-{self.config.steps}",
        ).run(command_line)


@dataclass(frozen=True)
class TrainPodPacking:
    """Train an agent that repairs placements: it imitates the plans of CP-SAT, then improves by PPO."""

    out: Path
    """Folder for the agent, the best on validation seeds so far at any time, and its log."""
    config: PackingTrainConfig = field(default_factory=PackingTrainConfig)
    evaluation_seeds: int = 3
    """Seeds per cell of the comparison with the solver at the end; 0: none."""

    def run(self, command_line: str) -> None:
        _require_agents_extra()
        from clustersim.agents.packing_train import train

        if self.evaluation_seeds < 0:
            raise ConfigError(f"--evaluation-seeds is {self.evaluation_seeds}; it has to be at least 0")
        try:
            train(self.config, self.out, command_line, progress=_tell)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted, the best agent so far is kept in {self.out}") from None
        if self.evaluation_seeds:
            BenchPodPacking(
                window="1", seeds=self.evaluation_seeds, policies=str(self.out), out=self.out / "evaluation"
            ).run(command_line)


@dataclass(frozen=True)
class TrainDagScheduling:
    """Train a scheduler of dependent tasks: it imitates a heuristic, then improves by PPO."""

    out: Path
    """Folder for the agent, the best on validation seeds so far at any time, and its log."""
    config: DagTrainConfig = field(default_factory=DagTrainConfig)
    evaluation_seeds: int = 10
    """Seeds of the comparison with heuristics at the end; 0: none."""

    def run(self, command_line: str) -> None:
        _require_agents_extra()
        from clustersim.agents.dag_train import train

        if self.evaluation_seeds < 0:
            raise ConfigError(f"--evaluation-seeds is {self.evaluation_seeds}; it has to be at least 0")
        try:
            train(self.config, self.out, command_line, progress=_tell)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted, the best agent so far is kept in {self.out}") from None
        if self.evaluation_seeds:
            soc = self.config.setting == "soc"
            heuristics = "heft-rt-firm,heft-rt,min-min,met" if soc else "fair,weighted-fair,sjf,fifo"
            BenchDagScheduling(
                trace=self.config.setting,
                load=0.95 if soc else None,
                noise=0.3 if soc else 0.0,
                policies=f"{heuristics},{self.out}",
                reference=heuristics.split(",")[0],
                seeds=self.evaluation_seeds,
                out=self.out / "evaluation",
            ).run(command_line)


@dataclass(frozen=True)
class TrainClusterControl:
    """Train a team for the shared cluster, by IPPO or MAPPO, and compare it with published policies."""

    out: Path
    """Folder for checkpoints, TensorBoard logs, the team and its evaluation."""
    config: ControlTrainConfig = field(default_factory=ControlTrainConfig)
    resume: bool = False
    """Go on with the training in --out, after an interruption or for more --updates."""
    evaluation_seeds: int = 10
    """Seeds of the comparison with the tutors and others at the end; 0: none."""
    evaluate: tuple[str, ...] = ()
    """Further teams of that comparison, separated by blanks."""

    def run(self, command_line: str) -> None:
        _require_agents_extra()
        from clustersim.agents.control_train import train_control
        from clustersim.baselines.joint import joint_name, parse_joint
        from clustersim.bench.control_teams import REFERENCE, canonical, make_team

        if self.evaluation_seeds < 0:
            raise ConfigError(f"--evaluation-seeds is {self.evaluation_seeds}; it has to be at least 0")
        for team in (self.config.tutors, *self.evaluate):  # before an hour of training, not after
            make_team(team)
        with _checkpoint_kept(self.out):
            train_control(self.config, self.out, command_line, resume=self.resume, progress=_tell)
        if self.evaluation_seeds:
            config, tutors, team = self.config, parse_joint(self.config.tutors), str(self.out)
            if config.marl.roles:
                team = joint_name({role: team if role in config.marl.roles else tutors[role] for role in tutors})
            traces = (config.trace_pods, config.trace_services)
            pods, services = (None if trace is None else str(trace) for trace in traces)
            BenchClusterControl(
                preset=config.preset,
                policies=tuple(dict.fromkeys(map(canonical, (joint_name(tutors), REFERENCE, *self.evaluate, team)))),
                seeds=self.evaluation_seeds,
                trace_pods=pods,
                trace_services=services,
                duration_s=config.duration_s,
                out=self.out / "evaluation",
            ).run(command_line)


@dataclass(frozen=True)
class TrainVmRescheduling:
    """Train an agent that defragments fleets of VMs: it imitates exact plans, then improves by PPO."""

    out: Path
    """Folder for checkpoints, the log, the agent (the best on validation fleets so far at any time), its evaluation."""
    config: VmTrainConfig = field(default_factory=VmTrainConfig)
    resume: bool = False
    """Go on with the training in --out, after an interruption."""
    evaluation_seeds: int = 3
    """Seeds of the comparison with other policies at the end; 0: none."""
    evaluation_machines: int = 280
    evaluation_mnl: str = "50"

    def run(self, command_line: str) -> None:
        _require_agents_extra()
        from clustersim.agents.vm_train import train

        if self.evaluation_seeds < 0:
            raise ConfigError(f"--evaluation-seeds is {self.evaluation_seeds}; it has to be at least 0")
        with _checkpoint_kept(self.out):
            train(self.config, self.out, command_line, resume=self.resume, progress=_tell)
        if self.evaluation_seeds:
            BenchVmRescheduling(
                machines=self.evaluation_machines,
                mnl=self.evaluation_mnl,
                policies=f"ha,lns,exact,{self.out}",
                seeds=self.evaluation_seeds,
                out=self.out / "evaluation",
            ).run(command_line)


@dataclass(frozen=True)
class Train:
    """Train an agent and compare it with the baselines on held-out seeds."""

    scenario: (
        Annotated[TrainPodPlacement, subcommand("pod-placement")]
        | Annotated[TrainPodPacking, subcommand("pod-packing")]
        | Annotated[TrainDagScheduling, subcommand("dag-scheduling")]
        | Annotated[TrainClusterControl, subcommand("cluster-control")]
        | Annotated[TrainVmRescheduling, subcommand("vm-rescheduling")]
    )

    def run(self, command_line: str) -> None:
        self.scenario.run(command_line)


@dataclass(frozen=True)
class TracesList:
    """The catalogue, and where each trace is on this machine."""

    def run(self, command_line: str) -> None:
        from clustersim.traces import list_traces

        for entry in list_traces():
            _print(f"{entry.name}\n  {entry.title}\n  licence: {entry.licence}\n  where: {entry.where}")


@dataclass(frozen=True)
class TracesInfo:
    """Source, licence, schema and known defects of a trace."""

    name: Positional[str]

    def run(self, command_line: str) -> None:
        from clustersim.traces import describe

        _print(describe(self.name))


@dataclass(frozen=True)
class TracesFetch:
    """Download a trace and verify its checksums."""

    name: Positional[str]

    def run(self, command_line: str) -> None:
        from clustersim.traces import fetch

        for path in fetch(self.name):
            _print(str(path))


@dataclass(frozen=True)
class TracesCheck:
    """Validate a trace file or folder: the first broken rule, or what is in it."""

    path: Positional[Path]

    def run(self, command_line: str) -> None:
        from clustersim.traces import check

        _print(check(self.path))


@dataclass(frozen=True)
class Traces:
    """List, describe, fetch and check traces."""

    action: (
        Annotated[TracesList, subcommand("list")]
        | Annotated[TracesInfo, subcommand("info")]
        | Annotated[TracesFetch, subcommand("fetch")]
        | Annotated[TracesCheck, subcommand("check")]
    )

    def run(self, command_line: str) -> None:
        self.action.run(command_line)


@dataclass(frozen=True)
class Speed:
    """Measure decisions/s and environment steps/s on this machine, as a ratio to bare SimPy timeouts/s."""

    trace: str = "openb-like"
    dag_trace: str = "layered"
    """What DAG scheduling is measured on: layered, or such as tpch, where its files are."""
    control_preset: Literal["small", "medium", "large"] = "medium"
    """The cluster that cluster control is measured on, for an hour of simulated time."""
    control_day: bool = False
    """Also play a whole episode of that preset, which may take minutes."""
    seconds: float = 2.0
    """How long to measure each figure."""

    def run(self, command_line: str) -> None:
        from rich import box
        from rich.table import Table

        from clustersim.bench.speed import (
            full_control_run,
            full_fgd_run,
            measure,
            measure_control,
            measure_dags,
            measure_rescheduling,
        )
        from clustersim.traces import load
        from clustersim.traces.control_scenario import control_scenario
        from clustersim.traces.dag_load import dag_source
        from clustersim.traces.vm_like import VmLike

        workload = load(self.trace)
        full = full_fgd_run(workload)  # first, so that the peak of memory is its own
        table = Table("what", box=box.SIMPLE_HEAD)
        for heading in ("nodes or machines", "per second", "ratio to bare SimPy timeouts/s"):
            table.add_column(heading, justify="right")
        hour = control_scenario(self.control_preset, duration_s=3600.0)
        for figure in (
            *measure(workload, self.seconds),
            *measure_dags(dag_source(self.dag_trace), self.seconds),
            *measure_control(hour, self.seconds),
            *measure_rescheduling(VmLike()(0), seconds=self.seconds),
        ):
            table.add_row(figure.what, f"{figure.nodes:,}", f"{figure.per_s:,.0f}", f"{figure.ratio:.4f}")
        console = Console()
        console.print(f"speed on {workload.name}", table)
        warm = full_fgd_run(workload)
        console.print(
            f"one fgd inflation run on {full.nodes:,} nodes, {full.decisions:,} decisions: {warm.run_s:.2f} s "
            f"({full.build_s + full.run_s:.2f} s with building and the first compilation), "
            f"peak memory {full.peak_memory_mib:.0f} MiB",
            soft_wrap=True,
        )
        if self.control_day:
            day = full_control_run(control_scenario(self.control_preset))
            console.print(
                f"one episode of cluster control {self.control_preset} on {day.nodes:,} nodes, {day.decisions:,} "
                f"decisions: {day.run_s:.1f} s, peak memory of this process {day.peak_memory_mib:.0f} MiB",
                soft_wrap=True,
            )


Command = (
    Annotated[Bench, subcommand("bench")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Traces, subcommand("traces")]
    | Annotated[Speed, subcommand("speed")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status is 0, 2 for a caller's mistake or bad input, 130 when interrupted.

    141 means, as for any command, that the reader of a pipe went away.
    """
    try:
        command: Bench | Train | Traces | Speed = tyro.cli(
            Command, prog="clustersim", args=arguments, config=(OmitArgPrefixes, OmitSubcommandPrefixes)
        )
        command.run(shlex.join(["clustersim", *(sys.argv[1:] if arguments is None else arguments)]))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has enough, as in `| head`. The interpreter flushes once more at its end: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ClustersimError as error:
        print(f"clustersim: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"clustersim: {interrupt or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _checkpoint_kept(out: Path) -> Iterator[None]:
    """Say how to go on with a training that is interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted, checkpoint kept in {out}; --resume goes on") from None


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _require_agents_extra() -> None:
    try:
        import sb3_contrib  # noqa: F401  (only to see whether the extra is installed)
    except ModuleNotFoundError:
        raise ConfigError("training needs the extra: pip install 'clustersim[agents]'") from None


def _range(name: str, text: str | None) -> tuple[int, int] | None:
    """One whole number, or two with a dash between."""
    if text is None:
        return None
    least, _, most = text.partition("-")
    try:
        return int(least), int(most or least)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}; give a whole number such as 50, or two such as 10-500") from None


def _print(text: str) -> None:
    """Plain text to stdout, without the wrapping and colouring that a console does."""
    sys.stdout.write(text + "\n")
