"""The figures of the DAG scheduling benchmark, and which of them rank the policies."""

from __future__ import annotations

from dataclasses import replace

from clustersim.bench.metrics import MetricInfo

MAKESPAN = MetricInfo("makespan", "makespan", "s", "lower")
SLR = MetricInfo("slr", "schedule length ratio", "", "lower")
MEAN_JCT = MetricInfo("jct_s_mean", "mean JCT", "s", "lower")
SLOWDOWN = MetricInfo("slowdown_mean", "mean slowdown", "", "lower")

GAP_METRICS = (
    MetricInfo("gap_to_bound", "gap to the bound", "", "lower", main=True, percent=True),
    MetricInfo("bound_closed", "bound is the optimum", "", "higher", percent=True),
)

_JCT_SHARES = tuple(MetricInfo(f"jct_s_p{share}", f"p{share} JCT", "s", "lower") for share in (50, 95, 99))
_ALWAYS = (
    MetricInfo("utilization", "busy machines", "", "higher", percent=True),
    MetricInfo("energy_j", "energy", "J", "lower"),
    MetricInfo("edp_js", "energy-delay product", "J s", "lower"),
    MetricInfo("transferred_bytes", "data sent", "bytes", "lower"),
)
_SEARCHES = (
    MetricInfo("searches", "searches of a solver", "", "lower"),
    MetricInfo("searches_optimal", "searches that proved their plan optimal", "", "higher"),
    MetricInfo("searches_unknown", "searches that found out nothing", "", "lower"),
)
_LOST = MetricInfo("lost_instances", "tasks lost to failures", "", "lower")


def metrics_of(
    *, arrive: bool, several: bool, each: bool, gap: bool, fail: bool, search: bool
) -> tuple[MetricInfo, ...]:
    """What a table shows; the first metric ranks.

    Jobs that `arrive` over time are judged by their completion times. What is there at time 0 is judged by its
    makespan, and different jobs (`each`), whose makespans have nothing in common, by their schedule length ratios.
    `several`: an episode has more than one job. `fail`: machines do. `search`: a solver plays.
    """
    if arrive:
        ranking: tuple[MetricInfo, ...] = (_main(MEAN_JCT), _main(SLOWDOWN), *_JCT_SHARES, MAKESPAN, SLR)
    elif each:
        ranking = (_main(SLR), MAKESPAN)
    elif several:
        ranking = (_main(MAKESPAN), _main(MEAN_JCT), SLR, SLOWDOWN, *_JCT_SHARES)
    else:
        ranking = (_main(MAKESPAN), _main(SLR))
    return (
        *ranking,
        *(GAP_METRICS if gap else ()),
        *_ALWAYS,
        *((_LOST,) if fail else ()),
        *(_SEARCHES if search else ()),
    )


def _main(info: MetricInfo) -> MetricInfo:
    return replace(info, main=True)
