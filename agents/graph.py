"""A message-passing network over the padded graph of tasks: it scores ready tasks, or pairs of one and a machine.

Two rounds of messages go from successors to their predecessors, so that a task knows what waits for it; the mean and
the sum over all tasks stand for the whole system. Weights are shared by all tasks, pairs and machines, so a network
plays instances of any size. (After the graph network of Decima, arXiv 1810.01963, section 5.1.)

It is written down twice: in torch for training and in numpy for playing, where padding is left out.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.envs.dag_columns import PAIR_COLUMNS, STATE_COLUMNS, TASK_COLUMNS
from clustersim.errors import ClustersimError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

ROUNDS = 2
MESSAGE_SCALE = 0.5
SUM_SCALE = 0.02
"""Sums over successors and over all tasks are scaled by these, so that activations stay near 1."""

READY = [column.name for column in TASK_COLUMNS].index("ready")
POSSIBLE = [column.name for column in PAIR_COLUMNS].index("possible")

PARAMETERS = {
    *(f"{layer}.{part}" for layer in ("task", "score", "whole") for part in ("weight", "bias")),
    *(f"{layer}.{index}.weight" for layer in ("send", "gather") for index in range(ROUNDS)),
    *(f"{layer}.weight" for layer in ("score_state", "logit")),
}
"""What playing needs of the trained twin; dispatchers also have `score_pair.weight`."""


class GraphWeights:
    """The trained parameters as plain arrays by name, and the logits they give."""

    def __init__(self, arrays: dict[str, Floats]) -> None:
        self.arrays = arrays

    @property
    def dispatches(self) -> bool:
        """Whether it scores pairs of a task and a machine rather than tasks."""
        return "score_pair.weight" in self.arrays

    def logits(self, seen: dict[str, Floats]) -> Floats:
        """Of every row in use, (R,), or of every pair of the slots in use, (S, M), as a dispatcher.

        `seen` is an observation of `DagObserver`.
        """
        w = self.arrays
        used = int(seen["task_mask"].sum())
        edges = seen["edges"][: int(seen["edge_mask"].sum())].astype(np.int64)
        tasks = seen["tasks"][:used]
        hidden = np.maximum(tasks @ w["task.weight"].T + w["task.bias"], 0)
        for index in range(ROUNDS):
            messages = np.zeros_like(hidden)
            sent = np.maximum(hidden @ w[f"send.{index}.weight"].T, 0)
            _gather(sent, edges, messages)
            hidden = hidden + np.maximum(messages * MESSAGE_SCALE @ w[f"gather.{index}.weight"].T, 0)
        pooled = np.concatenate([hidden.sum(axis=0) / max(1, used), hidden.sum(axis=0) * SUM_SCALE, seen["state"]])
        whole = np.maximum(w["whole.weight"] @ pooled + w["whole.bias"], 0)
        common = w["score.bias"] + w["score_state.weight"] @ whole
        if not self.dispatches:
            score = np.maximum(hidden @ w["score.weight"].T + common, 0)
            return score @ w["logit.weight"][0]  # type: ignore[no-any-return]
        rows = seen["slot_row"].astype(np.int64)
        rows = rows[rows > 0] - 1
        pairs = seen["pairs"].reshape(len(seen["slot_row"]), -1, len(PAIR_COLUMNS))[: len(rows)]
        score = (hidden[rows] @ w["score.weight"].T + common)[:, None] + pairs @ w["score_pair.weight"].T
        return np.maximum(score, 0) @ w["logit.weight"][0]  # type: ignore[no-any-return]

    def save(self, path: Path) -> None:
        np.savez(path, **self.arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> GraphWeights:
        try:
            # Opened here, because np.load leaves a file open that it finds to be damaged.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except (OSError, EOFError, KeyError, ValueError, BadZipFile, zlib.error) as error:
            raise ClustersimError(f"{path} does not hold the weights of a graph agent: {error}") from error
        missing = sorted(PARAMETERS - set(found))
        if missing:
            raise ClustersimError(f"{path} does not hold the weights of a graph agent: it has no {missing[0]!r}")
        return cls(found)


@njit(cache=True)
def _gather(sent: Floats, edges: NDArray[np.int64], out: Floats) -> None:
    """Add what each successor sends to its predecessors."""
    for edge in range(len(edges)):
        out[edges[edge, 0]] += sent[edges[edge, 1]]


def torch_network(hidden: int, dispatches: bool) -> torch.nn.Module:
    """The trainable twin: a dictionary of padded observations to logits (B, R) or (B, S * M), and values (B,)."""
    import torch
    from torch import nn

    def linear(inputs: int, outputs: int = hidden) -> nn.Linear:
        return nn.Linear(inputs, outputs, bias=False)

    class GraphNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pooled = 2 * hidden + len(STATE_COLUMNS)
            self.task = nn.Linear(len(TASK_COLUMNS), hidden)
            self.send = nn.ModuleList(linear(hidden) for _ in range(ROUNDS))
            self.gather = nn.ModuleList(linear(hidden) for _ in range(ROUNDS))
            self.whole = nn.Linear(pooled, hidden)
            self.score, self.score_state = nn.Linear(hidden, hidden), linear(hidden)
            if dispatches:
                self.score_pair = linear(len(PAIR_COLUMNS))
            self.logit = linear(hidden, 1)
            with torch.no_grad():
                # Inputs are logarithms over 4, so their differences are small.
                self.task.weight *= 4
                if dispatches:
                    self.score_pair.weight *= 4
            self.value = nn.Sequential(nn.Linear(pooled + 2 * hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, 1))

        def forward(self, seen: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            mask = seen["task_mask"][:, :, None]
            of_edge = seen["edge_mask"][:, :, None]
            source, target = (seen["edges"][:, :, end, None].long().expand(-1, -1, hidden) for end in (0, 1))
            state = torch.relu(self.task(seen["tasks"])) * mask
            for send, gather in zip(self.send, self.gather, strict=True):
                sent = torch.relu(send(state)).gather(1, target) * of_edge
                messages = torch.zeros_like(state).scatter_add(1, source, sent)
                state = state + torch.relu(gather(messages * MESSAGE_SCALE)) * mask
            total = state.sum(1)
            mean = total / mask.sum(1).clamp(min=1)
            pooled = torch.cat([mean, total * SUM_SCALE, seen["state"]], dim=1)
            whole = torch.relu(self.whole(pooled))
            common = self.score_state(whole)[:, None]
            if dispatches:
                rows = (seen["slot_row"].long() - 1).clamp(min=0)
                chosen = state.gather(1, rows[:, :, None].expand(-1, -1, hidden))
                pairs = self.score_pair(seen["pairs"]).unflatten(1, (rows.shape[1], -1))
                score = ((self.score(chosen) + common)[:, :, None] + pairs).flatten(1, 2)
                possible = seen["pairs"][:, :, POSSIBLE, None]
            else:
                score = self.score(state) + common
                possible = seen["tasks"][:, :, READY, None]
            score = torch.relu(score)
            # What can be chosen tells the critic how long the machines are busy.
            choice = (score * possible).sum(1) / possible.sum(1).clamp(min=1)
            value = self.value(torch.cat([pooled, whole, choice], dim=1))
            return self.logit(score).squeeze(-1), value.squeeze(1)

    return GraphNetwork()


def weights_of(network: torch.nn.Module) -> GraphWeights:
    """The trained parameters as plain arrays; the critic stays behind."""
    state = network.state_dict()
    names = [name for name in sorted(state) if not name.startswith("value.")]
    return GraphWeights({name: state[name].detach().cpu().numpy().astype(np.float32) for name in names})
