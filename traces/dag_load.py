"""One front function for every trace of jobs: a name of the catalogue or a path in, a source of episodes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from clustersim.errors import ConfigError, TraceError
from clustersim.traces.catalog import find, suggestion
from clustersim.traces.dag_arrivals import ArrivalKind, Arrivals
from clustersim.traces.dag_catalog import DAG_TRACES
from clustersim.traces.dag_ds3_job import read_soc_job
from clustersim.traces.dag_ds3_soc import read_soc
from clustersim.traces.dag_files import by_length, format_of, json_files, soc_beside
from clustersim.traces.dag_montage import Montage
from clustersim.traces.dag_options import DagOptions, accept, changed
from clustersim.traces.dag_pools import AlibabaPool, JobPool, TpchPool, WorkflowPool
from clustersim.traces.dag_random import ForkJoin, Generator, Layered, Size, Topcuoglu
from clustersim.traces.dag_sources import GOLDEN, DagSource, GeneratedSource, GoldenSource, RecordedSource, SocSource
from clustersim.traces.locate import VARIABLE, locate

__all__ = ["DagOptions", "dag_source"]

T = TypeVar("T")

GENERATORS = ("layered", "fork-join", "topcuoglu", "montage")
RECORDED = ("wfinstances", "tpch", "alibaba2018")

DEFAULT_LOAD = 0.6
"""Of Poisson arrivals that nobody has given a pace."""
BYTES_PER_S = 125e6
"""1 Gbit/s."""
LATENCY_S = 0.5e-3


_PACE = ("jobs", "arrivals", "load", "interarrival_s", "ccr")
_CLUSTER = ("machines", "heterogeneity", "tasks")
_LINKS = ("bytes_per_s", "latency_s")


def dag_source(trace: str, options: DagOptions | None = None, **changes: Any) -> DagSource:
    """The source for a name of `DAG_TRACES` or a path; `changes` are fields of DagOptions.

    A path is a WfFormat or TPC-H file or a folder of them, an Alibaba file (.jsonl, batch_task.csv), or a DS3 job. A
    name goes before a path. Raises TraceError for what is missing or damaged, ConfigError for options that cannot be
    met.
    """
    options = changed(options or DagOptions(), changes)
    if trace in GOLDEN:
        accept(trace, options, "machines", *_PACE)
        arrivals = _arrivals(trace, options, jobs=1)
        return _sized(GoldenSource(trace, arrivals, options.ccr), options)
    if trace in GENERATORS:
        return _generated(trace, options)
    if trace == "soc":
        return _soc(trace, options)
    if trace in RECORDED:
        return _recorded(trace, _pool_of_catalogue(trace, options), options)
    return _from_path(trace, options)


def _arrivals(
    trace: str, options: DagOptions, jobs: int, kind: ArrivalKind = "batch", interarrival_s: float | None = None
) -> Arrivals:
    paced = options.load is not None or options.interarrival_s is not None
    kind = options.arrivals or ("poisson" if paced else kind)
    load, gap_s = options.load, options.interarrival_s
    if kind == "poisson" and not paced:
        load, gap_s = (DEFAULT_LOAD, None) if interarrival_s is None else (None, interarrival_s)
    if kind == "trace" and trace != "alibaba2018":
        raise ConfigError(f"{trace} has no recorded times of arrival; use arrivals 'batch' or 'poisson'")
    return Arrivals(kind, jobs if options.jobs is None else options.jobs, gap_s, load)


def _generated(trace: str, options: DagOptions) -> GeneratedSource:
    own = {"topcuoglu": ("shape", "out_degree", "beta"), "fork-join": ("width",)}.get(trace, ())
    scaled = () if trace == "topcuoglu" else ("heterogeneity",)
    accept(trace, options, "machines", "tasks", "bytes_per_s", *scaled, *_PACE, *own)
    size = Size(*(options.tasks or (50, 50)), ccr=_default(options.ccr, 1.0))
    generator: Generator
    match trace:
        case "layered":
            generator = Layered(size)
        case "fork-join":
            generator = ForkJoin(size, _default(options.width, 0))
        case "montage":
            generator = Montage(size)
        case _:
            generator = Topcuoglu(
                size, _default(options.shape, 1.0), _default(options.out_degree, 3), _default(options.beta, 1.0)
            )
    return GeneratedSource(
        trace,
        generator,
        _arrivals(trace, options, jobs=1),
        _default(options.machines, 8),
        # The machines of Topcuoglu's graphs are unrelated: the generator draws a time for each of them.
        1.0 if trace == "topcuoglu" else _default(options.heterogeneity, 4.0),
        _default(options.bytes_per_s, BYTES_PER_S),
    )


def _soc(trace: str, options: DagOptions) -> DagSource:
    accept(trace, options, "machines", "profile", *_PACE)
    folder = _folder_of(trace)
    profile = _default(options.profile, "top")
    jobs, soc = {
        "top": (by_length([*folder.glob("socrates/job_Top*.txt")]), folder / "socrates/DASH.SoC.Top.txt"),
        "wifi": (_ds3_jobs(folder, "WIFI_5TXM", "WIFI_5RXM"), folder / "config_SoC/SoC.MULTIPLE_BAL.txt"),
        "mixed": (
            _ds3_jobs(folder, "WIFI_5TXM", "WIFI_5RXM", "LAG", "SCR", "SCT", "TEMP_MIT"),
            folder / "config_SoC/SoC.MULTIPLE_BAL.txt",
        ),
    }.get(profile, ((), folder))
    if soc == folder:
        raise ConfigError(f"profile is {profile!r}; {trace} has top, wifi and mixed")
    missing = [str(file) for file in (*jobs, soc) if not file.is_file()]
    if missing or not jobs:
        raise TraceError(
            f"profile {profile!r} needs {', '.join(missing) or folder / 'socrates/job_Top*.txt'}; {_remedy(trace)}"
        )
    return _sized(SocSource(trace, soc, jobs, _arrivals(trace, options, 50, "poisson"), options.ccr), options)


def _ds3_jobs(folder: Path, *names: str) -> tuple[Path, ...]:
    return tuple(folder / f"config_Jobs/job_{name}.txt" for name in names)


def _pool_of_catalogue(trace: str, options: DagOptions) -> JobPool:
    folder = _folder_of(trace)
    if trace == "wfinstances":
        return WorkflowPool(json_files(folder))
    if trace == "tpch":
        files = by_length([file for file in json_files(folder) if file.name.startswith("tpch_")])
        return TpchPool(_of_sizes(files, options.sizes))
    names = [f"medium_filtered.jsonl{suffix}" for suffix in ("", ".gz")]
    return AlibabaPool(next((folder / name,) for name in names if (folder / name).is_file()))


def _of_sizes(files: tuple[Path, ...], sizes: tuple[str, ...] | None) -> tuple[Path, ...]:
    if sizes is None:
        return files
    there = {file.name.split(".")[0].removeprefix("tpch_"): file for file in files}
    missing = [size for size in sizes if size not in there]
    if missing or not sizes:
        raise TraceError(
            f"there is no TPC-H file of size {', '.join(missing) or '(none given)'}; there is {', '.join(there)}"
        )
    return tuple(there[size] for size in sizes)


def _recorded(trace: str, pool: JobPool, options: DagOptions) -> RecordedSource:
    """`trace` may be a path as well; the defaults are those of the format."""
    own = ("switch_s", "sizes") if isinstance(pool, TpchPool) else ()
    links = _LINKS if isinstance(pool, WorkflowPool) else ()
    accept(trace, options, *_PACE, *_CLUSTER, *own, *links)
    workflows, tpch = isinstance(pool, WorkflowPool), isinstance(pool, TpchPool)
    kind = "alibaba2018" if isinstance(pool, AlibabaPool) else trace
    least, most = options.tasks or ((10, 500) if trace == "wfinstances" else (1, 2**31))
    return RecordedSource(
        trace,
        pool,
        _arrivals(kind, options, 1 if workflows else 20, interarrival_s=25.0 if tpch else None),
        _default(options.machines, 8 if workflows else 50),
        _default(options.heterogeneity, 1.0 if tpch else 4.0),
        _default(options.bytes_per_s, BYTES_PER_S),
        _default(options.latency_s, LATENCY_S if workflows else 0.0),
        _default(options.switch_s, 2.0 if tpch else 0.0),
        least,
        most,
        options.ccr,
    )


def _from_path(trace: str, options: DagOptions) -> DagSource:
    path = Path(trace)
    if not path.exists():
        raise TraceError(
            f"{trace!r} is neither a file or folder nor a trace of jobs; {suggestion(trace, list(DAG_TRACES))}"
        )
    files = json_files(path) if path.is_dir() else (path,)
    if not files:
        raise TraceError(f"{path}: no .json or .json.gz file is below this folder; name a file, or a folder of them")
    match format_of(files[0]):
        case "wfformat":
            return _recorded(trace, WorkflowPool(files), options)
        case "tpch":
            return _recorded(trace, TpchPool(by_length(files)), options)
        case "alibaba":
            return _recorded(trace, AlibabaPool(files), options)
        case "ds3-soc":
            raise TraceError(f"{path}: this is a SoC; name a job, and this file as its `soc`")
    accept(trace, options, "machines", "soc", *_PACE)
    soc = Path(options.soc) if options.soc else _only_soc(path)
    return _sized(SocSource(trace, soc, (path,), _arrivals(trace, options, 1), options.ccr), options)


def _only_soc(job: Path) -> Path:
    tasks = read_soc_job(job).tasks
    able = [file for file in soc_beside(job) if all(task in read_soc(file).run_time_s for task in tasks)]
    if len(able) != 1:
        there = ", ".join(file.name for file in able) or "none"
        raise TraceError(f"{job}: which SoC runs this job? Of those beside it {there} can; name one as `soc`")
    return able[0]


def _sized(source: SocSource | GoldenSource, options: DagOptions) -> DagSource:
    """Refuses a number of machines that is not the one that the source has."""
    if options.machines is not None:
        there = len(source(0).machines)
        if there != options.machines:
            raise ConfigError(f"machines is {options.machines}, but {source.trace} has {there}; leave machines out")
    return source


def _folder_of(trace: str) -> Path:
    folder = locate(trace)
    if folder is None:
        raise TraceError(f"trace {trace!r} is not on this machine; {_remedy(trace)}")
    return folder


def _remedy(trace: str) -> str:
    get = f"run `clustersim traces fetch {trace}`, " if find(trace).can_be_fetched else ""
    return f"{get}name its folder in {VARIABLE}, or use one of {', '.join(GENERATORS)}, which need no files"


def _default(value: T | None, default: T) -> T:
    return default if value is None else value
