"""Train a packing agent: imitate the plans of a solver, then improve by PPO; keep what is best on validation seeds.

`python -m clustersim.agents.packing_train --out DIR` makes policy.json and weights.npz, the best agent so far at any
time, and log.csv: stage, update, seconds, improved and matched shares of the validation calls, a note.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clustersim.agents.packing_config import PackingTrainConfig
from clustersim.agents.packing_games import SHAPES, Games, Lesson, failed_placements
from clustersim.agents.packing_network import torch_network, weights_of
from clustersim.agents.packing_policy import RepairPlayer, repaired, write_agent
from clustersim.agents.ppo_parts import (
    clipped_gain,
    descend,
    draw,
    entropy_of,
    gae,
    masked_log_softmax,
    minibatches,
    set_rate,
)
from clustersim.baselines.constraint import solve
from clustersim.baselines.constraint_budget import Limits
from clustersim.errors import ConfigError
from clustersim.packing import placed_by_tier
from clustersim.policy import Policy

TRAINING_SEED, VALIDATION_SEED = 100_000, 900_000
"""The first of each; benchmarks use small seeds, so they stay held out."""
SEEDS_PER_SHAPE = 10_000

Progress = Callable[[str], None]


def train(config: PackingTrainConfig, out: Path, command: str, progress: Progress = lambda line: None) -> Path:
    """Train and return the folder of the agent; interrupted, the folder holds the best agent so far."""
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; choose another folder")
    torch.set_num_threads(1)  # the matrices are small: a second thread costs more in hand-overs than it computes
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    limits = Limits(window_s=config.window_s)
    lessons = _lessons(config.lessons, TRAINING_SEED, limits, progress)
    judge = _Judge(_lessons(config.validation, VALIDATION_SEED, limits, progress), config, out, command, progress)
    network = torch_network(config.hidden)
    _imitate(network, lessons, config, rng, judge)
    _improve(network, _lessons(config.placements, TRAINING_SEED, None, progress), config, rng, judge)
    return out


def _lessons(count: int, first_seed: int, limits: Limits | None, progress: Progress) -> list[list[Lesson]]:
    """Lessons by shape, solved if limits are given."""
    lessons = []
    for number, shape in enumerate(SHAPES):
        packings = islice(failed_placements(shape, first_seed + SEEDS_PER_SHAPE * number), count)
        lessons.append(
            [Lesson(packing, None if limits is None else solve(packing, limits).plan.node) for packing in packings]
        )
        progress(
            f"{count} failed placements of {shape[0] * shape[1]} pods on {shape[0]} nodes{' solved' if limits else ''}"
        )
    return lessons


@dataclass
class _Judge:
    """Keeps the agent that is best on the validation seeds.

    The score is the mean of two shares: calls improved, and calls in which as much is placed as by the solver.
    """

    lessons: list[list[Lesson]]
    config: PackingTrainConfig
    out: Path
    command: str
    progress: Progress
    best: float = -1.0
    started_s: float = field(default_factory=perf_counter)

    def look(self, network: torch.nn.Module, stage: str, update: int, note: str) -> None:
        weights = weights_of(network)
        improved, matched = validate(RepairPlayer(weights), [each for shape in self.lessons for each in shape])
        score = (improved + matched) / 2
        spent_s = perf_counter() - self.started_s
        line = f"{stage},{update},{spent_s:.0f},{improved:.4f},{matched:.4f},{note}"
        self.progress(line)
        with (self.out / "log.csv").open("a") as log:
            log.write(line + "\n")
        if score <= self.best:
            return
        self.best = score
        training = {
            "command": self.command,
            "config": asdict(self.config),
            "stage": stage,
            "update": update,
            "validation_improved": improved,
            "validation_matched": matched,
        }
        candidate = self.out / "candidate"
        write_agent(candidate, weights, training)
        for file in candidate.iterdir():
            os.replace(file, self.out / file.name)  # a kill leaves the agent before or this one, never half a file
        shutil.rmtree(candidate)


def validate(player: Policy, lessons: list[Lesson]) -> tuple[float, float]:
    """Shares of the lessons in which the agent improves the placement, and in which it places as much as the solver."""
    improved = matched = 0
    for lesson in lessons:
        packing, target = lesson.packing, lesson.target
        assert target is not None
        plan = repaired(packing, [player])
        placed = placed_by_tier(packing, packing.home if plan is None else plan.node)
        improved += plan is not None
        matched += placed >= placed_by_tier(packing, target)
    return improved / len(lessons), matched / len(lessons)


# --- imitation


def _imitate(
    network: torch.nn.Module,
    lessons: list[list[Lesson]],
    config: PackingTrainConfig,
    rng: np.random.Generator,
    judge: _Judge,
) -> None:
    """Cross-entropy with all moves that lead towards the solver's plan, on states that the learner comes to as well."""
    games = [Games(shape, config.games, rng) for shape in lessons]
    optimizer = torch.optim.Adam(network.parameters(), lr=config.imitation_rate)
    for update in range(config.imitation_updates):
        set_rate(optimizer, config.imitation_rate * (1 - update / config.imitation_updates))
        batch = _lesson(network, games[update % len(games)], config, rng)
        losses = []
        for _ in range(config.imitation_epochs):
            for rows in minibatches(len(batch["good"]), config.minibatch, rng):
                part = {name: values[rows] for name, values in batch.items()}
                log_p = _log_probabilities(network, part)[0]
                loss = -torch.logsumexp(log_p.masked_fill(~part["good"], -torch.inf), dim=1).mean()
                descend(network, optimizer, loss)
                losses.append(float(loss.detach()))
        if (update + 1) % config.validate_every == 0:
            judge.look(network, "imitation", update + 1, f"loss {np.mean(losses):.4f}")


def _lesson(
    network: torch.nn.Module, games: Games, config: PackingTrainConfig, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    seen: list[dict[str, NDArray[Any]]] = []
    for _ in range(config.imitation_steps):
        games.look()
        seen.append(_seen(games) | {"good": games.good.copy()})
        with torch.no_grad():
            log_p, _ = _log_probabilities(network, _tensors([seen[-1]]))
        follow = rng.random(len(games.good)) < config.follow
        weights = np.where(follow[:, None], games.good, np.exp(log_p.numpy()))
        games.step(draw(weights, rng))
    return _tensors(seen)


# --- PPO


def _improve(
    network: torch.nn.Module,
    lessons: list[list[Lesson]],
    config: PackingTrainConfig,
    rng: np.random.Generator,
    judge: _Judge,
) -> None:
    """PPO with the shaped reward; no discount, because an episode is at most as long as its pods."""
    games = [Games(shape, config.games, rng) for shape in lessons]
    optimizer = torch.optim.Adam(network.parameters(), lr=config.ppo_rate)
    for update in range(config.ppo_updates):
        set_rate(optimizer, config.ppo_rate * (1 - update / config.ppo_updates))
        batch, reward = _rollout(network, games[update % len(games)], config, rng)
        advantage = batch["advantage"]
        batch["advantage"] = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        for _ in range(config.ppo_epochs):
            for rows in minibatches(len(advantage), config.minibatch, rng):
                part = {name: values[rows] for name, values in batch.items()}
                log_p, value = _log_probabilities(network, part)
                loss = 0.5 * torch.nn.functional.mse_loss(value, part["target"])
                if update >= config.critic_updates:
                    chosen = log_p.gather(1, part["action"][:, None]).squeeze(1)
                    gain = clipped_gain(chosen, part["log_p"], part["advantage"], config.clip)
                    loss = loss - gain - config.entropy * entropy_of(log_p)
                descend(network, optimizer, loss)
        if (update + 1) % config.validate_every == 0:
            judge.look(network, "ppo", update + 1, f"reward per game {reward:.4f}")


def _rollout(
    network: torch.nn.Module, games: Games, config: PackingTrainConfig, rng: np.random.Generator
) -> tuple[dict[str, torch.Tensor], float]:
    """One batch and the mean reward of a game."""
    seen: list[dict[str, NDArray[Any]]] = []
    rewards, overs, values = [], [], []
    for _ in range(config.ppo_steps):
        games.look()
        step = _seen(games)
        with torch.no_grad():
            log_p, value = _log_probabilities(network, _tensors([step]))
        action = draw(np.exp(log_p.numpy()), rng)
        step |= {"action": action, "log_p": log_p.numpy()[np.arange(len(action)), action]}
        reward, over = games.step(action)
        seen.append(step)
        rewards.append(reward)
        overs.append(over)
        values.append(value.numpy())
    games.look()
    with torch.no_grad():
        values.append(_log_probabilities(network, _tensors([_seen(games)]))[1].numpy())
    advantage = gae(np.array(rewards), np.array(values), np.array(overs), config.gae_lambda)
    batch = _tensors(seen)
    batch["advantage"] = torch.from_numpy(advantage.ravel())
    batch["target"] = torch.from_numpy((advantage + np.array(values[:-1])).ravel())
    return batch, float(np.sum(rewards)) / max(1, int(np.sum(overs)))


# --- both


def _seen(games: Games) -> dict[str, NDArray[Any]]:
    return {name: getattr(games, name).copy() for name in ("pods", "nodes", "state", "mask")}


def _tensors(steps: list[dict[str, NDArray[Any]]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.concatenate([step[name] for step in steps])) for name in steps[0]}


def _log_probabilities(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    logits, value = network(batch["pods"], batch["nodes"], batch["state"])
    return masked_log_softmax(logits, batch["mask"]), value


def main() -> None:
    """Train with the default sizes; see PackingTrainConfig for others."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the agent and its log")
    parser.add_argument("--seed", type=int, default=PackingTrainConfig.seed)
    arguments = parser.parse_args()
    command = f"python -m clustersim.agents.packing_train --out {arguments.out} --seed {arguments.seed}"
    train(
        PackingTrainConfig(seed=arguments.seed),
        arguments.out,
        command,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )


if __name__ == "__main__":
    main()
