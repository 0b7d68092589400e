"""The network of an actor: rows of a table are scored with the same weights, whatever else may be chosen from a sum.

It is written down twice: in numpy for playing (workers and benchmarks start without torch, and small batches are
faster) and in torch for learning; a test holds the two together.

    common = vector, mean and maximum of the legal rows, memory
    row k  -> two hidden layers of (row, common) -> its logit; further actions -> two hidden layers of common
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustersim.agents.marl_task import Group

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """Plain arrays by the names of the torch twin."""

    arrays: Mapping[str, Floats]

    @property
    def memory(self) -> int:
        """Features that are remembered between two decisions; 0 without a GRU."""
        return len(self.arrays["memory.weight_hh_l0"][0]) if "memory.weight_hh_l0" in self.arrays else 0

    def look(self, vector: Floats, table: Floats | None, mask: Bools, memory: Floats) -> tuple[Floats, Floats]:
        """Logits (B, actions), -inf where illegal, and the memory (B, H) after the look."""
        a = self.arrays
        common = vector if table is None else np.concatenate([vector, pooled(table, mask)], axis=1)
        if memory.shape[1]:
            memory = _remember(a, common, memory)
            common = np.concatenate([common, memory], axis=1)
        logits = np.full(mask.shape, -np.inf, dtype=np.float32)
        rows = 0 if table is None else table.shape[1]
        if table is not None:
            game, row = np.nonzero(mask[:, :rows])
            columns = table.shape[2]
            weight = a["row_first.weight"]
            of_all = common @ weight[:, columns:].T + a["row_first.bias"]
            hidden = np.tanh(table[game, row] @ weight[:, :columns].T + of_all[game])
            hidden = np.tanh(hidden @ a["row_second.weight"].T + a["row_second.bias"])
            logits[game, row] = hidden @ a["row_logit.weight"][0]
        if rows < mask.shape[1]:
            hidden = np.tanh(common @ a["first.weight"].T + a["first.bias"])
            hidden = np.tanh(hidden @ a["second.weight"].T + a["second.bias"])
            further = hidden @ a["logit.weight"].T + a["logit.bias"]
            logits[:, rows:] = np.where(mask[:, rows:], further, -np.inf)
        return logits, memory


def pooled(table: Floats, mask: Bools) -> Floats:
    """Mean and maximum of the legal rows, (B, 2 * columns); zeros where no row is legal."""
    legal = mask[:, : table.shape[1], None]
    count = np.maximum(legal.sum(axis=1), 1)
    mean = (table * legal).sum(axis=1) / count
    most = np.where(legal, table, -np.inf).max(axis=1)
    return np.concatenate([mean, np.where(np.isfinite(most), most, 0)], axis=1, dtype=np.float32)


def _remember(a: Mapping[str, Floats], seen: Floats, memory: Floats) -> Floats:
    """One step of a GRU, with the gates in torch's order."""
    new = seen @ a["memory.weight_ih_l0"].T + a["memory.bias_ih_l0"]
    old = memory @ a["memory.weight_hh_l0"].T + a["memory.bias_hh_l0"]
    size = memory.shape[1]
    gates = 1 / (1 + np.exp(-(new[:, : 2 * size] + old[:, : 2 * size])))
    reset, keep = gates[:, :size], gates[:, size:]
    candidate = np.tanh(new[:, 2 * size :] + reset * old[:, 2 * size :])
    return ((1 - keep) * candidate + keep * memory).astype(np.float32)  # type: ignore[no-any-return]


def common_features(group: Group) -> int:
    """Length of `common` without memory."""
    return group.vector + 2 * group.columns


def torch_pooled(table: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`pooled` in torch."""
    import torch

    legal = mask[:, : table.shape[1], None]
    mean = (table * legal).sum(1) / legal.sum(1).clamp(min=1)
    most = table.masked_fill(~legal, -torch.inf).amax(1)
    return torch.cat([mean, most.masked_fill(~torch.isfinite(most), 0.0)], dim=1)


def torch_actor(group: Group, hidden: int, recurrent: bool) -> torch.nn.Module:
    """The trainable twin: `forward(vector, table, mask, memory)` to logits (L * B, actions), -inf where illegal.

    Rows are L decisions of each of B sequences, all first ones first; `memory` (B, H) is that before the first.
    """
    import torch
    from torch import nn

    class TorchActor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            common = common_features(group)
            if recurrent:
                self.memory = nn.GRU(common, hidden)
                common += hidden
            if group.rows:
                self.row_first = linear(group.columns + common, hidden)
                self.row_second = linear(hidden, hidden)
                self.row_logit = linear(hidden, 1, gain=0.01, bias=False)
            if group.extras:
                self.first = linear(common, hidden)
                self.second = linear(hidden, hidden)
                self.logit = linear(hidden, group.extras, gain=0.01)

        def forward(
            self, vector: torch.Tensor, table: torch.Tensor | None, mask: torch.Tensor, memory: torch.Tensor
        ) -> torch.Tensor:
            common = vector if table is None else torch.cat([vector, torch_pooled(table, mask)], dim=1)
            if recurrent:
                sequences = common.view(-1, len(memory), common.shape[1])
                remembered, _ = self.memory(sequences, memory[None])
                common = torch.cat([common, remembered.reshape(len(common), -1)], dim=1)
            logits = torch.full(mask.shape, -torch.inf)
            if table is not None:
                game, row = mask[:, : group.rows].nonzero(as_tuple=True)
                weight, columns = self.row_first.weight, group.columns
                of_all = common @ weight[:, columns:].T + self.row_first.bias
                inner = torch.tanh(table[game, row] @ weight[:, :columns].T + of_all[game])
                inner = torch.tanh(self.row_second(inner))
                logits = logits.index_put((game, row), self.row_logit(inner).squeeze(1))
            if group.extras:
                inner = torch.tanh(self.second(torch.tanh(self.first(common))))
                further = self.logit(inner).masked_fill(~mask[:, group.rows :], -torch.inf)
                logits = torch.cat([logits[:, : group.rows], further], dim=1)
            return logits

    return TorchActor()


def linear(inputs: int, outputs: int, gain: float = 2**0.5, bias: bool = True) -> torch.nn.Linear:
    """A layer with orthogonal weights and no offsets."""
    from torch import nn

    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.orthogonal_(layer.weight, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def weights_of(network: torch.nn.Module) -> Actor:
    """The trained parameters as plain arrays."""
    return Actor({name: value.detach().numpy().copy() for name, value in network.state_dict().items()})
