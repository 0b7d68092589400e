"""What thinking costs: the fragment rate by the time when a plan is ready, while VMs come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clustersim.bench import vm_metrics as m
from clustersim.bench.runs import Experiment, RunResult
from clustersim.bench.vm_call import Call
from clustersim.bench.vm_names import name_of, value_of
from clustersim.bench.vm_sweep import Swept, swept_experiment

SCENARIO = "vm-delay"

METRICS = (m.FRAGMENT_RATE, m.PLANNED, m.MOVES, m.GONE, m.FULL, m.SECONDS, m.MIGRATED, m.INITIAL)
BRIEF = (m.FRAGMENT_RATE, m.MOVES, m.GONE, m.FULL)


@dataclass(frozen=True)
class DelayBench:
    """A call, and the delays after which its plan is ready."""

    call: Call
    delays_s: tuple[float, ...]

    one_episode = False

    def experiment(self, policies: Sequence[str], seeds: tuple[int, ...]) -> Experiment:
        """Raises for whatever cannot be played, before anything runs."""
        for delay_s in self.delays_s:
            replace(self.call, delay_s=delay_s)
        call = replace(self.call, delay_s=0.0)
        call.require(policies, seeds)
        config = {"mnl": call.mnl}
        return swept_experiment(SCENARIO, call, config, policies, self.delays_s, seeds, self.play)

    def play(self, policy: str, seed: int) -> RunResult:
        return replace(self.call, delay_s=value_of(policy)).play(name_of(policy), seed)

    def view(self) -> Swept:
        """How the results are shown."""
        return Swept("delay_s", self.delays_s, METRICS, BRIEF, lambda runs: runs, self.call.notes())
