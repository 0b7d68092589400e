"""A trained rescheduler as a planner: it plays greedily once, then K - 1 times at a little risk, and keeps the best.

Source of the risk-seeking evaluation: "VMR2L" (EuroSys'25, arXiv 2505.17359).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from clustersim.agents import folder
from clustersim.agents.two_stage import (
    NetworkShape,
    TwoStage,
    drawn,
    keep_likely,
    look_for_node,
    look_for_vm,
    moves_of,
    vms_of,
)
from clustersim.agents.vm_tokens import TABLES
from clustersim.errors import ClustersimError, ConfigError
from clustersim.vm_fleet import Bools
from clustersim.vm_plan import Move, MovePlan, Task
from clustersim.vm_state import FleetState

SIDE_BY_SIDE, MACHINES_AT_ONCE = 8, 640
"""Samples, and machines, at most, that are played as one batch. Always as many for a fleet, so that no sample depends
on how many there are."""
COARSE = 10
"""As many times the moves per look has the plan that is made first where time is limited."""


@dataclass(frozen=True)
class Risk:
    """How samples are drawn: candidates whose probability is under the quantile over all are left out.

    The quantiles are the published ones. In a fleet of 20 machines they leave a single candidate, so at least `fewest`
    are kept; in one of 280 they leave so many that some of 50 moves go wrong, so what is less than `least` times as
    likely as the most likely candidate is left out.
    """

    vm_quantile: float = 0.995
    node_quantile: float = 0.98
    fewest: int = 4
    least: float = 0.3

    def __post_init__(self) -> None:
        for name in ("vm_quantile", "node_quantile", "least"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be in [0, 1]")
        if self.fewest < 1:
            raise ConfigError(f"fewest is {self.fewest}; at least one candidate has to be kept")


def play(
    network: TwoStage,
    states: Sequence[FleetState],
    mnl: Sequence[int],
    rng: np.random.Generator | None = None,
    risk: Risk | None = None,
    until: Sequence[int] | None = None,
    moves_per_look: int = 1,
) -> list[list[Move]]:
    """Play all states: greedily without a generator, else drawn by the probabilities that `risk` leaves.

    They end after `mnl` moves, or after `until` ones, or where no move is legal. A VM is migrated once at most: a
    second time hardly ever pays, and a greedy player would send it to and fro. With several `moves_per_look` the
    network looks at a fleet once for as many moves, which share no machine. All states have as many machines; they are
    changed.
    """
    moves: list[list[Move]] = [[] for _ in states]
    until = mnl if until is None else until
    kept = (
        [None, None] if risk is None else [(q, risk.fewest, risk.least) for q in (risk.vm_quantile, risk.node_quantile)]
    )
    made = 0
    stay = [np.zeros(state.rows, np.bool_) for state in states]
    with torch.inference_mode():
        while playing := [b for b, state in enumerate(states) if made < until[b] and _any_legal(state, stay[b])]:
            now = [states[b] for b in playing]
            first = look_for_vm(network, now, [made] * len(now), [mnl[b] for b in playing], [stay[b] for b in playing])
            fresh = torch.ones(first.seen.count.shape[:2], dtype=torch.bool)  # machines that are as they were seen
            for _ in range(min(moves_per_look, *(until[b] - made for b in playing))):
                vm_log_p = _among(fresh, first.vm_log_p)
                if not vm_log_p.isfinite().any(1).all():
                    break
                chosen = _choice(vm_log_p, first.batch.count.flatten(1), rng, kept[0])
                log_p = _among(fresh, look_for_node(network, first, now, chosen).log_p)
                if not log_p.isfinite().any(1).all():
                    break
                node = _choice(log_p, torch.ones_like(log_p), rng, kept[1])
                for row, (b, move) in enumerate(zip(playing, moves_of(vms_of(first.seen, chosen), node), strict=True)):
                    if states[b].may_move(*move):  # always, unless the network has learned by penalties
                        fresh[row, [int(states[b].host[move.vm]), move.pm]] = False
                        states[b].move(*move)
                        moves[b].append(move)
                        stay[b][move.vm] = True
                made += 1
    return moves


def _among(fresh: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """What stands on fresh machines (B, P), out of (B, P * N)."""
    return log_p.masked_fill(~fresh.repeat_interleave(log_p.shape[1] // fresh.shape[1], dim=1), -torch.inf)


def _choice(
    log_p: torch.Tensor, count: torch.Tensor, rng: np.random.Generator | None, kept: tuple[float, int, float] | None
) -> torch.Tensor:
    if rng is None:
        return (log_p - count.clamp(min=1).log()).argmax(1)  # the most likely single VM, not the largest class
    return drawn(log_p if kept is None else keep_likely(log_p, count, *kept), rng)


def _any_legal(state: FleetState, stay: Bools) -> bool:
    mask = np.empty(state.rows, np.bool_)
    state.vm_mask(mask)
    return bool((mask & ~stay).any())


class LearnedMoves:
    """A planner that plays what was learned.

    `samples`: how often; the first time greedily. More samples are never worse, because the ones before stay the same.
    `budget_s`: seconds of wall clock; a coarse plan is made first and in any case, then the finest one for which there
    is probably time, then samples. None: all samples are played.
    `moves_per_look`: see `play`; more is faster, and a little worse.
    """

    def __init__(
        self,
        agent: Path | TwoStage,
        samples: int = 1,
        budget_s: float | None = None,
        risk: Risk = Risk(),
        moves_per_look: int = 1,
    ) -> None:
        if samples < 1:
            raise ConfigError(f"samples is {samples}; at least the greedy plan has to be played")
        if moves_per_look < 1:
            raise ConfigError(f"moves_per_look is {moves_per_look}; it has to be at least 1")
        if budget_s is not None and not budget_s > 0:
            raise ConfigError(f"budget_s is {budget_s}; a time limit has to be positive")
        self.network = agent if isinstance(agent, TwoStage) else load(agent)
        self.samples = samples
        self.budget_s = budget_s
        self.risk = risk
        self.moves_per_look = moves_per_look

    def __call__(self, task: Task, rng: np.random.Generator) -> MovePlan:
        started_s = perf_counter()
        base = int(rng.integers(2**63))
        state = task.state()
        side = max(1, min(SIDE_BY_SIDE, MACHINES_AT_ONCE // state.machines))
        least, best = state.fragments, list[Move]()
        played, look_s = 0, 0.0

        def fits(looks: int, count: int) -> bool:
            # Twice as many looks take twice as long, and so do twice as many games.
            expected_s = look_s * count / looks
            return self.budget_s is None or perf_counter() - started_s + expected_s <= self.budget_s

        def games(looks: int, count: int, batch: int | None) -> None:
            nonlocal least, best, played, look_s
            began_s = perf_counter()
            chance, risk = (None, None) if batch is None else (np.random.default_rng([base, batch]), self.risk)
            fleets = [state.copy() for _ in range(count)]
            found = play(self.network, fleets, [task.mnl] * count, chance, risk, moves_per_look=looks)
            look_s = (perf_counter() - began_s) * looks / count
            for moves in found if batch is None else found[: self.samples - 1 - batch * side]:
                played += 1
                fragments, moves = _up_to_the_best(state, moves)
                if fragments < least:
                    least, best = fragments, moves

        finest = self.moves_per_look
        if self.budget_s is not None:
            games(finest * COARSE, 1, None)
        looks = next((finest * times for times in (1, 2, 4) if fits(finest * times, 1)), None)
        if looks is not None:
            games(looks, 1, None)
        for batch in range(-(-(self.samples - 1) // side)):
            if looks != finest or not fits(finest, side):
                break
            games(finest, side, batch)
        return MovePlan(tuple(best), figures={"games": float(played)})


def _up_to_the_best(state: FleetState, moves: list[Move]) -> tuple[int, list[Move]]:
    """The fewest fragments on the way through some moves, and the moves that lead there."""
    after = state.copy()
    fewest, end = after.fragments, 0
    for number, move in enumerate(moves, 1):
        after.move(*move)
        if after.fragments < fewest:
            fewest, end = after.fragments, number
    return fewest, moves[:end]


# --- the folder of an agent


def write_agent(target: Path, network: TwoStage, training: dict[str, Any]) -> None:
    """Write policy.json and weights.npz."""
    kind = {"scenario": "vm-rescheduling", "network": "two-stage", "shape": vars(network.shape)}
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    folder.write(target, kind, _columns(), lambda path: np.savez(path, **arrays), training)


def load(agent: Path) -> TwoStage:
    """The network of an agent. Raises ClustersimError for a folder that holds none, or one of another version."""
    description = folder.read(agent, _columns())
    path = agent / folder.WEIGHTS
    try:
        network = TwoStage(NetworkShape(**description["shape"]))
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            network.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    except ClustersimError:
        raise
    except Exception as error:
        raise ClustersimError(f"{path} does not hold the weights of a rescheduling agent: {error}") from error
    return network.eval()


def _columns() -> dict[str, list[str]]:
    return {name: list(columns) for name, columns in TABLES.items()}
