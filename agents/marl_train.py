"""The loop of IPPO and MAPPO: play, learn, look at the validation seeds, keep the best, write a checkpoint.

A folder of training holds config.json, checkpoint.pt (everything needed to go on), tensorboard/, log.csv and the best
team so far: policy.json, weights.npz. What TensorBoard shows, per update:

    cost                     mean of the episodes that were learned from; their seeds differ from update to update
    validation, temperature  lowest mean cost on the validation seeds, and the temperature at which it was reached
    imitation/GROUP          cross-entropy with what the tutor does, nats
    critic/NAME              squared error of the values as a share of the variance of their targets
    entropy/GROUP            of the actor, nats
    divergence/GROUP         of the actor from the one that played, nats
    decisions_per_s          while playing; decisions_per_s_in_all: with learning and validation
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from clustersim.agents import training_folder
from clustersim.agents.ippo import Ippo
from clustersim.agents.mappo import Mappo
from clustersim.agents.marl_actor import Actor, weights_of
from clustersim.agents.marl_batch import batches_of
from clustersim.agents.marl_config import MarlConfig
from clustersim.agents.marl_rollout import Episode, Job, Manner
from clustersim.agents.marl_steps import imitate
from clustersim.agents.marl_task import Layout, Task, layout_of
from clustersim.agents.marl_team import write_team
from clustersim.agents.marl_workers import Workers
from clustersim.agents.ppo_parts import set_rate

TRAINING_SEED, VALIDATION_SEED = 1_000_000, 900_000
"""The first of each; benchmarks use small seeds, so they stay held out."""
SEEDS_PER_RUN = 1_000_000
"""Runs with different `seed` train on different episodes."""

LOG = "stage,update,decisions,seconds,training cost,validation cost,temperature,decisions per second\n"
"""The header of log.csv. Decisions per second are those of playing alone; learning and looking take time as well."""

Progress = Callable[[str], None]


@dataclass
class _Standing:
    """Where a training stands; what a checkpoint holds besides the networks and their optimizers."""

    update: int = 0
    """Updates made, those of imitation included."""
    best: float = np.inf
    looks: int = 0
    """Looks at the validation seeds since the best one."""
    decisions: int = 0
    spent_s: float = 0.0


def train(
    task: Task,
    config: MarlConfig,
    out: Path,
    *,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    command: str = "",
    progress: Progress = lambda line: None,
) -> Path:
    """Train, or go on training, and return the folder of the team.

    `settings` are those of the task, to be remembered and, when a training is resumed, compared. `progress` is called
    with each line of log.csv. All chance in an update comes from `config.seed` and its number, so a resumed training
    makes exactly the same weights as one that was never interrupted.
    """
    made_of = {**(settings or {}), **asdict(config)}
    checkpoint = _prepare(out, made_of, resume)
    torch.set_num_threads(1)  # the matrices are small: a second thread costs more in hand-overs than it computes
    torch.manual_seed(config.seed)
    layout = layout_of(task.make(), config.share, config.roles)
    trainer = _Trainer(task, layout, config, out, {"command": command, "config": made_of}, progress)
    if checkpoint is not None:
        trainer.restore(checkpoint)
    board = SummaryWriter(str(out / "tensorboard"), purge_step=trainer.standing.update + 1)
    with Workers(task, layout, config.workers) as workers, board:
        if checkpoint is None:
            trainer.begin(workers)
        while not trainer.is_done:
            trainer.update(workers, board)
    return out


class _Trainer:
    def __init__(
        self,
        task: Task,
        layout: Layout,
        config: MarlConfig,
        out: Path,
        description: dict[str, Any],
        progress: Progress,
    ) -> None:
        self.task = task
        self.config = config
        self.layout = layout
        self.out = out
        self.description = description
        self.progress = progress
        self.standing = _Standing()
        self.learner: Ippo | Mappo = (Ippo if config.algo == "ippo" else Mappo)(layout, config)
        actors, critics = self.learner.actors, self.learner.critics
        self.optimizers = {f"actor/{name}": _adam(actor, config.learning_rate) for name, actor in actors.items()}
        self.optimizers |= {f"critic/{name}": _adam(critic, config.critic_rate) for name, critic in critics.items()}

    @property
    def is_done(self) -> bool:
        config, standing = self.config, self.standing
        patient = not config.patience or standing.looks < config.patience
        return standing.update >= config.imitation_updates + config.updates or not patient

    def begin(self, workers: Workers) -> None:
        """The head of the log, and what the tutors reach on the validation seeds, where there are any."""
        (self.out / "log.csv").write_text(LOG)
        if self.config.imitation_updates:
            began_s = perf_counter()
            cost = self._validate(workers, self.team(), Manner(follow=1.0, taught=True, record=False))
            self.standing.spent_s += perf_counter() - began_s
            self._note("tutors", {"validation": cost})

    def update(self, workers: Workers, board: SummaryWriter) -> None:
        """Play, learn, look, write."""
        config, standing = self.config, self.standing
        began_s = perf_counter()
        number = standing.update
        imitates = number < config.imitation_updates
        rng = np.random.default_rng([config.seed, number])
        episodes = self._play(workers, number, imitates)
        played_s = perf_counter() - began_s
        decisions = sum(episode.steps for episode in episodes)
        log = {"cost": float(np.mean([episode.cost for episode in episodes])), "decisions_per_s": decisions / played_s}
        log |= self._imitate(episodes, number, rng) if imitates else self._improve(episodes, number, rng)
        standing.update += 1
        standing.decisions += decisions
        ends = (config.imitation_updates, config.imitation_updates + config.updates)
        if standing.update % config.validate_every == 0 or standing.update in ends:
            log |= self._look(workers)
        standing.spent_s += perf_counter() - began_s
        log["decisions_per_s_in_all"] = decisions / (perf_counter() - began_s)
        for name, value in log.items():
            board.add_scalar(name, value, standing.update)
        self._note("imitation" if imitates else config.algo, log)
        self._save()

    def _play(self, workers: Workers, number: int, imitates: bool) -> list[Episode]:
        config = self.config
        first = TRAINING_SEED + SEEDS_PER_RUN * config.seed + number * config.episodes
        jobs = [
            Job(first + episode // config.siblings, (config.seed, number, episode))
            for episode in range(config.episodes)
        ]
        manner = Manner(follow=config.follow, taught=True) if imitates else Manner()
        return workers.play(self.team(), jobs, manner)

    def _imitate(self, episodes: list[Episode], number: int, rng: np.random.Generator) -> dict[str, float]:
        log = {}
        for batch in batches_of(episodes, self.layout):
            name = batch.group.name
            optimizer = self.optimizers[f"actor/{name}"]
            set_rate(optimizer, self.config.imitation_rate * (1 - number / self.config.imitation_updates))
            log[f"imitation/{name}"] = imitate(self.learner.actors[name], optimizer, batch, self.config, rng)
        return log

    def _improve(self, episodes: list[Episode], number: int, rng: np.random.Generator) -> dict[str, float]:
        config = self.config
        number -= config.imitation_updates
        left = 1 - number / config.updates
        for name in self.learner.actors:
            set_rate(self.optimizers[f"actor/{name}"], config.learning_rate * left)
        batches = batches_of(episodes, self.layout)
        entropy = config.entropy * (0.1 + 0.9 * left)
        return self.learner.update(batches, self.optimizers, entropy, number < config.critic_updates, rng)

    def team(self) -> dict[str, Actor]:
        return {name: weights_of(actor) for name, actor in self.learner.actors.items()}

    def _look(self, workers: Workers) -> dict[str, float]:
        """The lowest mean cost on the validation episodes, and its temperature; the best team so far is written."""
        config, standing = self.config, self.standing
        team = self.team()
        tried = [(self._validate(workers, team, Manner(t, record=False)), t) for t in config.temperatures]
        cost, temperature = min(tried)
        standing.looks += standing.update > config.imitation_updates + config.critic_updates
        if cost < standing.best:
            standing.best, standing.looks = cost, 0
            training = {
                **self.description,
                "update": standing.update,
                "decisions": standing.decisions,
                "validation_cost": cost,
            }
            candidate = self.out / "candidate"
            kind = {**self.task.kind(), "temperature": temperature}
            write_team(candidate, kind, self.task.columns(), team, training)
            for file in candidate.iterdir():
                os.replace(file, self.out / file.name)  # a kill leaves the team before or this one, never half a file
            shutil.rmtree(candidate)
        return {"validation": cost, "temperature": temperature}

    def _validate(self, workers: Workers, team: dict[str, Actor], manner: Manner) -> float:
        jobs = [
            Job(VALIDATION_SEED + episode, (self.config.seed, episode)) for episode in range(self.config.validation)
        ]
        return float(np.mean([episode.cost for episode in workers.play(team, jobs, manner)]))

    # --- what is written

    def _save(self) -> None:
        unfinished = self.out / "checkpoint.unfinished"
        state = {
            "learner": self.learner.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "standing": asdict(self.standing),
        }
        torch.save(state, unfinished)
        os.replace(unfinished, self.out / "checkpoint.pt")

    def restore(self, checkpoint: Path) -> None:
        """Go on where a checkpoint was written; lines of the log behind it are dropped."""
        state = torch.load(checkpoint, weights_only=True)
        self.learner.load_state_dict(state["learner"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.standing = _Standing(**state["standing"])
        log = self.out / "log.csv"
        if log.exists():
            head, *lines = log.read_text().splitlines(keepends=True)
            kept = [line for line in lines if int(line.split(",")[1]) <= self.standing.update]
            log.write_text("".join([head, *kept]))

    def _note(self, stage: str, log: dict[str, float]) -> None:
        """A line of the log; what was not measured stays empty."""
        standing = self.standing
        names = {"cost": ".4f", "validation": ".4f", "temperature": "g", "decisions_per_s": ".0f"}
        measured = [format(log[name], form) if name in log else "" for name, form in names.items()]
        line = ",".join([stage, str(standing.update), str(standing.decisions), f"{standing.spent_s:.0f}", *measured])
        with (self.out / "log.csv").open("a") as file:
            file.write(line + "\n")
        self.progress(line)


def _adam(network: torch.nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=rate, eps=1e-5)


def _prepare(out: Path, made_of: dict[str, Any], resume: bool) -> Path | None:
    """Make or check the folder; return the checkpoint to go on from, if any."""
    wanted = json.loads(json.dumps(made_of, default=str))
    # More updates may be asked for; anything else would make it another training.
    if training_folder.enter(out, wanted, resume, free=("updates",)) is None:
        return None
    training_folder.note(out, wanted)
    checkpoint = out / "checkpoint.pt"
    return checkpoint if checkpoint.exists() else None
