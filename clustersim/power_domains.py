"""The tree of power domains: a cluster feeds rows, a row feeds servers, and each has a budget."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError


def budgets(nameplate_w: NDArray[np.float64], oversubscription: float) -> NDArray[np.float64]:
    """The budget of each row when its nameplates exceed it by the share `oversubscription`."""
    return nameplate_w / (1.0 + oversubscription)


@dataclass(frozen=True, slots=True)
class Domain:
    """A power domain and those that it feeds: a cluster, its rows, their servers. `budget_w` may not be exceeded."""

    name: str
    budget_w: float
    children: tuple[Domain, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.budget_w < inf:
            raise ConfigError(f"power domain {self.name!r} has a budget of {self.budget_w} W; it has to be positive")
        total_w = sum(child.budget_w for child in self.children)
        # the budgets of children are often parts of the parent's, computed in floats
        if total_w > self.budget_w * (1 + 1e-9):
            parts = " + ".join(f"{child.budget_w:g} ({child.name})" for child in self.children)
            raise ConfigError(
                f"power domain {self.name!r} has a budget of {self.budget_w:g} W, its children's sum to {total_w:g}: "
                f"{parts}; lower them by {total_w - self.budget_w:g} W or raise the budget"
            )
