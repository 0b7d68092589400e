"""The two-stage agent: which VM to migrate, then to which NUMA node; network, choice, imitation and PPO.

A block of the network looks along the tree of a machine (the machine and its VMs), among machines, among VMs, and from
VMs to machines. The latter two go through one hub per shape, which looks at the VMs of the shape and at all machines,
as in the induced attention of "Set Transformer" (arXiv 1810.00825): full attention among 2,000 VMs would take longer
than all the rest. Nothing depends on how many there are, so what was trained on 40 machines plays 280.
Source of the two stages and of attention along trees: "VMR2L" (EuroSys'25, arXiv 2505.17359).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from clustersim.agents.ppo_parts import clipped_gain, descend, draw, entropy_of, minibatches
from clustersim.agents.vm_tokens import (
    NODE_COLUMNS,
    PM_COLUMNS,
    PM_PUBLISHED,
    STEP_COLUMNS,
    VM_COLUMNS,
    VM_PUBLISHED,
    Seen,
    look,
    look_at_nodes,
)
from clustersim.errors import ConfigError
from clustersim.vm_fleet import Bools
from clustersim.vm_plan import Move
from clustersim.vm_state import FleetState

Attention = Literal["tree", "plain", "none"]
Features = Literal["all", "published"]
Action = Literal["two-stage", "penalty", "joint"]


@dataclass(frozen=True)
class NetworkShape:
    """What a network is made of; an agent stores it beside its weights."""

    width: int = 32
    heads: int = 2
    blocks: int = 2
    attention: Attention = "tree"
    """tree, plain (without the look along the tree) or none."""
    features: Features = "all"
    """all, or the published observation only."""
    action: Action = "two-stage"
    """two-stage: both choices among what is legal; penalty: among everything, and an illegal move is paid for; joint:
    one choice among all legal pairs of a VM and a NUMA node."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.heads < 1 or self.blocks < 1 or self.width % self.heads:
            raise ConfigError(
                f"width {self.width}, heads {self.heads} and blocks {self.blocks} have to be at least 1, "
                "and the width a multiple of the heads"
            )
        for name, value, known in (
            ("attention", self.attention, get_args(Attention)),
            ("features", self.features, get_args(Features)),
            ("action", self.action, get_args(Action)),
        ):
            if value not in known:
                raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(known)}")


@dataclass(frozen=True, eq=False)
class Batch:
    """`Seen` as tensors."""

    pm: torch.Tensor
    vm: torch.Tensor
    step: torch.Tensor
    count: torch.Tensor
    shape: torch.Tensor
    legal: torch.Tensor
    room: torch.Tensor

    @classmethod
    def of(cls, seen: Seen) -> Batch:
        return cls(*(torch.from_numpy(getattr(seen, field.name)) for field in fields(cls)))


@dataclass(frozen=True, eq=False)
class Known:
    """What the blocks make of a batch: embeddings of machines (B, P, D), VM classes (B, P * G, D), the step (B, D)."""

    pm: torch.Tensor
    vm: torch.Tensor
    step: torch.Tensor


class TwoStage(nn.Module):
    """Scores of VM classes, then of NUMA nodes for a chosen class; and the value of a state."""

    def __init__(self, shape: NetworkShape = NetworkShape()) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        all_seen = shape.features == "all"
        self.pm_columns = len(PM_COLUMNS) if all_seen else PM_PUBLISHED
        self.vm_columns = len(VM_COLUMNS) if all_seen else VM_PUBLISHED
        self.pm, self.vm = _mlp(self.pm_columns, width), _mlp(self.vm_columns, width)
        self.hub, self.step = _mlp(VM_PUBLISHED, width), _mlp(len(STEP_COLUMNS), width)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.blocks))
        self.vm_score = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.node_pm, self.node_vm = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.node = nn.Linear(len(NODE_COLUMNS), width, bias=False)
        if shape.action == "joint":
            self.pair_vm, self.pair_node = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.node_score = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.value = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1))

    def know(self, batch: Batch) -> Known:
        """Embeddings of all that is seen."""
        b, p, g = batch.count.shape
        pm, vm = self.pm(batch.pm[..., : self.pm_columns]), self.vm(batch.vm[..., : self.vm_columns])
        step = self.step(batch.step)
        pm = pm + step[:, None]
        weight = batch.count.log()  # of a class in any attention: that of its VMs together; -inf where there is none
        kinds = int(batch.shape.max()) + 1
        is_kind = batch.shape.view(b, 1, p * g) == torch.arange(kinds)[:, None]
        of_kind = (is_kind & (batch.count.view(b, 1, p * g) > 0)).float()
        looks = batch.vm[..., :VM_PUBLISHED].view(b, p * g, -1)
        hub = self.hub(of_kind @ looks / of_kind.sum(2, keepdim=True).clamp(min=1))
        hub_weight = torch.where(is_kind, weight.view(b, 1, p * g), -torch.inf)
        present = nn.functional.pad(torch.where(of_kind.sum(2) > 0, 0.0, -torch.inf), (1, 0))[:, None]
        for block in self.blocks:
            pm, vm, hub, step = block(pm, vm, hub, step, weight, hub_weight, present)
        return Known(pm, vm.reshape(b, p * g, -1), step)

    def vm_logits(self, known: Known, batch: Batch) -> torch.Tensor:
        """(B, P * G), -inf for what may not be chosen; a class weighs as much as its VMs together."""
        if self.shape.action == "joint":
            score = torch.logsumexp(self._pairs(known, batch), dim=2)
        else:
            score = self.vm_score(known.vm).squeeze(2)
        may = batch.count > 0 if self.shape.action == "penalty" else batch.legal
        logits: torch.Tensor = score + batch.count.flatten(1).clamp(min=1).log()
        return logits.masked_fill(~may.flatten(1), -torch.inf)

    def node_logits(
        self, known: Known, batch: Batch, chosen: torch.Tensor, nodes: torch.Tensor, legal: torch.Tensor
    ) -> torch.Tensor:
        """(B, P * 2) for the chosen classes (B,); nodes (B, P, 2, columns) and legal (B, P, 2) as seen for them."""
        rows = torch.arange(len(chosen))
        if self.shape.action == "joint":
            return self._pairs(known, batch)[rows, chosen].masked_fill(~legal.flatten(1), -torch.inf)
        about = self.node_pm(known.pm)[:, :, None] + self.node_vm(known.vm[rows, chosen])[:, None, None]
        score: torch.Tensor = self.node_score(about + self.node(nodes)).flatten(1)
        return score if self.shape.action == "penalty" else score.masked_fill(~legal.flatten(1), -torch.inf)

    def _pairs(self, known: Known, batch: Batch) -> torch.Tensor:
        """(B, P * G, P * 2) of all pairs of a class and a NUMA node; far down where there is no room."""
        b, p, g = batch.count.shape
        node = self.pair_node(known.pm).view(b, 2 * p, -1)
        score: torch.Tensor = self.pair_vm(known.vm) @ node.transpose(1, 2) * self.shape.width**-0.5
        room = batch.room[torch.arange(b)[:, None], batch.shape.flatten(1)].flatten(2)
        elsewhere = torch.arange(p * g)[:, None] // g != torch.arange(2 * p) // 2
        return score.masked_fill(~(room & elsewhere), -1e9)

    def values(self, known: Known) -> torch.Tensor:
        """(B,) what the moves that are left will gain, in flavours."""
        return self.value(torch.cat([known.step, known.pm.mean(1)], dim=1)).squeeze(1)  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.kind = shape.attention
        if self.kind == "tree":
            self.along_tree = _TreeAttention(shape)
        if self.kind != "none":
            self.among_pms, self.into_hubs, self.out_of_vms = (_Attention(shape) for _ in range(3))
        self.think = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(shape.width), _mlp(shape.width, shape.width)) for _ in range(2)
        )

    def forward(self, pm, vm, hub, step, weight, hub_weight, present):  # type: ignore[no-untyped-def]
        b, p, g, d = vm.shape
        if self.kind == "tree":
            pm, vm = self.along_tree(pm, vm, weight)
        if self.kind != "none":
            machines = torch.cat([step[:, None], pm], dim=1)
            machines = self.among_pms(machines, machines)
            step, pm = machines[:, 0], machines[:, 1:]
            vm = vm.view(b, p * g, d)
            hub = self.into_hubs(hub, torch.cat([machines, vm], dim=1), nn.functional.pad(hub_weight, (p + 1, 0)))
            vm = self.out_of_vms(vm, torch.cat([step[:, None], hub], dim=1), present).view(b, p, g, d)
        return pm + self.think[0](pm), vm + self.think[1](vm), hub, step


class _TreeAttention(nn.Module):
    """Attention along the edges of each tree: a machine looks at itself and its VMs, a VM at itself and its machine.

    Pre-norm, multi-head, with residuals; pm (B, P, D), vm (B, P, G, D), weight (B, P, G).
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.scale = shape.heads, (width // shape.heads) ** -0.5
        self.pm_norm, self.vm_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.pm_in, self.vm_in = nn.Linear(width, 3 * width), nn.Linear(width, 3 * width)
        self.pm_out, self.vm_out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, pm: torch.Tensor, vm: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pm_query, pm_key, pm_value = self._split(self.pm_in(self.pm_norm(pm))[:, :, None])
        vm_query, vm_key, vm_value = self._split(self.vm_in(self.vm_norm(vm)))
        itself = (pm_query * pm_key).sum(4)  # (B, P, 1, H)
        down = torch.cat([itself, (pm_query * vm_key).sum(4) + weight[..., None] / self.scale], dim=2)
        share = torch.softmax(down * self.scale, dim=2)[..., None]
        seen = share[:, :, 0] * pm_value[:, :, 0] + (share[:, :, 1:] * vm_value).sum(2)
        gate = torch.sigmoid((vm_query * (pm_key - vm_key)).sum(4) * self.scale)[..., None]  # softmax of two
        vm_seen = vm_value + gate * (pm_value - vm_value)
        return pm + self.pm_out(seen.flatten(2)), vm + self.vm_out(vm_seen.flatten(3))

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x.view(*x.shape[:3], 3, self.heads, -1).unbind(3)


class _Attention(nn.Module):
    """Pre-norm multi-head attention with a residual: (N, Q, D) looks at (N, K, D), with `bias` (N, 1 or Q, K)."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.norm = nn.LayerNorm(width)
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)

    def forward(self, x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        n, _, d = x.shape
        query = self._split(self.query(self.norm(x)))
        key, value = (self._split(part) for part in self.key_value(self.norm(y)).split(d, dim=2))
        seen = scaled_dot_product_attention(query, key, value, None if bias is None else bias[:, None])
        return x + self.out(seen.transpose(1, 2).reshape(n, -1, d))  # type: ignore[no-any-return]

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def _mlp(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


# --- choices


@dataclass(frozen=True, eq=False)
class Look:
    """What the network makes of some states before a VM is chosen; `vm_log_p` (B, P * G)."""

    seen: Seen
    batch: Batch
    known: Known
    vm_log_p: torch.Tensor


@dataclass(frozen=True, eq=False)
class NodeLook:
    """What it makes of the NUMA nodes for the chosen VMs; `log_p` (B, P * 2)."""

    nodes: torch.Tensor
    legal: torch.Tensor
    log_p: torch.Tensor


def look_for_vm(
    network: TwoStage,
    states: Sequence[FleetState],
    made: Sequence[int],
    mnl: Sequence[int],
    stay: Sequence[Bools] | None = None,
    merged: bool = True,
) -> Look:
    """Stage 1. Each state has a legal move of a VM that need not stay."""
    seen = look(states, made, mnl, stay, merged)
    batch = Batch.of(seen)
    known = network.know(batch)
    return Look(seen, batch, known, torch.log_softmax(network.vm_logits(known, batch), dim=1))


def look_for_node(network: TwoStage, first: Look, states: Sequence[FleetState], chosen: torch.Tensor) -> NodeLook:
    """Stage 2, given the chosen classes (B,)."""
    seen, may = look_at_nodes(states, vms_of(first.seen, chosen))
    nodes, legal = torch.from_numpy(seen), torch.from_numpy(may)
    logits = network.node_logits(first.known, first.batch, chosen, nodes, legal)
    return NodeLook(nodes, legal, torch.log_softmax(logits, dim=1))


def vms_of(seen: Seen, chosen: torch.Tensor) -> list[int]:
    """The VM that stands for each chosen class."""
    firsts = seen.first.reshape(len(chosen), -1)
    return firsts[np.arange(len(chosen)), chosen.numpy()].tolist()  # type: ignore[no-any-return]


def moves_of(vms: Sequence[int], nodes: torch.Tensor) -> list[Move]:
    """Chosen VMs and NUMA nodes, (B,) out of P * 2, as moves."""
    return [Move(vm, int(node) // 2, int(node) % 2) for vm, node in zip(vms, nodes, strict=True)]


def drawn(log_p: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One candidate per row, by the probabilities."""
    return torch.from_numpy(draw(log_p.detach().double().exp().numpy(), rng))


def keep_likely(
    log_p: torch.Tensor, count: torch.Tensor, quantile: float, fewest: int = 1, least: float = 0.0
) -> torch.Tensor:
    """Log-weights without the candidates whose single probability is under the quantile over all; (B, N).

    The `fewest` most likely ones are over it in any case; but whatever is less than `least` times as likely as the most
    likely one is left out. `count` says for how many each candidate stands.
    """
    single, order = (log_p - count.clamp(min=1).log()).sort(dim=1, descending=True, stable=True)
    counted = count.gather(1, order)
    before = counted.cumsum(1) - counted
    kept = before < ((1 - quantile) * count.sum(1, keepdim=True)).clamp(min=fewest)
    kept &= single.isfinite() & (single.exp() >= least * single[:, :1].exp())
    return log_p.masked_fill(~torch.zeros_like(kept).scatter(1, order, kept), -torch.inf)


# --- learning


def log_share(log_p: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """(B,) logarithm of the probability of all good candidates together: any of them will do."""
    return torch.logsumexp(log_p.masked_fill(~good, -torch.inf), dim=1)


@dataclass(frozen=True, eq=False)
class Played:
    """N steps of episodes for PPO, and what came of them."""

    batch: Batch
    nodes: torch.Tensor
    node_legal: torch.Tensor
    vm: torch.Tensor
    """(N,) chosen class."""
    node: torch.Tensor
    log_p: torch.Tensor
    """(N,) of both choices together."""
    left: torch.Tensor
    """(N,) moves that were left."""
    advantage: torch.Tensor
    target: torch.Tensor
    """(N,) of the value, in flavours."""

    def __getitem__(self, rows: NDArray[np.int64]) -> Played:
        batch = Batch(*(getattr(self.batch, field.name)[rows] for field in fields(Batch)))
        return Played(batch, *(getattr(self, field.name)[rows] for field in fields(self)[1:]))


def ppo_update(
    network: TwoStage,
    optimizer: torch.optim.Optimizer,
    played: Played,
    rng: np.random.Generator,
    *,
    epochs: int,
    minibatch: int,
    clip: float,
    entropy: float,
    target_kl: float,
    only_critic: bool,
) -> dict[str, float]:
    """Clipped policy gradient on both stages at once; log-probability and entropy are the sums over the stages.

    Ends early once the policy is `target_kl` nats away from the one that played. Returns what is worth a log.
    """
    advantage = (played.advantage - played.advantage.mean()) / (played.advantage.std() + 1e-8)
    log: dict[str, float] = {"kl": 0.0, "entropy": 0.0}
    errors = []
    for _ in range(epochs):
        divergence = []
        for rows in minibatches(len(advantage), minibatch, rng):
            part = played[rows]
            known = network.know(part.batch)
            # What a move gains on average is of one size for all fleets; the sum is not.
            error = (network.values(known) - part.target / part.left).square().mean()
            loss = error
            if not only_critic:
                vm = torch.log_softmax(network.vm_logits(known, part.batch), dim=1)
                logits = network.node_logits(known, part.batch, part.vm, part.nodes, part.node_legal)
                node = torch.log_softmax(logits, dim=1)
                log_p = vm.gather(1, part.vm[:, None]).squeeze(1) + node.gather(1, part.node[:, None]).squeeze(1)
                spread = entropy_of(vm) + entropy_of(node)
                loss = loss - clipped_gain(log_p, part.log_p, advantage[rows], clip) - entropy * spread
                ratio = (log_p - part.log_p).detach()
                divergence.append(float((ratio.exp() - 1 - ratio).mean()))
                log["entropy"] = float(spread.detach())
            descend(network, optimizer, loss)
            errors.append(float(error.detach()))
        log["kl"] = float(np.mean(divergence)) if divergence else 0.0
        if log["kl"] > target_kl:
            break
    return log | {"critic": float(np.mean(errors))}
