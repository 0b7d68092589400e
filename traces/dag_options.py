"""What can be set about a trace of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clustersim.errors import ConfigError
from clustersim.traces.catalog import suggestion
from clustersim.traces.dag_arrivals import ArrivalKind


@dataclass(frozen=True)
class DagOptions:
    """None is the default of the trace; an option that the trace does not have is refused."""

    machines: int | None = None
    """Number of machines. Default 8 (wfinstances, generators), 50 (tpch, alibaba2018); a SoC and the golden
    instances have their own, and may only be confirmed."""
    jobs: int | None = None
    """Jobs of an episode. Default 20 (tpch, alibaba2018), 50 (soc), otherwise 1."""
    arrivals: ArrivalKind | None = None
    """batch, poisson, or trace (alibaba2018: consecutive jobs at their recorded times). Default poisson for soc and
    where `load` or `interarrival_s` is given, otherwise batch."""
    load: float | None = None
    """Offered load, see `clustersim.traces.dag_arrivals.Arrivals`. Default 0.6 where arrivals are Poisson."""
    interarrival_s: float | None = None
    """Mean gap between arrivals instead of a load. Default 25 s for tpch (the streaming setting of Decima)."""
    ccr: float | None = None
    """Communication to computation ratio. Default 1 for generators (their data are made to fit), otherwise whatever the
    data and links give; if given, all links are slowed down or sped up alike."""
    heterogeneity: float | None = None
    """Fastest over slowest speed, at most. Default 4, and 1 (identical machines) for tpch."""
    tasks: tuple[int, int] | None = None
    """Least and most tasks of a job. Default 10 to 500 for wfinstances, 50 for generators, otherwise all there are."""
    bytes_per_s: float | None = None
    """Of every link. Default 125 MB/s (1 Gbit/s)."""
    latency_s: float | None = None
    """Of every link. Default 0.5 ms for workflows; 0 where the trace has no data to send."""
    switch_s: float | None = None
    """tpch: what a machine loses before it serves another job; default 2 s, the moving delay of Decima's simulator."""
    sizes: tuple[str, ...] | None = None
    """tpch: input sizes such as 2g; default all that are there."""
    profile: str | None = None
    """soc: top (ten jobs on the SoC of SoCRATES, default), wifi (sender and receiver) or mixed (all six jobs of DS3),
    the last two on the SoC MULTIPLE_BAL."""
    soc: str | None = None
    """The SoC file of a DS3 job that is given by path; default the only one beside it that can run the job."""
    shape: float | None = None
    out_degree: int | None = None
    beta: float | None = None
    """topcuoglu: shape alpha, out-degree, and heterogeneity beta; default 1, 3, 1."""
    width: int | None = None
    """fork-join: parallel tasks; default the square root of the number of tasks."""

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}


def changed(options: DagOptions, changes: dict[str, Any]) -> DagOptions:
    """The options with these fields instead; one number of tasks is the least and the most."""
    unknown = sorted(set(changes) - set(vars(options)))
    if unknown:
        raise ConfigError(f"unknown option {unknown[0]!r}; {suggestion(unknown[0], list(vars(options)))}")
    merged = vars(options) | changes
    if isinstance(merged["tasks"], int):
        merged["tasks"] = (merged["tasks"], merged["tasks"])
    return DagOptions(**merged)


def accept(trace: str, options: DagOptions, *accepted: str) -> None:
    """Raises ConfigError for an option that is given and that the trace does not have."""
    refused = [name for name in options.given() if name not in accepted]
    if refused:
        raise ConfigError(f"{trace} has no option {', '.join(refused)}; it has {', '.join(accepted)}")
