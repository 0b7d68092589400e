"""Episodes for PPO: many tasks played side by side by the probabilities, and every step remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch

from clustersim.agents.ppo_parts import gae
from clustersim.agents.two_stage import (
    Batch,
    Look,
    NodeLook,
    Played,
    TwoStage,
    drawn,
    look_for_node,
    look_for_vm,
    moves_of,
    vms_of,
)
from clustersim.vm_plan import Task


class Episodes:
    """One episode per task; all fleets have as many machines. An episode ends after MNL moves, or where none is legal.

    The reward of a move is what it takes off the fragments, in flavours; an illegal one changes nothing and costs
    `penalty` flavours.
    """

    def __init__(self, network: TwoStage, tasks: Sequence[Task], penalty: float = 0.0) -> None:
        self.penalty = penalty
        self.network = network
        self.states = [task.state() for task in tasks]
        self.mnl = [task.mnl for task in tasks]
        self.made = [0] * len(tasks)
        self._looks: list[tuple[list[int], Look, NodeLook, torch.Tensor, torch.Tensor]] = []
        self._rewards = [np.zeros(mnl, np.float32) for mnl in self.mnl]
        self._values = [np.zeros(mnl, np.float32) for mnl in self.mnl]

    @property
    def moves(self) -> int:
        return sum(self.made)

    @property
    def gained(self) -> float:
        """What a move gained on average, in flavours."""
        return float(sum(reward.sum() for reward in self._rewards)) / max(1, self.moves)

    def step(self, rng: np.random.Generator) -> bool:
        """A move in each episode that goes on; False when there is none."""
        playing = [
            b
            for b, state in enumerate(self.states)
            if self.made[b] < self.mnl[b] and state.vm_mask(np.empty(state.rows, np.bool_))
        ]
        if not playing:
            return False
        states = [self.states[b] for b in playing]
        first = look_for_vm(self.network, states, [self.made[b] for b in playing], [self.mnl[b] for b in playing])
        vm = drawn(first.vm_log_p, rng)
        second = look_for_node(self.network, first, states, vm)
        node = drawn(second.log_p, rng)
        mean_gain = self.network.values(first.known)
        self._looks.append((playing, first, second, vm, node))
        moves = moves_of(vms_of(first.seen, vm), node)
        for b, state, move, value in zip(playing, states, moves, mean_gain.tolist(), strict=True):
            at = self.made[b]
            before = state.fragments
            if legal := state.may_move(*move):
                state.move(*move)
            gained = (before - state.fragments) / state.flavour_cores
            self._rewards[b][at] = gained if legal else -self.penalty
            self._values[b][at] = value * (self.mnl[b] - at)
            self.made[b] += 1
        return True

    def played(self, gamma: float, gae_lambda: float) -> Played:
        """All steps, with advantages and targets."""
        steps = max(self.mnl)
        rewards, values = (
            np.stack([np.pad(row, (0, steps - len(row))) for row in rows], axis=1)
            for rows in (self._rewards, self._values)
        )
        values = np.concatenate([values, np.zeros_like(values[:1])])  # behind the end nothing is gained any more
        discount = np.full_like(rewards, gamma)
        advantage = gae(rewards, values, np.zeros(rewards.shape, np.bool_), gae_lambda, discount)
        target = advantage + values[:-1]
        deepest = max(first.seen.count.shape[2] for _, first, *_ in self._looks)
        kinds = max(first.seen.room.shape[1] for _, first, *_ in self._looks)
        batches, chosen, rows = [], [], []
        at = [0] * len(self.states)
        for playing, first, _, vm, _ in self._looks:
            depth = first.seen.count.shape[2]
            batches.append(_padded(first.batch, deepest - depth, kinds - first.seen.room.shape[1]))
            chosen.append(vm // depth * deepest + vm % depth)
            rows += [(at[b], b) for b in playing]
            for b in playing:
                at[b] += 1
        t, b = np.array(rows).T
        log_p = [
            first.vm_log_p.gather(1, vm[:, None]) + second.log_p.gather(1, node[:, None])
            for _, first, second, vm, node in self._looks
        ]
        return Played(
            Batch(*(torch.cat([getattr(batch, field.name) for batch in batches]) for field in fields(Batch))),
            torch.cat([second.nodes for _, _, second, _, _ in self._looks]),
            torch.cat([second.legal for _, _, second, _, _ in self._looks]),
            torch.cat(chosen),
            torch.cat([node for *_, node in self._looks]),
            torch.cat(log_p).squeeze(1),
            torch.from_numpy(np.array(self.mnl)[b] - t).float(),
            torch.from_numpy(advantage[t, b]),
            torch.from_numpy(target[t, b]),
        )


def _padded(batch: Batch, by: int, kinds: int) -> Batch:
    """The same with more empty places for classes of VMs on every machine, and more shapes that nothing has."""
    pad = torch.nn.functional.pad
    return Batch(
        batch.pm,
        pad(batch.vm, (0, 0, 0, by)),
        batch.step,
        pad(batch.count, (0, by)),
        pad(batch.shape, (0, by)),
        pad(batch.legal, (0, by)),
        pad(batch.room, (0, 0, 0, 0, 0, kinds)),
    )
