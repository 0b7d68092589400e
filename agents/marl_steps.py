"""The gradient steps of an actor: imitation of a tutor, and PPO's clipped objective."""

from __future__ import annotations

import numpy as np
import torch

from clustersim.agents.marl_batch import NOTHING, Batch, Ints, minibatches
from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.ppo_parts import clipped_gain, descend, entropy_of


def log_probabilities(actor: torch.nn.Module, batch: Batch, rows: Ints) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all actions (n, actions), and the n rows that they belong to; `rows` is (L, B) as of `minibatches`."""
    flat = rows.ravel()
    there = flat != NOTHING
    filled = torch.from_numpy(np.where(there, flat, 0))
    table = None if batch.table is None else batch.table[filled]
    memory = batch.memory[torch.from_numpy(rows[0])]
    logits = actor(batch.vector[filled], table, batch.mask[filled], memory)
    known = torch.from_numpy(there)
    return torch.log_softmax(logits[known], dim=1), filled[known]


def imitate(
    actor: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: MarlConfig,
    rng: np.random.Generator,
) -> float:
    """Cross-entropy with what the tutor does; return its mean."""
    losses = []
    chunk = config.chunk if config.recurrent else 1
    for _ in range(config.imitation_epochs):
        for rows in minibatches(batch, config.imitation_minibatch, chunk, rng):
            log_p, of = log_probabilities(actor, batch, rows)
            loss = -log_p.gather(1, batch.taught[of][:, None]).mean()
            descend(actor, optimizer, loss)
            losses.append(float(loss.detach()))
    return float(np.mean(losses))


def improve(
    actor: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    advantage: torch.Tensor,
    config: MarlConfig,
    entropy: float,
    rng: np.random.Generator,
) -> dict[str, float]:
    """PPO on one batch, until the actor has moved far enough; return its entropy, and how far it moved."""
    chunk = config.chunk if config.recurrent else 1
    decided = torch.from_numpy(batch.decided)
    centred = advantage - advantage[decided].mean()
    scaled = centred / (advantage[decided].std(correction=0) + 1e-8)
    with torch.no_grad():
        old = torch.zeros(len(batch.action))
        for rows in minibatches(batch, 8192, chunk, rng):
            log_p, of = log_probabilities(actor, batch, rows)
            old[of] = log_p.gather(1, batch.action[of][:, None]).squeeze(1)
    entropies: list[float] = []
    divergences: list[float] = []
    for _ in range(config.epochs):
        entropies.clear()
        divergences.clear()
        for rows in minibatches(batch, config.minibatch, chunk, rng):
            log_p, of = log_probabilities(actor, batch, rows)
            chosen = log_p.gather(1, batch.action[of][:, None]).squeeze(1)
            mixed = entropy_of(log_p)
            descend(actor, optimizer, -clipped_gain(chosen, old[of], scaled[of], config.clip) - entropy * mixed)
            entropies.append(float(mixed.detach()))
            divergences.append(_divergence(chosen.detach() - old[of]))
        if np.mean(divergences) > config.divergence:
            break
    return {"entropy": float(np.mean(entropies)), "divergence": float(np.mean(divergences))}


def _divergence(log_ratio: torch.Tensor) -> float:
    """Kullback-Leibler, from actions drawn from the old policy: without bias, and never negative.

    Source: Schulman, Approximating KL Divergence (2020).
    """
    return float((torch.exp(log_ratio) - 1 - log_ratio).mean())
