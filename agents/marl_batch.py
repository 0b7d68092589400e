"""What was played, as tensors per group, and the advantages of its decisions over each agent's own decision times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_rollout import Episode, Trajectory
from clustersim.agents.marl_task import Group, Layout
from clustersim.agents.ppo_parts import gae

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """All rows of all trajectories of a group, one trajectory after the other.

    A trajectory of T decisions has T + 1 rows; the last shows the end and has no action. `agent` numbers the agents of
    the group. `seed` is that of the trajectory's episode.
    """

    group: Group
    vector: torch.Tensor
    table: torch.Tensor | None
    mask: torch.Tensor
    memory: torch.Tensor
    state: torch.Tensor
    agent: torch.Tensor
    action: torch.Tensor
    taught: torch.Tensor
    trajectories: tuple[Trajectory, ...]
    seed: tuple[int, ...]
    first_row: Ints

    @property
    def decided(self) -> Ints:
        """The rows that are decisions."""
        lengths = [len(trajectory.action) for trajectory in self.trajectories]
        return np.concatenate([first + np.arange(n) for first, n in zip(self.first_row, lengths, strict=True)])


def batches_of(episodes: Sequence[Episode], layout: Layout) -> list[Batch]:
    """One batch per group that was asked anything."""
    found = [(episode.seed, each) for episode in episodes for each in episode.trajectories]
    batches = []
    for group in layout.groups:
        mine = [(seed, each) for seed, each in found if each.agent in group.agents]
        if mine:
            batches.append(_batch(group, [each for _, each in mine], tuple(seed for seed, _ in mine)))
    return batches


def _batch(group: Group, those: list[Trajectory], seeds: tuple[int, ...]) -> Batch:
    def joined(arrays: list[NDArray[np.generic]]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(arrays))

    rows = [len(each.time_s) for each in those]
    nobody = np.zeros(1, dtype=np.int64)
    return Batch(
        group,
        joined([each.vector for each in those]),
        joined([each.table for each in those if each.table is not None]) if group.rows else None,
        joined([each.mask for each in those]),
        joined([each.memory for each in those]),
        joined([each.state for each in those]),
        joined([np.full(n, group.agents.index(each.agent)) for n, each in zip(rows, those, strict=True)]),
        joined([np.concatenate([each.action, nobody]) for each in those]),
        joined([np.concatenate([each.taught, nobody]) for each in those]),
        tuple(those),
        seeds,
        np.concatenate([[0], np.cumsum(rows)[:-1]]),
    )


def advantages(batch: Batch, values: NDArray[np.float32], config: MarlConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and targets of the critic, per row; 0 where nothing was decided. `values` are in units of reward.

    With siblings, the mean advantage of the same agent at the same time in the other episodes of the same seed is taken
    off: what the load alone brings about is nobody's merit. It does not depend on the own actions, so the gradient
    stays unbiased. Source: Mao et al. 2019 (arXiv 1807.02264).
    """
    longest, count = max(len(each.action) for each in batch.trajectories), len(batch.trajectories)
    reward, discount = np.zeros((2, longest + 1, count), dtype=np.float32)
    value = np.zeros((longest + 2, count), dtype=np.float32)
    over = np.ones((longest + 1, count), dtype=np.bool_)
    for column, (first, each) in enumerate(zip(batch.first_row, batch.trajectories, strict=True)):
        steps = len(each.action)
        reward[:steps, column] = each.reward
        discount[:steps, column] = config.gamma ** (np.diff(each.time_s) / config.tau_s)
        value[: steps + 1, column] = values[first : first + steps + 1]
        over[:steps, column] = False
        over[steps - 1, column] = each.over
        reward[steps, column] = value[steps, column]  # no surprise behind the end
    found = gae(reward, value, over, config.gae_lambda, discount)
    columns = [found[: len(each.action), column] for column, each in enumerate(batch.trajectories)]
    advantage, target = np.zeros((2, len(values)), dtype=np.float32)
    for column, (first, mine) in enumerate(zip(batch.first_row, columns, strict=True)):
        rows = slice(first, first + len(mine))
        target[rows] = mine + values[rows]
        advantage[rows] = mine - _of_siblings(batch, columns, column)
    return torch.from_numpy(advantage), torch.from_numpy(target)


def _of_siblings(batch: Batch, columns: list[NDArray[np.float32]], column: int) -> NDArray[np.float32]:
    """Mean advantage of the same agent at the same times in the other episodes of the same seed."""
    mine = batch.trajectories[column]
    others = [
        np.interp(mine.time_s[:-1], each.time_s[:-1], columns[number])
        for number, each in enumerate(batch.trajectories)
        if number != column and batch.seed[number] == batch.seed[column] and each.agent == mine.agent
    ]
    if not others:
        return np.zeros(len(mine.action), dtype=np.float32)
    return np.asarray(np.mean(others, axis=0), dtype=np.float32)


NOTHING = -1
"""Stands for no row where a sequence is shorter than the others of its minibatch."""


def minibatches(batch: Batch, size: int, chunk: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Rows to learn from in one pass, shuffled: (chunk, B) each, so many that chunk * B is about `size`.

    A column is that many decisions of one trajectory in their order, for a GRU; without one, chunk is 1.
    """
    starts, ends = [], []
    for first, each in zip(batch.first_row, batch.trajectories, strict=True):
        those = np.arange(first, first + len(each.action), chunk)
        starts.append(those)
        ends.append(np.minimum(those + chunk, first + len(each.action)))
    start, end = np.concatenate(starts), np.concatenate(ends)
    for part in np.array_split(rng.permutation(len(start)), max(1, len(start) * chunk // size)):
        rows = start[part] + np.arange(chunk)[:, None]
        yield np.where(rows < end[part], rows, NOTHING)
