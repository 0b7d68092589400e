"""The pieces that the PPO loops share: advantages, drawing of actions, minibatches, gradient steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LONGEST_GRADIENT = 0.5


def gae(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    over: NDArray[np.bool_],
    gae_lambda: float,
    discount: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Generalised advantage estimates, (T, B); `values` is (T + 1, B).

    `discount`, (T, B), is that of the time between a decision and the next one, since steps have unequal length; by
    default there is none. Source: Schulman et al. 2016 (arXiv 1506.02438).
    """
    advantage = np.zeros_like(rewards)
    following = np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        goes_on = np.where(over[t], np.float32(0), np.float32(1))
        if discount is not None:
            goes_on = goes_on * discount[t]
        surprise = rewards[t] + goes_on * values[t + 1] - values[t]
        following = advantage[t] = surprise + np.float32(gae_lambda) * goes_on * following
    return advantage


def masked_log_softmax(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logarithms of the probabilities of the legal candidates, (B, K); -inf for the others."""
    return torch.log_softmax(logits.masked_fill(~mask, -torch.inf), dim=1)


def clipped_gain(log_p: torch.Tensor, old_log_p: torch.Tensor, advantage: torch.Tensor, clip: float) -> torch.Tensor:
    """PPO's clipped objective, to be maximised. Source: Schulman et al. 2017 (arXiv 1707.06347)."""
    ratio = torch.exp(log_p - old_log_p)
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantage, clipped * advantage).mean()


def entropy_of(log_p: torch.Tensor) -> torch.Tensor:
    """Mean entropy of the distributions; what is illegal adds nothing."""
    return -(log_p.exp() * log_p.clamp(min=-50.0)).sum(1).mean()


def draw(weights: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """One column per row, in proportion to the weights."""
    cumulated = np.cumsum(weights, axis=1, dtype=np.float64)
    uniform = (1.0 - rng.random(len(weights))) * cumulated[:, -1]  # in (0, 1]: never a column of weight 0
    return (cumulated < uniform[:, None]).sum(axis=1)  # type: ignore[no-any-return]


def minibatches(count: int, size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    return np.array_split(rng.permutation(count), max(1, count // size))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def descend(network: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
    optimizer.step()
