"""Train a placement agent with MaskablePPO: configuration, environments, loop, checkpoints, result.

A folder of training holds config.json, checkpoints/step-N.zip (everything needed to go on), tensorboard/, and the
agent itself: policy.json and weights.npz, the best so far on the validation seeds.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv

from clustersim.agents import training_folder
from clustersim.agents.config import TrainConfig
from clustersim.agents.folder import DESCRIPTION
from clustersim.agents.learned import NodewisePlayer, write_agent
from clustersim.agents.nodewise import NodewiseShape, weights_of
from clustersim.agents.ppo import NodewisePolicy
from clustersim.envs.pod_placement import NODES, POD, PodPlacementEnv
from clustersim.errors import ConfigError
from clustersim.policy import run
from clustersim.scenarios.pod_placement import PodPlacement
from clustersim.scenarios.pod_world import PLACE
from clustersim.workload import PodWorkload

VALIDATION_SEEDS = range(900_000, 900_032)
"""Seeds by which the best checkpoint is chosen; benchmarks use small seeds, so they stay held out."""
VALIDATED = "gpu_allocation_at_100"


def train(
    workload: PodWorkload,
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    description: dict[str, Any] | None = None,
    progress: Callable[[int, str], None] = lambda done, note: None,
) -> Path:
    """Train, or go on training, and return the folder of the agent.

    `progress(done, note)` is called after every rollout. Interrupting (Ctrl-C) writes a checkpoint first; after a kill,
    the last checkpoint counts. A resumed run continues with fresh random numbers: it is as good as an uninterrupted
    one, but not identical to it.
    """
    PodPlacement(workload, nodes=config.nodes, demand_ratio=config.demand_ratio)  # what cannot be met claims no folder
    _check_device(config.device)
    checkpoint = _prepare(out, config, workload.name, resume)
    done = 0 if checkpoint is None else _steps_of(checkpoint)
    make = partial(
        PodPlacementEnv,
        workload,
        nodes=config.nodes,
        demand_ratio=config.demand_ratio,
        reward=config.reward,
        flat=True,
    )
    environments = DummyVecEnv([make for _ in range(config.envs)])
    environments.seed(int(np.random.SeedSequence([config.seed, done]).generate_state(1)[0] >> 1))
    if checkpoint is None:
        model = _new_model(config, environments)
    else:
        model = MaskablePPO.load(checkpoint, env=environments, device=config.device)
        model.set_random_seed(int(np.random.SeedSequence([config.seed, done, 1]).generate_state(1)[0] >> 1))
    model.set_logger(configure(str(out / "tensorboard"), ["tensorboard"]))
    saver = _Saver(workload, config, out, description or {}, progress)
    if done < config.steps:
        try:
            model.learn(config.steps - done, callback=saver, reset_num_timesteps=checkpoint is None)
        except KeyboardInterrupt:
            saver.save(model)
            raise
        finally:
            environments.close()
    return out


def _new_model(config: TrainConfig, environments: DummyVecEnv) -> MaskablePPO:
    return MaskablePPO(
        NodewisePolicy,
        environments,
        n_steps=config.rollout_steps,
        batch_size=config.minibatch,
        n_epochs=config.epochs,
        learning_rate=_Linear(config.learning_rate),
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip,
        ent_coef=config.entropy,
        seed=config.seed,
        device=config.device,
        policy_kwargs={
            "shape": NodewiseShape(len(NODES.columns), len(POD.columns), config.hidden),
            "rows": config.nodes,
            "waits": False,
        },
    )


@dataclass(frozen=True)
class _Linear:
    """A learning rate that falls to 0; a class, because checkpoints pickle it."""

    start: float

    def __call__(self, progress_remaining: float) -> float:
        return self.start * progress_remaining


class _Saver(BaseCallback):
    """Writes checkpoints, keeps the agent that is best on the validation seeds, reports progress."""

    def __init__(
        self,
        workload: PodWorkload,
        config: TrainConfig,
        out: Path,
        description: dict[str, Any],
        progress: Callable[[int, str], None],
    ) -> None:
        super().__init__()
        self._scenario = PodPlacement(workload, nodes=config.nodes)
        self._config = config
        self._out = out
        self._description = description
        self._progress = progress
        self._note = ""
        self._next = 0

    def _on_training_start(self) -> None:
        self._next = self.num_timesteps + self._config.checkpoint_every

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        # Here, and not at the end of a rollout: the update with it has been made now.
        if self.num_timesteps >= self._next:
            self._next += self._config.checkpoint_every
            self.save(self.model)
        self._progress(self.num_timesteps, self._note)

    def _on_training_end(self) -> None:
        self.save(self.model)
        self._progress(self.num_timesteps, self._note)

    def save(self, model: Any) -> None:
        """Write a checkpoint, and the agent if it is the best so far."""
        steps = model.num_timesteps
        folder = self._out / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / "unfinished.zip"
        model.save(unfinished)
        os.replace(unfinished, folder / f"step-{steps}.zip")
        weights = weights_of(model.policy.mlp_extractor)
        score = self._validate(NodewisePlayer(weights))
        best = self._best_so_far()
        self._note = f"validation {score:.4f} (best {max(score, best):.4f})"
        self.logger.record(f"validation/{VALIDATED}", score)
        candidate = self._out / "candidate"
        if score >= best:
            training = {**self._description, "config": asdict(self._config), "steps": steps}
            write_agent(candidate, weights, {**training, f"validation_{VALIDATED}": score})
            for file in candidate.iterdir():
                os.replace(file, self._out / file.name)  # a kill leaves the agent before or this one, never half a file
        shutil.rmtree(candidate, ignore_errors=True)

    def _validate(self, policy: NodewisePlayer) -> float:
        scores = []
        for seed in VALIDATION_SEEDS:
            simulation = self._scenario.build(seed)
            run(simulation, {PLACE: policy})
            scores.append(simulation.metrics()[VALIDATED])
        return float(np.mean(scores))

    def _best_so_far(self) -> float:
        try:
            training = json.loads((self._out / DESCRIPTION).read_text())["training"]
        except FileNotFoundError:
            return -np.inf
        return float(training[f"validation_{VALIDATED}"])


def _check_device(device: str) -> None:
    if device == "auto":
        return
    try:
        torch.empty(0, device=device)  # asked of torch itself: stable-baselines3 would fall back to the CPU in silence
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise ConfigError(f"device is {device!r}, which torch cannot use here ({error}); use 'auto' or 'cpu'") from None


def _prepare(out: Path, config: TrainConfig, workload: str, resume: bool) -> Path | None:
    """Make or check the folder; return the checkpoint to go on from, if any."""
    wanted = {"workload": workload, **asdict(config)}
    # More steps may be asked for, and another device; anything else would make it another training.
    found = training_folder.enter(out, wanted, resume, free=("steps", "device"))
    if found is None:
        return None
    checkpoints = sorted((out / "checkpoints").glob("step-*.zip"), key=_steps_of)
    if checkpoints and config.steps < found["steps"] and config.steps < _steps_of(checkpoints[-1]):
        raise ConfigError(
            f"{out} was trained for {_steps_of(checkpoints[-1])} steps already, more than the {config.steps} asked "
            "for; ask for more, or choose another folder"
        )
    training_folder.note(out, wanted)
    return checkpoints[-1] if checkpoints else None


def _steps_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step-"))
