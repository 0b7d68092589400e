"""The figures of the cluster control benchmark: the team cost, what it is made of, and what is behind it."""

from __future__ import annotations

from dataclasses import replace

from clustersim.bench.metrics import MetricInfo

COST = MetricInfo("team_cost", "team cost", "", "lower", main=True)

COMPONENTS = tuple(
    MetricInfo(f"{name}_cost", f"{label} cost", "", "lower", main=True)
    for name, label in (
        ("slo_miss", "SLO miss"),
        ("queueing", "queueing"),
        ("energy", "energy"),
        ("brake", "brake"),
        ("cold_start", "cold start"),
        ("migration", "migration"),
    )
)
"""They add up to the team cost."""

BEHIND = (
    MetricInfo("slo_miss_share", "requests that miss the SLO", "", "lower", percent=True),
    MetricInfo("latency_s_p50", "p50 latency", "s", "lower"),
    MetricInfo("latency_s_p99", "p99 latency", "s", "lower"),
    MetricInfo("queueing_delay_s_mean", "mean queueing delay", "s", "lower"),
    MetricInfo("jct_s_mean", "mean JCT", "s", "lower"),
    MetricInfo("slowdown_mean", "mean slowdown", "", "lower"),
    MetricInfo("energy_kwh", "energy", "kWh", "lower"),
    MetricInfo("carbon_g", "carbon", "g", "lower"),
    MetricInfo("water_l", "water", "l", "lower"),
    MetricInfo("energy_usd", "price of the energy", "USD", "lower"),
    MetricInfo("brakes", "power brakes", "", "lower"),
    MetricInfo("over_budget_s", "rows over their budget", "s", "lower"),
    MetricInfo("cold_starts", "cold starts", "", "lower"),
    MetricInfo("cold_start_s_mean", "mean cold start", "s", "lower"),
    MetricInfo("migrations", "migrations", "", "lower"),
    MetricInfo("evictions", "evictions", "", "lower"),
    MetricInfo("failures", "node failures", "", "lower"),
    MetricInfo("lost_work_s", "work to do again", "s", "lower"),
    MetricInfo("pods_waiting", "pods still waiting", "", "lower"),
    MetricInfo("gpu_allocation", "allocated GPU", "", "higher", percent=True),
    MetricInfo("replicas_mean", "replicas that are ready", "", "lower"),
    MetricInfo("power_share_mean", "mean power over budget", "", "lower", percent=True),
)

METRICS = (COST, *COMPONENTS, *BEHIND)
"""Of the report."""

_BRIEF = (
    "slo_miss_share",
    "latency_s_p99",
    "queueing_delay_s_mean",
    "energy_kwh",
    "brakes",
    "cold_starts",
    "migrations",
)
TERMINAL = (
    COST,
    *(replace(info, main=False) for info in COMPONENTS),
    *(info for info in BEHIND if info.name in _BRIEF),
)
"""Of the table on the terminal, which has less room."""
