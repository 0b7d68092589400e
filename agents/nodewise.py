"""A network that scores every node with the same weights, so that a policy trained on 64 nodes runs on 1,213.

It is written down twice: in torch for training and in numpy for playing. Playing needs no torch, starts at once and
is faster for one decision at a time; a test holds the two together.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ClustersimError

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NodewiseShape:
    """`node_features` and `pod_features` are the columns of the environment; column 0 of a node is `fits`."""

    node_features: int
    pod_features: int
    hidden: int = 32

    @property
    def inputs(self) -> int:
        """Per node: its own features, their mean over the nodes that fit, and the pod's features."""
        return 2 * self.node_features + self.pod_features


@dataclass(frozen=True, slots=True, eq=False)
class NodewiseWeights:
    """input -> hidden -> hidden -> one logit, tanh in between; `wait` scores waiting from (mean features, pod).

    The first layer is stored whole, (inputs, hidden); the parts that belong to the cluster and the pod are the same
    for all nodes of a decision and are multiplied once.
    """

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    logit: Floats
    wait: Floats
    wait_bias: Floats

    def logits(self, nodes: Floats, pod: Floats, wait: bool) -> Floats:
        """Logit of each row of `nodes` (N, features), all of which fit, and at the end of waiting if there is such."""
        mean = nodes.mean(axis=0)
        common = np.concatenate([mean, pod])
        split = nodes.shape[1]
        hidden = np.tanh(nodes @ self.first[:split] + (common @ self.first[split:] + self.first_bias))
        hidden = np.tanh(hidden @ self.second + self.second_bias)
        out = hidden @ self.logit
        return np.append(out, common @ self.wait + self.wait_bias) if wait else out

    def save(self, path: Path) -> None:
        """Plain arrays by name, uncompressed enough to be read by numpy alone."""
        np.savez(path, **{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, path: Path) -> NodewiseWeights:
        try:
            # Opened here, because np.load leaves a file open that it finds to be damaged.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls(**{name: arrays[name] for name in cls.__slots__})
        except (OSError, EOFError, KeyError, ValueError, BadZipFile, zlib.error) as error:
            raise ClustersimError(f"{path} does not hold the weights of a node-wise policy: {error}") from error


def torch_network(shape: NodewiseShape, rows: int, waits: bool) -> torch.nn.Module:
    """The trainable twin: flat observations (B, rows * node_features + pod_features) to logits and value features.

    It has the interface that stable-baselines3 expects of an `mlp_extractor`.
    """
    import torch
    from torch import nn

    class Nodewise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(shape.inputs, shape.hidden)
            self.second = nn.Linear(shape.hidden, shape.hidden)
            self.logit = nn.Linear(shape.hidden, 1, bias=False)
            self.wait = nn.Linear(shape.node_features + shape.pod_features, 1)
            self.value = nn.Sequential(
                nn.Linear(2 * shape.node_features + shape.pod_features, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()
            )
            nn.init.orthogonal_(self.logit.weight, gain=0.01)
            nn.init.zeros_(self.wait.weight)
            self.waits = waits
            self.latent_dim_pi = rows + waits
            self.latent_dim_vf = 64

        def _split(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            nodes = flat[:, : rows * shape.node_features].view(-1, rows, shape.node_features)
            pod = flat[:, rows * shape.node_features :]
            fits = nodes[:, :, :1]
            mean = (nodes * fits).sum(1) / fits.sum(1).clamp(min=1)
            return nodes, mean, pod

        def forward(self, flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.forward_actor(flat), self.forward_critic(flat)

        def forward_actor(self, flat: torch.Tensor) -> torch.Tensor:
            nodes, mean, pod = self._split(flat)
            common = torch.cat([mean, pod], dim=1)
            weight, split = self.first.weight, shape.node_features
            of_all = common @ weight[:, split:].T + self.first.bias
            hidden = torch.tanh(nodes @ weight[:, :split].T + of_all[:, None])
            logits = self.logit(torch.tanh(self.second(hidden))).squeeze(2)
            return torch.cat([logits, self.wait(common)], dim=1) if waits else logits

        def forward_critic(self, flat: torch.Tensor) -> torch.Tensor:
            nodes, mean, pod = self._split(flat)
            return self.value(torch.cat([nodes.mean(1), mean, pod], dim=1))  # type: ignore[no-any-return]

    return Nodewise()


def weights_of(network: torch.nn.Module) -> NodewiseWeights:
    """The trained parameters as plain arrays; a network that was not trained to wait never prefers to."""
    state = {name: value.detach().cpu().numpy().astype(np.float32) for name, value in network.state_dict().items()}
    return NodewiseWeights(
        first=state["first.weight"].T.copy(),
        first_bias=state["first.bias"],
        second=state["second.weight"].T.copy(),
        second_bias=state["second.bias"],
        logit=state["logit.weight"][0],
        wait=state["wait.weight"][0],
        wait_bias=state["wait.bias"][0] if network.waits else np.array(-np.inf, dtype=np.float32),
    )
