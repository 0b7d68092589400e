"""MaskablePPO (sb3-contrib) with the node-wise network in place of its default one."""

from __future__ import annotations

from functools import partial
from typing import Any

from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from clustersim.agents.nodewise import NodewiseShape, torch_network


class NodewisePolicy(MaskableActorCriticPolicy):
    """Actor and critic on flat observations of `PodPlacementEnv`; pass `shape`, `rows` and `waits` as policy_kwargs."""

    def __init__(self, *args: Any, shape: NodewiseShape, rows: int, waits: bool, **kwargs: Any) -> None:
        self._make_network = partial(torch_network, shape, rows, waits)
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = self._make_network()  # type: ignore[assignment]

    def _build(self, lr_schedule: Schedule) -> None:
        self.ortho_init = False  # the network initialises itself
        super()._build(lr_schedule)
        # The network's outputs are the logits already; a linear layer on top would tie the weights to one size.
        self.action_net = nn.Identity()
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]
