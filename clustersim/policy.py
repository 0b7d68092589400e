"""Policies answer questions; `run` plays a simulation with them to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.control import ControlPlane, Decision
from clustersim.errors import ConfigError
from clustersim.streams import Streams


class Policy(Protocol):
    """Heuristics, planners and networks: all answer the same question."""

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode; `rng` is the only source of chance that the policy may use."""

    def act(self, decision: Decision) -> int:
        """An index k with decision.mask[k]."""


class Simulation(Protocol):
    """What a scenario builds: a control plane to drive and the random streams of the episode."""

    @property
    def control(self) -> ControlPlane: ...
    @property
    def streams(self) -> Streams: ...


Score = Callable[[Decision, NDArray[np.float64]], None]
"""Writes a score per candidate into the (K,) buffer that it is given; what it leaves alone scores -inf."""


class ScorePolicy:
    """The legal candidate with the highest score; on ties the lowest index, or a random one of the best."""

    def __init__(self, score: Score, ties: Literal["lowest", "random"] = "lowest") -> None:
        self._score = score
        self._random_ties = ties == "random"
        self._scores = np.empty(0)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        if len(self._scores) != len(decision.mask):
            self._scores = np.empty(len(decision.mask))
        self._scores.fill(-np.inf)
        self._score(decision, self._scores)
        if self._random_ties:
            return int(best_legal_at_random(self._scores, decision.mask, self._rng.random()))
        return int(best_legal(self._scores, decision.mask))


class RandomPolicy:
    """Every legal candidate with the same probability."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, decision: Decision) -> int:
        return int(random_legal(decision.mask, self._rng.random()))


def run(simulation: Simulation, policies: Mapping[str, Policy]) -> int:
    """Play a simulation to its end with one policy per role; return the number of decisions."""
    control = simulation.control
    for role, policy in policies.items():
        policy.reset(simulation.streams[f"policy/{role}"])
    before = control.answers
    while (decision := control.advance()) is not None:
        player = policies.get(decision.role)
        if player is None:
            raise ConfigError(f"nobody plays the role {decision.role!r}; policies were given for {sorted(policies)}")
        control.answer(decision, player.act(decision))
    return control.answers - before


@njit(cache=True)
def best_legal(scores: NDArray[np.float64], mask: NDArray[np.bool_]) -> int:
    """The lowest index of the highest score among the legal candidates; -1 when there is none."""
    best = -1
    for k in range(len(mask)):
        if mask[k] and (best < 0 or scores[k] > scores[best]):
            best = k
    return best


@njit(cache=True)
def best_legal_at_random(scores: NDArray[np.float64], mask: NDArray[np.bool_], uniform: float) -> int:
    """One of the highest scores among the legal candidates, chosen by a uniform number in [0, 1)."""
    best = best_legal(scores, mask)
    ties = 0
    for k in range(len(mask)):
        if mask[k] and scores[k] == scores[best]:
            ties += 1
    left = int(uniform * ties)
    for k in range(best, len(mask)):
        if mask[k] and scores[k] == scores[best]:
            if left == 0:
                return k
            left -= 1
    return best


@njit(cache=True)
def random_legal(mask: NDArray[np.bool_], uniform: float) -> int:
    """One of the legal candidates, chosen by a uniform number in [0, 1); -1 when there is none."""
    left = int(uniform * mask.sum())
    for k in range(len(mask)):
        if mask[k]:
            if left == 0:
                return k
            left -= 1
    return -1
