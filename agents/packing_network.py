"""A network that scores pods and nodes with shared weights: trained on 4 to 16 nodes, it repairs clusters of any size.

A pod is embedded from its columns; a node from its columns and the sum of the pods on it; then a pod is scored from
its embedding, its node's and the focus's, and a node from its own and the focus's. Means stand for the whole cluster.

It is written down twice: in torch for training and in numpy for playing, where only the stage at hand is computed.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numba import njit
from numpy.typing import NDArray

from clustersim.envs.packing_columns import NODE_COLUMNS, POD_COLUMNS, ROWS_TOLD, STATE_COLUMNS
from clustersim.errors import ClustersimError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

_NAMES = [column.name for column in POD_COLUMNS]
NODE_OF_POD, FOCUS, RUNS = _NAMES.index("node"), _NAMES.index("focus"), _NAMES.index("runs")
POD_FEATURES = _NAMES.index("node")  # the last two columns are rows, which are no quantities
SUM_SCALE = 0.25
"""Sums of embeddings over the pods of a node are scaled by this: a node of the benchmark holds about four."""


class PackingWeights:
    """The trained parameters as plain arrays by name, and what they say of a choice."""

    def __init__(self, arrays: dict[str, Floats]) -> None:
        self.arrays = arrays

    def logits(self, pods: Floats, nodes: Floats, state: Floats) -> Floats:
        """Of the stage at hand: (P + 1,) for the pods and to be done, or (N + 1,) for the nodes and to evict."""
        w = self.arrays
        rows = np.rint(pods[:, NODE_OF_POD] * ROWS_TOLD).astype(np.int64) - 1
        embedded = _times(pods[:, :POD_FEATURES], w["pod.weight"])
        embedded += w["pod_state.weight"] @ state + w["pod.bias"]
        np.maximum(embedded, 0, out=embedded)
        pending = rows < 0
        waiting = embedded[pending].mean(axis=0) if pending.any() else np.zeros(embedded.shape[1], dtype=np.float32)
        focus = np.flatnonzero(pods[:, FOCUS])
        focused = embedded[focus[0]] if len(focus) else np.zeros_like(waiting)
        on_node = np.zeros((len(nodes) + 1, embedded.shape[1]), dtype=np.float32)
        _add_to_rows(embedded, rows, on_node)
        on_node *= SUM_SCALE
        common = np.concatenate([focused, waiting, state])
        node = _times(nodes, w["node.weight"]) + _times(on_node[:-1], w["node_pods.weight"])
        node += w["node_common.weight"] @ common + w["node.bias"]
        np.maximum(node, 0, out=node)
        mean = node.mean(axis=0)
        whole = np.concatenate([common, mean])
        if state[0] > 0.5:
            score = _times(node, w["destination.weight"])
            score += w["destination_common.weight"] @ whole + w["destination.bias"]
            return np.append(np.maximum(score, 0) @ w["destination_logit.weight"][0], _head(w, "evict", whole))
        on_node[:-1] = node
        on_node[-1] = 0  # row -1: a pending pod runs on no node
        score = _times(embedded, w["choice.weight"]) + _times(on_node, w["choice_node.weight"])[rows]
        score += w["choice_common.weight"] @ whole + w["choice.bias"]
        return np.append(np.maximum(score, 0) @ w["choice_logit.weight"][0], _head(w, "done", whole))

    def save(self, path: Path) -> None:
        np.savez(path, **self.arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> PackingWeights:
        try:
            # Opened here, because np.load leaves a file open that it finds to be damaged.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except (OSError, EOFError, KeyError, ValueError, BadZipFile, zlib.error) as error:
            raise ClustersimError(f"{path} does not hold the weights of a packing agent: {error}") from error
        missing = sorted(PARAMETERS - set(found))
        if missing:
            raise ClustersimError(f"{path} does not hold the weights of a packing agent: it has no {missing[0]!r}")
        return cls(found)


def _times(rows: Floats, weight: Floats) -> Floats:
    """rows @ weight.T, in slices that OpenBLAS multiplies in one thread.

    Above 2 ** 18 multiplications it takes more, which on a busy machine costs ten times what they save.
    """
    out = np.empty((len(rows), len(weight)), dtype=np.float32)
    step = max(1, (1 << 18) // weight.size)
    for start in range(0, len(rows), step):
        np.matmul(rows[start : start + step], weight.T, out=out[start : start + step])
    return out


@njit(cache=True)
def _add_to_rows(values, rows, out):  # type: ignore[no-untyped-def]
    for i in range(len(rows)):
        out[rows[i]] += values[i]


def _head(w: dict[str, Floats], name: str, whole: Floats) -> Floats:
    hidden = np.maximum(w[f"{name}.0.weight"] @ whole + w[f"{name}.0.bias"], 0)
    out: Floats = w[f"{name}.2.weight"] @ hidden + w[f"{name}.2.bias"]
    return out


PARAMETERS = {
    f"{layer}.{part}"
    for layer in ("pod", "node", "destination", "choice", "evict.0", "evict.2", "done.0", "done.2")
    for part in ("weight", "bias")
} | {
    f"{layer}.weight"
    for layer in (
        "pod_state", "node_pods", "node_common",
        "destination_common", "destination_logit", "choice_node", "choice_common", "choice_logit",
    )
}  # fmt: skip
"""What playing needs of the trained twin."""


def torch_network(hidden: int) -> torch.nn.Module:
    """The trainable twin.

    pods (B, P, columns), nodes (B, N, columns), state (B, columns), all of one size, to logits of all candidates
    (B, P + 1 + N + 1) and values (B,).
    """
    import torch
    from torch import nn

    def linear(inputs: int, outputs: int = hidden) -> nn.Linear:
        return nn.Linear(inputs, outputs, bias=False)

    def head(inputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    class PackingNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            states = len(STATE_COLUMNS)
            common, whole = 2 * hidden + states, 3 * hidden + states
            self.pod, self.pod_state = nn.Linear(POD_FEATURES, hidden), linear(states)
            self.node, self.node_pods = nn.Linear(len(NODE_COLUMNS), hidden), linear(hidden)
            self.node_common = linear(common)
            self.choice, self.choice_node, self.choice_common = nn.Linear(hidden, hidden), linear(hidden), linear(whole)
            self.choice_logit = linear(hidden, 1)
            self.destination, self.destination_common = nn.Linear(hidden, hidden), linear(whole)
            self.destination_logit = linear(hidden, 1)
            self.done, self.evict, self.value = head(whole), head(whole), head(whole + hidden)

        def forward(
            self, pods: torch.Tensor, nodes: torch.Tensor, state: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            rows = (pods[:, :, NODE_OF_POD] * ROWS_TOLD).round().long() - 1
            embedded = torch.relu(self.pod(pods[:, :, :POD_FEATURES]) + self.pod_state(state)[:, None])
            pending = (rows < 0).float().unsqueeze(2)
            waiting = (embedded * pending).sum(1) / pending.sum(1).clamp(min=1)
            focused = (embedded * pods[:, :, FOCUS : FOCUS + 1]).sum(1)
            runs_on = (rows[:, None] == torch.arange(nodes.shape[1])[:, None]).float()  # (B, N, P)
            on_node = torch.bmm(runs_on, embedded) * SUM_SCALE
            common = torch.cat([focused, waiting, state], dim=1)
            node = torch.relu(self.node(nodes) + self.node_pods(on_node) + self.node_common(common)[:, None])
            whole = torch.cat([common, node.mean(1)], dim=1)
            of_node = torch.bmm(runs_on.transpose(1, 2), self.choice_node(node))
            chosen = torch.relu(self.choice(embedded) + of_node + self.choice_common(whole)[:, None])
            placed = torch.relu(self.destination(node) + self.destination_common(whole)[:, None])
            logits = [
                self.choice_logit(chosen).squeeze(2),
                self.done(whole),
                self.destination_logit(placed).squeeze(2),
                self.evict(whole),
            ]
            return torch.cat(logits, dim=1), self.value(torch.cat([whole, chosen.mean(1)], dim=1)).squeeze(1)

    return PackingNetwork()


def weights_of(network: torch.nn.Module) -> PackingWeights:
    """The trained parameters as plain arrays; the critic stays behind."""
    state = network.state_dict()
    return PackingWeights({name: state[name].detach().cpu().numpy().astype(np.float32) for name in sorted(PARAMETERS)})
