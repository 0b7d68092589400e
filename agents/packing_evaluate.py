"""Evaluate a packing agent on held-out seeds: what it improves, how much of the solver's gain it reaches, how fast.

`python -m clustersim.agents.packing_evaluate AGENT --out calls.csv` writes one line per call and player, and prints
tables by cluster size and by number of priorities. Times are CPU times, so that a busy machine does not blur them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import numpy as np

from clustersim.agents.folder import WEIGHTS
from clustersim.agents.packing_games import PRIORITIES, USAGES, failed_placement
from clustersim.agents.packing_network import PackingWeights
from clustersim.agents.packing_policy import RepairPlayer, repaired
from clustersim.baselines.constraint import solve
from clustersim.baselines.constraint_budget import Limits
from clustersim.baselines.greedy_repair import GreedyRepair
from clustersim.packing import Packing, Plan, evicted, moved, placed_by_tier
from clustersim.policy import Policy, RandomPolicy
from clustersim.replica_sets import ReplicaSets

FIRST_SEED = 42
ROLLOUTS = 8


def calls(nodes: Sequence[int], pods_per_node: Sequence[int], seeds: int) -> Iterator[tuple[ReplicaSets, int, Packing]]:
    """Every failed placement of the grid."""
    for shape in product(nodes, pods_per_node, PRIORITIES, USAGES):
        instances = ReplicaSets(*shape)
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            packing = failed_placement(instances, seed)
            if packing is not None:
                yield instances, seed, packing


def players(weights: PackingWeights) -> dict[str, list[Policy]]:
    """Who repairs, beside the solver."""
    drawn: list[Policy] = [RepairPlayer(weights, draw=True) for _ in range(ROLLOUTS - 1)]
    return {
        "agent": [RepairPlayer(weights)],
        f"agent, best of {ROLLOUTS}": [RepairPlayer(weights), *drawn],
        "greedy": [GreedyRepair()],
        "random": [RandomPolicy()],
    }


def evaluate(packing: Packing, team: dict[str, list[Policy]], limits: Limits, seed: int) -> Iterator[dict[str, Any]]:
    """One row per player: whether the call is improved, as much placed as by the solver or more, and the time taken.

    A player keeps the placement as it is unless it finds a better one, so no call is made worse.
    """
    now = placed_by_tier(packing, packing.home)
    started = process_time()
    solution = solve(packing, limits)
    took_s = process_time() - started
    solver = max(solution.placed, now)
    yield _row("cp-sat", packing, solution.plan if solver > now else None, solver, took_s) | {
        "outcome": solution.outcome
    }
    for name, policies in team.items():
        for number, policy in enumerate(policies):
            policy.reset(np.random.default_rng([seed, number]))
        started = process_time()
        plan = repaired(packing, policies)
        yield _row(name, packing, plan, solver, process_time() - started) | {"outcome": ""}


def _row(name: str, packing: Packing, plan: Plan | None, solver: tuple[int, ...], took_s: float) -> dict[str, Any]:
    now = placed_by_tier(packing, packing.home)
    placed = now if plan is None else placed_by_tier(packing, plan.node)
    return {
        "player": name,
        "improved": int(placed > now),
        "solver_improved": int(solver > now),
        "matched": int(placed == solver),
        "better": int(placed > solver),
        "placed": placed[-1] - now[-1],
        "solver_placed": solver[-1] - now[-1],
        "moved": 0 if plan is None else int(moved(packing, plan).sum()),
        "evicted": 0 if plan is None else int(evicted(packing, plan).sum()),
        "ms": 1000 * took_s,
    }


def table(rows: Sequence[dict[str, Any]], by: str) -> str:
    """By a column and player: shares of calls in percent with 95 % intervals, medians, means.

    `as much` and `more` compare what is placed by tier with the solver, where that improves the call.
    """
    heads = (by, "player", "calls", "improved", "improved too", "as much or more", "more", "moved", "evicted", "ms")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for value in [*sorted({row[by] for row in rows}), None]:
        for player in dict.fromkeys(row["player"] for row in rows):
            mine = [row for row in rows if row["player"] == player and value in (None, row[by])]
            hard = [row for row in mine if row["solver_improved"]]
            cells = [
                _share([row["improved"] for row in mine]),
                _share([row["improved"] for row in hard]),
                _share([row["matched"] + row["better"] for row in hard]),
                _share([row["better"] for row in hard]),
                *(f"{mean(row[name] for row in mine):.1f}" for name in ("moved", "evicted")),
                f"{median(row['ms'] for row in mine):.1f}",
            ]
            lines.append(f"| {value or 'all'} | {player} | {len(mine)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(hits: Sequence[int]) -> str:
    low, high = wilson(sum(hits), len(hits))
    return f"{100 * sum(hits) / max(1, len(hits)):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share. Source: Wilson 1927 (doi 10.1080/01621459.1927.10502953)."""
    if count == 0:
        return 0.0, 1.0
    share, spread = hits / count, z * z / count
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def main() -> None:
    """Evaluate an agent on the grid of "Priority Matters"."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("agent", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nodes", default="4,8,16,32")
    parser.add_argument("--pods-per-node", default="4,8")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--window", type=float, default=1.0, help="seconds that the solver gets, in deterministic time")
    arguments = parser.parse_args()
    nodes, pods_per_node = ([int(n) for n in text.split(",")] for text in (arguments.nodes, arguments.pods_per_node))
    team = players(PackingWeights.load(arguments.agent / WEIGHTS))
    limits = Limits(window_s=arguments.window)
    rows: list[dict[str, Any]] = []
    with arguments.out.open("w", newline="") as file:
        for instances, seed, packing in calls(nodes, pods_per_node, arguments.seeds):
            new = [{**vars(instances), "seed": seed, **row} for row in evaluate(packing, team, limits, seed)]
            writer = csv.DictWriter(file, list(new[0]))
            if not rows:
                writer.writeheader()
            writer.writerows(new)
            rows += new
    print(table(rows, "nodes"), table(rows, "priorities"), sep="\n\n")


if __name__ == "__main__":
    main()
