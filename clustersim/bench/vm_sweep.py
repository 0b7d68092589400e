"""VM benchmarks in which one number is varied: a table for each of its values, figures over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd
from rich.console import Console

from clustersim.bench.comparison import comparison
from clustersim.bench.metrics import MetricInfo
from clustersim.bench.page import html_table, note, page, plot
from clustersim.bench.report import table_note, what_was_run
from clustersim.bench.runs import JSON, Experiment, RunResult
from clustersim.bench.statistics import require_reference, summary
from clustersim.bench.table import print_columns, print_lines
from clustersim.bench.vm_axes import AXES, Axis
from clustersim.bench.vm_call import Call
from clustersim.bench.vm_charts import rate_chart, seconds_chart
from clustersim.bench.vm_metrics import FRAGMENT_RATE, SECONDS
from clustersim.bench.vm_names import at_value, name_of, names_of, value_of
from clustersim.bench.vm_policies import fingerprints
from clustersim.bench.vm_tables import over_values, part_of, shown


@dataclass(frozen=True)
class Swept:
    """Policies are called `name@value`; each is compared with the reference at the same value."""

    axis: str
    """A name of AXES."""
    values: tuple[float, ...]
    metrics: Sequence[MetricInfo]
    brief: Sequence[MetricInfo]
    """Those of the terminal."""
    judged: Callable[[pd.DataFrame], pd.DataFrame]
    """From runs to what is judged: the same, or with metrics that compare runs."""
    notes: tuple[str, ...] = ()

    def require(self, experiment: Experiment, reference: str) -> None:
        require_reference(self._part(experiment, self.values[0]), reference)

    def summary(self, experiment: Experiment, runs: pd.DataFrame, reference: str) -> dict[str, Any]:
        judged = self.judged(runs)
        policies: dict[str, Any] = {}
        paired: dict[str, Any] = {}
        for value in self.values:
            at = judged[judged["policy"].map(value_of) == value]
            found = summary(self._part(experiment, value), at.assign(policy=at["policy"].map(name_of)), reference)
            policies |= {at_value(name, value): estimates for name, estimates in found["policies"].items()}
            paired |= {at_value(name, value): estimates for name, estimates in found["paired"].items()}
        return {
            **experiment.identity,
            "seeds": list(experiment.seeds),
            "axis": self.axis,
            "values": list(self.values),
            "policies": policies,
            "reference": reference,
            "paired": paired,
            "metrics": [asdict(info) for info in self.metrics],
            "notes": list(self.notes),
        }

    def page(
        self, summary: dict[str, Any], runs: pd.DataFrame, series: pd.DataFrame, command_line: str, written: datetime
    ) -> str:
        axis, names, metrics = AXES[self.axis], names_of(summary), shown(summary, self.metrics)
        more = {"policies": ", ".join(names), self.axis: ", ".join(f"{value:g}" for value in summary["values"])}
        body = [what_was_run(summary, command_line, written, more), *map(note, self.notes)]
        body += [f"<h2>{escape(FRAGMENT_RATE.label.capitalize())} by {escape(axis.label)}</h2>"]
        body += [note(_about_lines(summary, axis)), plot(rate_chart(summary), 0)]
        body += [html_table(columns) for columns in over_values(summary, FRAGMENT_RATE)]
        if SECONDS in shown(summary, self.brief):
            body += ["<h2>What it takes</h2>", note(f"One mark per policy and {axis.label}.")]
            body += [plot(seconds_chart(summary), 1)]
        for value in summary["values"]:
            columns = comparison(part_of(summary, value), metrics)
            body += [f"<h2>{escape(axis.at(value))}</h2>", html_table(columns)]
        body += [note(table_note(summary, self.metrics))]
        return page(f"{summary['scenario']} on {summary['trace']}", body)

    def show(self, summary: dict[str, Any], console: Console) -> None:
        for info in shown(summary, self.brief):
            for columns in over_values(summary, info):
                print_columns(columns, console)
        count = len(summary["seeds"])
        lines = [f"{summary['scenario']} on {summary['trace']}, {count} seed{'s' if count > 1 else ''}."]
        if count > 1:
            lines.append("± and [low, high] are 95 % confidence intervals (Student t).")
            lines.append(f"* differs from {summary['reference']} at the same {AXES[self.axis].label}, paired by seed.")
        print_lines("\n".join([*lines, *self.notes]), console)

    def _part(self, experiment: Experiment, value: float) -> Experiment:
        names = tuple(name_of(policy) for policy in experiment.policies if value_of(policy) == value)
        return replace(experiment, policies=names)


def swept_experiment(
    scenario: str,
    call: Call,
    config: Mapping[str, JSON],
    policies: Sequence[str],
    values: Sequence[float],
    seeds: tuple[int, ...],
    play: Callable[[str, int], RunResult],
) -> Experiment:
    """Every policy at every value."""
    names = tuple(at_value(name, value) for value in values for name in policies)
    agents = fingerprints(policies)
    made_of = {name: agents[name_of(name)] for name in names if name_of(name) in agents}
    told = {**call.fleets.config(), **call.config(), **config}
    return Experiment(scenario, call.fleets.name, told, names, seeds, play, made_of)


def _about_lines(summary: dict[str, Any], axis: Axis) -> str:
    several = len(summary["seeds"]) > 1
    text = "Mean over seeds with its 95 % confidence interval." if several else "One run each."
    return f"{text} {axis.about_published}".strip()
