"""A sweep: the same benchmark with several values of one option, each in a folder of its own below the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from clustersim.bench.dag_scheduling import DagBench
from clustersim.bench.dag_teams import SCENARIO
from clustersim.bench.runs import JSON, Experiment, RunResult
from clustersim.bench.store import RunStore
from clustersim.errors import ConfigError

DEFAULT_VALUES: dict[str, tuple[float, ...]] = {
    "noise": (0, 0.1, 0.2, 0.3, 0.4, 0.5),
    "load": (0.2, 0.4, 0.6, 0.8, 0.9),
    "ccr": (0.1, 0.5, 1, 2, 5, 10),
    "machines": (2, 4, 8, 16, 32),
}
"""The options that can be swept."""


@dataclass(frozen=True)
class DagSweep:
    """Several benchmarks as one experiment, whose policies are called LABEL/POLICY: LABEL tells the value."""

    bench: DagBench
    name: str
    values: tuple[float, ...]

    @cached_property
    def benches(self) -> Mapping[str, DagBench]:
        """By label, in the order of the values."""
        given = self.bench.noise if self.name == "noise" else getattr(self.bench.options, self.name)
        if given not in (None, 0):
            raise ConfigError(f"{self.name} is {given} and is swept as well; leave one of them away")
        return {f"{self.name}-{value:g}": self._at(value) for value in self.values}

    def _at(self, value: float) -> DagBench:
        if self.name == "noise":
            return replace(self.bench, noise=value)
        changed: dict[str, Any] = {self.name: int(value) if self.name == "machines" else value}
        return replace(self.bench, options=replace(self.bench.options, **changed))

    def experiments(self, policies: tuple[str, ...], seeds: int) -> Mapping[str, Experiment]:
        """One per value, by label; raises for whatever cannot be played, before anything runs."""
        return {label: bench.experiment(policies, seeds) for label, bench in self.benches.items()}

    def whole(self, parts: Mapping[str, Experiment]) -> Experiment:
        """All runs of all values."""
        first = next(iter(parts.values()))
        config: dict[str, JSON] = {"sweep": self.name}
        # What depends on the value, the checksum of the episodes among it, is in the folder of the value.
        config |= {k: v for k, v in first.config.items() if k not in (self.name, "trace_sha256")}
        policies = tuple(f"{label}/{policy}" for label in parts for policy in first.policies)
        return Experiment(SCENARIO, first.trace, config, policies, first.seeds, self.play)

    def play(self, policy: str, number: int) -> RunResult:
        label, name = policy.split("/", 1)
        return self.benches[label].play(name, number)


class SweepStore(RunStore):
    """Keeps every run where a benchmark of its value alone would keep it."""

    def __init__(self, folder: Path, whole: Experiment, parts: Mapping[str, Experiment]) -> None:
        super().__init__(folder, whole)
        self.parts = {label: RunStore(folder / label, part) for label, part in parts.items()}

    def save(self, policy: str, seed: int, result: RunResult) -> None:
        label, name = policy.split("/", 1)
        self.parts[label].save(name, seed, result)

    def load(self, policy: str, seed: int) -> RunResult:
        label, name = policy.split("/", 1)
        return self.parts[label].load(name, seed)


def sweep_of(bench: DagBench, name: str, values: str | None) -> DagSweep:
    """The sweep that texts describe; without values those of `DEFAULT_VALUES`."""
    if name not in DEFAULT_VALUES:
        raise ConfigError(f"sweep is {name!r}; choose one of {', '.join(DEFAULT_VALUES)}")
    if values is None:
        return DagSweep(bench, name, DEFAULT_VALUES[name])
    parts = [part.strip() for part in values.split(",") if part.strip()]
    if not parts:
        raise ConfigError("--sweep-values is empty; give a comma-separated list such as 0.2,0.4")
    numbers = sorted(_number(name, part) for part in parts)
    for one, other in pairwise(numbers):
        if f"{one:g}" == f"{other:g}":
            raise ConfigError(f"--sweep-values holds {other:g} more than once; list every value once")
    return DagSweep(bench, name, tuple(numbers))


def _number(name: str, text: str) -> float:
    whole = name == "machines"
    try:
        return int(text) if whole else float(text)
    except ValueError:
        what = "whole number" if whole else "number"
        raise ConfigError(f"--sweep-values holds {text!r}, which is no {what} for {name}") from None
