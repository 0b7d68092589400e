"""What an experiment is, and what one run of it (a policy with a seed) yields."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

import clustersim
from clustersim.errors import ConfigError, ResultsError

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

TIMINGS = ("decisions", "decisions_per_s", "wall_s")  # rows of the table that every run gets beside its metrics


@dataclass(frozen=True, eq=False)
class Series:
    """One line of a chart: `y` over nondecreasing `x`, both of shape (P,); P may be 0, and y may be NaN.

    The labels carry the units: "arrived demand [% of GPU capacity]".
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_label: str
    y_label: str

    def __post_init__(self) -> None:
        if self.x.ndim != 1 or self.x.shape != self.y.shape:
            raise ResultsError(
                f"series {self.y_label!r} over {self.x_label!r} has x of shape {self.x.shape} and y of shape "
                f"{self.y.shape}; give two arrays of one dimension and the same length"
            )
        if not np.isfinite(self.x).all() or (np.diff(self.x) < 0).any():
            raise ResultsError(f"series {self.y_label!r} has a {self.x_label!r} that is not finite and nondecreasing")
        if np.isinf(self.y).any():
            raise ResultsError(f"series {self.y_label!r} holds an infinite value; use NaN where it is undefined")


@dataclass(frozen=True, eq=False)
class RunResult:
    """The numbers of one run.

    A metric that is undefined in a run (the p99 of nothing) is left out or NaN; it then lowers that metric's n.
    """

    metrics: Mapping[str, float]
    series: Mapping[str, Series]
    decisions: int
    wall_s: float

    def __post_init__(self) -> None:
        for name, value in self.metrics.items():
            if name in TIMINGS:
                raise ResultsError(f"metric {name!r} is added by the benchmark itself; return it under another name")
            if math.isinf(value):
                raise ResultsError(f"metric {name!r} is {value}; leave it out or return NaN when it is undefined")

    @property
    def rows(self) -> dict[str, float]:
        """Every metric of the run, the timings included."""
        decisions_per_s = self.decisions / self.wall_s if self.wall_s > 0 else math.nan
        timings = (self.decisions, decisions_per_s, self.wall_s)
        return {**self.metrics, **dict(zip(TIMINGS, map(float, timings), strict=True))}


@dataclass(frozen=True)
class Experiment:
    """Every policy with every seed on one trace under one configuration.

    `play(policy, seed)` does one run and may be called in another process, so it has to be picklable: a function at
    module level, or a `functools.partial` of one. `policy_fingerprint` maps a policy whose behaviour is not fixed
    by its name and this version of clustersim (a folder with trained weights) to a hash of its content.
    """

    scenario: str
    trace: str
    config: Mapping[str, JSON]
    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    play: Callable[[str, int], RunResult]
    policy_fingerprint: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, values in (("policy", self.policies), ("seed", self.seeds)):
            if not values:
                raise ConfigError(f"an experiment needs at least one {kind}")
            twice = sorted({str(value) for value in values if values.count(value) > 1})
            if twice:
                raise ConfigError(f"{kind} {', '.join(twice)} is listed more than once; list every {kind} once")
        for key, value in self.config.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"config key {key!r} holds {value!r}, which JSON cannot hold ({error}); use numbers, text, lists"
                ) from error

    @property
    def runs(self) -> list[tuple[str, int]]:
        """All (policy, seed), in the order of the table."""
        return [(policy, seed) for policy in self.policies for seed in self.seeds]

    @property
    def identity(self) -> dict[str, JSON]:
        """What determines the numbers of a run, given its policy and seed, as plain JSON.

        Policies, seeds, jobs and the reference policy are not part of it, so that a folder can grow.
        """
        config = json.loads(json.dumps(dict(self.config)))  # tuples become lists, as they do in experiment.json
        return {
            "scenario": self.scenario,
            "trace": self.trace,
            "config": config,
            "clustersim": clustersim.__version__,
        }
