"""The VM rescheduling benchmark: every policy with every migration number limit, on the same fleets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clustersim.bench import vm_metrics as m
from clustersim.bench.runs import Experiment, RunResult
from clustersim.bench.vm_call import Call
from clustersim.bench.vm_names import name_of, value_of
from clustersim.bench.vm_policies import SCENARIO
from clustersim.bench.vm_sweep import Swept, swept_experiment

METRICS = (m.FRAGMENT_RATE, m.GAP, m.BOUND, m.MOVES, m.SECONDS, m.MIGRATED, m.DOWNTIME, m.TRANSFER, m.INITIAL)
BRIEF = (m.FRAGMENT_RATE, m.GAP, m.MOVES, m.SECONDS, m.MIGRATED, m.DOWNTIME)
DRIFT_METRICS = (m.PLANNED, m.GONE, m.FULL)
"""Further ones where the fleet lives on while a policy thinks."""


@dataclass(frozen=True)
class VmBench:
    """A call, and the limits with which it is made."""

    call: Call
    limits: tuple[int, ...]

    @property
    def one_episode(self) -> bool:
        """Whether a seed changes nothing but what policies leave to chance."""
        return self.call.fleets.one_fleet and self.call.delay_s is None

    def experiment(self, policies: Sequence[str], seeds: tuple[int, ...]) -> Experiment:
        """Raises for whatever cannot be played, before anything runs."""
        for mnl in self.limits:
            replace(self.call, mnl=mnl).require(policies, seeds)
        return swept_experiment(SCENARIO, self.call, {}, policies, self.limits, seeds, self.play)

    def play(self, policy: str, seed: int) -> RunResult:
        return replace(self.call, mnl=int(value_of(policy))).play(name_of(policy), seed)

    def view(self) -> Swept:
        """How the results are shown."""
        drift = () if self.call.delay_s is None else DRIFT_METRICS
        limits = tuple(map(float, self.limits))
        return Swept("mnl", limits, (*METRICS, *drift), (*BRIEF, *drift), m.with_gap, self.call.notes())
