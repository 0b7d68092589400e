"""All combinations of some policies per role: which there are, how far apart they are, and what each choice brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from clustersim.baselines.joint import joint_name, parse_joint, role_policy
from clustersim.baselines.registry import CONTROL_POLICIES
from clustersim.bench.control_metrics import COST
from clustersim.bench.statistics import estimate
from clustersim.errors import ConfigError
from clustersim.scenarios.control_roles import CAPPER, MIGRATOR, PLACER, ROLES, SCALER

RANDOM = "random"
"""No published policy; it has to be asked for."""

DEFAULT_GRID: dict[str, tuple[str, ...]] = {
    PLACER: ("fgd", "best-fit", "kube-default", "first-fit"),
    **{role: tuple(name for name in CONTROL_POLICIES[role] if name != RANDOM) for role in (SCALER, CAPPER, MIGRATOR)},
}


@dataclass(frozen=True)
class ControlGrid:
    """Policies by role. Raises ConfigError for a role without any, one listed twice and one that does not exist."""

    choices: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for role in ROLES:
            names = self.choices[role]
            if not names:
                raise ConfigError(f"the grid has no policy for {role}; give at least one")
            for name in names:
                role_policy(role, name)
                if names.count(name) > 1:
                    raise ConfigError(f"the grid lists {name!r} for {role} more than once; list every policy once")

    @property
    def teams(self) -> tuple[str, ...]:
        """All combinations, those of the last role next to each other."""
        combinations = product(*(self.choices[role] for role in ROLES))
        return tuple(joint_name(dict(zip(ROLES, names, strict=True))) for names in combinations)


def grid_of(choices: Mapping[str, tuple[str, ...] | None]) -> ControlGrid:
    """The grid of these policies; None stands for the default of a role."""
    return ControlGrid({role: DEFAULT_GRID[role] if (names := choices[role]) is None else names for role in ROLES})


def headroom(summary: Mapping[str, Any], teams: Sequence[str]) -> dict[str, Any]:
    """The best and the worst combination by mean team cost, and by how much the best is below the worst, as a share.

    `best_known` is the best of all that were played, trained teams included.
    """
    cost = {name: float(found[COST.name]["mean"]) for name, found in summary["policies"].items()}
    best, worst = min(teams, key=cost.__getitem__), max(teams, key=cost.__getitem__)
    known = min(cost, key=cost.__getitem__)
    return {
        "combinations": len(teams),
        "best": best,
        "best_team_cost": cost[best],
        "worst": worst,
        "worst_team_cost": cost[worst],
        "best_below_worst": 1 - cost[best] / cost[worst] if cost[worst] else 0.0,
        "best_known": known,
        "best_known_team_cost": cost[known],
    }


def effects(runs: pd.DataFrame, teams: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per role and policy: the team cost averaged over all combinations with it, minus the average over all.

    Paired by seed, so the interval is that of the difference; and `best`, the lowest mean cost of those combinations.
    """
    costs = runs[(runs["metric"] == COST.name) & runs["policy"].isin(teams)]
    by_team = costs.pivot_table(index="seed", columns="policy", values="value")
    overall = by_team.mean(axis=1)
    found: dict[str, dict[str, Any]] = {role: {} for role in ROLES}
    chosen = {team: parse_joint(team) for team in teams}
    for role in ROLES:
        for name in dict.fromkeys(names[role] for names in chosen.values()):
            of_name = by_team[[team for team in teams if chosen[team][role] == name]]
            difference = (of_name.mean(axis=1) - overall).to_numpy()
            found[role][name] = estimate(difference).as_json() | {"best": float(of_name.mean().min())}
    return found
