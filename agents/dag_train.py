"""Train a scheduler of dependent tasks: imitate a heuristic, then improve by PPO; keep the best on validation seeds.

The reward is minus the time that jobs spend in the system between two decisions, the discount that of the seconds
between them, so steps of unequal length count right. The folder holds the best agent so far at any time, and log.csv:
stage, update, decisions, seconds, validation score, a note.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clustersim.agents.dag_config import DagTrainConfig
from clustersim.agents.dag_policy import DagPlayer, write_agent
from clustersim.agents.dag_settings import Setting, setting_of
from clustersim.agents.graph import torch_network, weights_of
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
from clustersim.dag_problem import critical_path_s, problem_of
from clustersim.envs.dag_scheduling import DagEnv
from clustersim.errors import ConfigError
from clustersim.policy import run
from clustersim.scenarios.dag_scheduling import DagScheduling

TRAINING_SEED, VALIDATION_SEED = 1_000_000, 900_000
"""The first of each; benchmarks use small seeds, so they stay held out."""

IMITATION_RATE = 2e-3
"""At the start; it falls linearly to 0."""

Progress = Callable[[str], None]


def train(config: DagTrainConfig, out: Path, command: str, progress: Progress = lambda line: None) -> Path:
    """Train and return the folder of the agent; interrupted, the folder holds the best agent so far."""
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; choose another folder")
    setting = setting_of(config.setting)
    torch.set_num_threads(1)  # the matrices are small: a second thread costs more in hand-overs than it computes
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    games = _Games(setting, config)
    network = torch_network(config.hidden, setting.dispatches)
    judge = _Judge(setting, config, out, command, progress)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    for update in range(config.imitation_updates):
        set_rate(optimizer, IMITATION_RATE * (1 - update / config.imitation_updates))
        loss = _imitate(network, optimizer, games, config, rng)
        if (update + 1) % config.validate_every == 0:
            judge.look(network, "imitation", update + 1, games.decisions, f"loss {loss:.4f}")
    for update in range(config.updates):
        left = 1 - update / config.updates
        set_rate(optimizer, config.learning_rate * left)
        note = _improve(network, optimizer, games, config, rng, update, config.entropy * (0.1 + 0.9 * left))
        if (update + 1) % config.validate_every == 0 or update + 1 == config.updates:
            judge.look(network, "ppo", update + 1, games.decisions, note)
    return out


class _Games:
    """Episodes side by side, each going on with another seed when it is over."""

    def __init__(self, setting: Setting, config: DagTrainConfig) -> None:
        self.setting = setting
        self.envs: list[DagEnv] = [setting.env(index) for index in range(config.envs)]
        example = self.envs[0].scenario.instances(TRAINING_SEED)
        unit_s = float(critical_path_s(problem_of(example.machines, example.jobs)).mean())
        self.horizon_s = config.horizon * unit_s
        self._jobs = [_jobs_in_system(setting, index) for index in range(len(self.envs))]
        self.decisions = 0
        self._next_seed = TRAINING_SEED + 1_000_000 * config.seed
        self.seen: list[dict[str, NDArray[np.float32]]] = [{} for _ in self.envs]
        self.masks: list[NDArray[np.bool_]] = [np.zeros(0, dtype=np.bool_) for _ in self.envs]
        self._teachers = [setting.teacher() for _ in self.envs]
        for index in range(len(self.envs)):
            self._restart(index)

    def _restart(self, index: int) -> None:
        self._next_seed += 1
        self.seen[index], info = self.envs[index].reset(seed=self._next_seed)
        self.masks[index] = info["action_mask"]
        self._teachers[index].reset(np.random.default_rng(self._next_seed))

    def batch(self) -> dict[str, NDArray[Any]]:
        """The observations and masks, stacked."""
        stacked = {name: np.stack([seen[name] for seen in self.seen]) for name in self.seen[0]}
        return stacked | {"mask": np.stack(self.masks)}

    def taught(self) -> NDArray[np.int64]:
        """What the heuristic would do in each game, as actions; the first legal one where that is out of sight."""
        actions = []
        for env, teacher, mask in zip(self.envs, self._teachers, self.masks, strict=True):
            decision = env.decision
            assert decision is not None
            action = env.from_candidate(teacher.act(decision))
            actions.append(int(mask.argmax()) if action < 0 else action)
        return np.array(actions)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Rewards, discounts of the time that has passed, and which games are over (and begun anew)."""
        rewards, discounts, overs = [], [], []
        for index, (env, action) in enumerate(zip(self.envs, actions.tolist(), strict=True)):
            self.seen[index], reward, over, _, info = env.step(action)
            self.masks[index] = info["action_mask"]
            rewards.append(reward / self.horizon_s / self._jobs[index])
            discounts.append(np.exp(-info["elapsed_s"] / self.horizon_s))
            overs.append(over)
            if over:
                self._restart(index)
        self.decisions += len(actions)
        return np.array(rewards, np.float32), np.array(discounts, np.float32), np.array(overs)


def _jobs_in_system(setting: Setting, index: int) -> float:
    """How many jobs the reference has in the system on average: games of high and low load shall count alike."""
    source = setting.sources[index % len(setting.sources)]
    jobs = []
    for seed in range(TRAINING_SEED, TRAINING_SEED + 3):
        simulation = DagScheduling(source, **setting.conditions, **setting.reference_world).build(seed)
        run(simulation, setting.players(None))
        jobs.append(simulation.cost("job_time") / simulation.cost("makespan"))
    return float(np.mean(jobs))


# --- learning


def _imitate(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    games: _Games,
    config: DagTrainConfig,
    rng: np.random.Generator,
) -> float:
    """Cross-entropy with what the heuristic does, on states that the learner comes to as well."""
    steps = []
    for _ in range(config.steps):
        batch = games.batch()
        taught = games.taught()
        with torch.no_grad():
            log_p, _ = _look(network, _tensors([batch]))
        steps.append(batch | {"action": taught})
        own = draw(np.exp(log_p.numpy()), rng)
        games.step(np.where(rng.random(len(taught)) < 0.5, taught, own))
    data, losses = _tensors(steps), []
    for _ in range(config.imitation_epochs):
        for rows in minibatches(len(data["action"]), config.minibatch, rng):
            part = {name: values[rows] for name, values in data.items()}
            log_p, _ = _look(network, part)
            loss = -log_p.gather(1, part["action"][:, None]).mean()
            descend(network, optimizer, loss)
            losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _improve(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    games: _Games,
    config: DagTrainConfig,
    rng: np.random.Generator,
    update: int,
    entropy: float,
) -> str:
    """One batch of decisions and the gradient steps with it."""
    batch = _rollout(network, games, config, rng)
    advantage = batch["advantage"]
    batch["advantage"] = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    spread, errors, entropies = batch["target"].std() + 1e-8, [], []
    for _ in range(config.epochs):
        for rows in minibatches(len(advantage), config.minibatch, rng):
            part = {name: values[rows] for name, values in batch.items()}
            log_p, value = _look(network, part)
            error = torch.nn.functional.mse_loss(value / spread, part["target"] / spread)
            loss = 0.5 * error
            if update >= config.critic_updates:
                chosen = log_p.gather(1, part["action"][:, None]).squeeze(1)
                mixed = entropy_of(log_p)
                loss = loss - clipped_gain(chosen, part["log_p"], part["advantage"], config.clip) - entropy * mixed
                entropies.append(float(mixed.detach()))
            descend(network, optimizer, loss)
            errors.append(float(error.detach()))
    return f"critic {np.mean(errors):.3f} entropy {np.mean(entropies) if entropies else np.nan:.3f}"


def _rollout(
    network: torch.nn.Module, games: _Games, config: DagTrainConfig, rng: np.random.Generator
) -> dict[str, torch.Tensor]:
    steps: list[dict[str, NDArray[Any]]] = []
    rewards, discounts, overs, values = [], [], [], []
    for _ in range(config.steps):
        step = games.batch()
        with torch.no_grad():
            log_p, value = _look(network, _tensors([step]))
        action = draw(np.exp(log_p.numpy()), rng)
        steps.append(step | {"action": action, "log_p": log_p.numpy()[np.arange(len(action)), action]})
        reward, discount, over = games.step(action)
        rewards.append(reward)
        discounts.append(discount)
        overs.append(over)
        values.append(value.numpy())
    with torch.no_grad():
        values.append(_look(network, _tensors([games.batch()]))[1].numpy())
    advantage = gae(np.array(rewards), np.array(values), np.array(overs), config.gae_lambda, np.array(discounts))
    batch = _tensors(steps)
    batch["advantage"] = torch.from_numpy(advantage.ravel())
    batch["target"] = torch.from_numpy((advantage + np.array(values[:-1])).ravel())
    return batch


def _look(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and values; what is padding in the whole batch is cut off first."""
    rows = max(1, int(batch["task_mask"].sum(1).max()))
    edges = max(1, int(batch["edge_mask"].sum(1).max()))
    part = {"tasks": batch["tasks"][:, :rows], "task_mask": batch["task_mask"][:, :rows], "state": batch["state"]}
    part |= {"edges": batch["edges"][:, :edges], "edge_mask": batch["edge_mask"][:, :edges]}
    mask = batch["mask"]
    if "pairs" in batch:
        slots = max(1, int((batch["slot_row"] > 0).sum(1).max()))
        used = slots * (batch["pairs"].shape[1] // batch["slot_row"].shape[1])
        part |= {"slot_row": batch["slot_row"][:, :slots], "pairs": batch["pairs"][:, :used]}
    else:
        used = rows
    logits, value = network(part)
    log_p = masked_log_softmax(logits, mask[:, :used])
    return torch.nn.functional.pad(log_p, (0, mask.shape[1] - used), value=-torch.inf), value


def _tensors(steps: list[dict[str, NDArray[Any]]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.concatenate([step[name] for step in steps])) for name in steps[0]}


# --- validation


@dataclass
class _Judge:
    """Keeps the agent with the lowest mean over the validation episodes of job time relative to the reference."""

    setting: Setting
    config: DagTrainConfig
    out: Path
    command: str
    progress: Progress
    best: float = np.inf
    started_s: float = field(default_factory=perf_counter)

    def __post_init__(self) -> None:
        self._reference_s = self._play(None)

    def look(self, network: torch.nn.Module, stage: str, update: int, decisions: int, note: str) -> None:
        weights = weights_of(network)
        ratios = self._play(DagPlayer(weights)) / self._reference_s
        score = float(np.exp(np.log(ratios).mean()))
        by_load = " ".join(f"{ratio:.3f}" for ratio in np.exp(np.log(ratios).mean(axis=1)))
        spent_s = perf_counter() - self.started_s
        line = f"{stage},{update},{decisions},{spent_s:.0f},{score:.4f},{by_load},{note}"
        self.progress(line)
        with (self.out / "log.csv").open("a") as log:
            log.write(line + "\n")
        if score >= self.best:
            return
        self.best = score
        training = {
            "command": self.command,
            "config": asdict(self.config),
            "stage": stage,
            "update": update,
            "decisions": decisions,
            "validation_ratio": score,
        }
        candidate = self.out / "candidate"
        write_agent(candidate, weights, self.setting.world, self.setting.open_only, training)
        for file in candidate.iterdir():
            os.replace(file, self.out / file.name)  # a kill leaves the agent before or this one, never half a file
        shutil.rmtree(candidate)

    def _play(self, player: DagPlayer | None) -> NDArray[np.float64]:
        """Mean JCT of every validation episode, (loads, episodes); without a player that of the reference."""
        rows = []
        for scenario in self.setting.validation(player is None):
            row = []
            for seed in range(VALIDATION_SEED, VALIDATION_SEED + self.config.validation):
                simulation = scenario.build(seed)
                run(simulation, self.setting.players(player))
                row.append(simulation.metrics()["jct_s_mean"])
            rows.append(row)
        return np.array(rows)
