"""What the parts of the two-stage agent are worth: each variant learns from scratch by PPO, for as many moves.

`python -m clustersim.agents.vm_ablation --out DIR` trains every variant for every seed on small fleets, writes
ablation.csv, a line per training as it ends, and prints a table: the mean over held-out fleets of the fragment rate
that the greedy agent leaves, with 95 % intervals over the seeds (Student's t).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.stats import t as student

from clustersim.agents.vm_config import VmTrainConfig
from clustersim.agents.vm_player import LearnedMoves, load
from clustersim.agents.vm_train import train
from clustersim.baselines.vm_exact import Exact
from clustersim.baselines.vm_ha import Ha
from clustersim.traces.vm_like import VmLike
from clustersim.vm_plan import Planner, Task, carried_out

SCRATCH = VmTrainConfig(
    machines=(12,), moves_per_machine=(0.35, 0.35), varied_share=0.0, width=32, heads=2, imitation_updates=0,
    ppo_updates=25, games=20, siblings=4, ppo_rate=1e-3, ppo_epochs=3, critic_updates=0, entropy=0.003, target_kl=0.1,
    workers=0, validate_every=5, validation=((12, 0.35, 24),),
)  # fmt: skip
"""Everything else is as in a training on a larger scale."""
VARIANTS: dict[str, dict[str, Any]] = {
    "two-stage, tree attention": {},
    "illegal-action penalty": {"action": "penalty"},
    "one joint masked action": {"action": "joint"},
    "no attention": {"attention": "none"},
    "published features": {"features": "published"},
    "published features, plain attention": {"features": "published", "attention": "plain"},
    "published features, no attention": {"features": "published", "attention": "none"},
}
HELD_OUT = range(500, 600)


@dataclass(frozen=True)
class Trial:
    """What one training came to."""

    variant: str
    seed: int
    fragment_rate: float
    seconds: float


def fragment_rate(planner: Planner, config: VmTrainConfig) -> float:
    """Mean over the held-out fleets."""
    machines = config.machines[0]
    mnl = max(1, round(config.moves_per_machine[0] * machines))
    tasks = [Task(VmLike(machines=machines)(seed), mnl) for seed in HELD_OUT]
    return float(
        np.mean([carried_out(task, planner(task, np.random.default_rng(1)).moves).fragment_rate for task in tasks])
    )


def trial(variant: str, seed: int, out: Path, scratch: VmTrainConfig = SCRATCH) -> Trial:
    """Train a variant and measure the best agent on its validation fleets."""
    config = replace(scratch, seed=seed, **VARIANTS[variant])
    began_s = perf_counter()
    folder = train(config, out / f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}")
    return Trial(variant, seed, fragment_rate(LearnedMoves(load(folder)), config), perf_counter() - began_s)


def table(trials: Sequence[Trial], known: dict[str, float]) -> str:
    """Markdown; `known` are the fragment rates of policies that learn nothing."""
    lines = ["| variant | fragment rate | 95 % interval | seeds |", "|---|---|---|---|"]
    lines += [f"| {name} | {rate:.3f} | | |" for name, rate in known.items()]
    for variant in dict.fromkeys(each.variant for each in trials):
        rates = [each.fragment_rate for each in trials if each.variant == variant]
        mean, count = float(np.mean(rates)), len(rates)
        half = student.ppf(0.975, count - 1) * np.std(rates, ddof=1) / count**0.5 if count > 1 else np.nan
        lines.append(f"| {variant} | {mean:.3f} | {mean - half:.3f} to {mean + half:.3f} | {count} |")
    return "\n".join(lines)


def run(out: Path, seeds: Sequence[int], variants: Sequence[str], progress: Callable[[Trial], None]) -> list[Trial]:
    """All trials, one seed after the other, so that an interrupted run has as much of every variant."""
    out.mkdir(parents=True, exist_ok=True)
    trials = []
    with (out / "ablation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["variant", "seed", "fragment_rate", "seconds"])
        for seed in seeds:
            for variant in variants:
                trials.append(trial(variant, seed, out))
                writer.writerow(vars(trials[-1]).values())
                file.flush()
                progress(trials[-1])
    return trials


def main() -> None:
    """Train and compare the variants of the two-stage agent."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="1,2,3,4")
    parser.add_argument("--variants", default=";".join(VARIANTS), help="separated by semicolons")
    arguments = parser.parse_args()
    trials = run(
        arguments.out,
        [int(seed) for seed in arguments.seeds.split(",")],
        arguments.variants.split(";"),
        progress=lambda trial: print(trial, file=sys.stderr, flush=True),
    )
    known = {"ha": fragment_rate(Ha(), SCRATCH), "exact": fragment_rate(Exact(), SCRATCH)}
    print(table(trials, known))


if __name__ == "__main__":
    main()
