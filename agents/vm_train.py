"""Train a rescheduling agent: imitate exact plans on generated fleets, then PPO; keep what is best on held-out ones.

A folder of training holds config.json, checkpoint.pt (everything needed to go on), log.csv and the best agent so far:
policy.json, weights.npz. Columns of log.csv: `validation` is the sum of the fragment rates of the greedy agent over
the validation fleets, as a multiple of that of the exact plans; 1 is optimal.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from clustersim.agents import training_folder
from clustersim.agents.ppo_parts import descend, set_rate
from clustersim.agents.two_stage import (
    NetworkShape,
    Played,
    TwoStage,
    drawn,
    log_share,
    look_for_node,
    look_for_vm,
    moves_of,
    ppo_update,
    vms_of,
)
from clustersim.agents.vm_config import VmTrainConfig
from clustersim.agents.vm_episodes import Episodes
from clustersim.agents.vm_lessons import Order, Tutor
from clustersim.agents.vm_player import play, write_agent
from clustersim.agents.vm_teacher import Game, begin, solved
from clustersim.vm_plan import carried_out
from clustersim.vm_state import FleetState

TRAINING, VALIDATION = 1, 2
"""First words of the seeds; benchmarks use plain small seeds, so their fleets stay held out."""
LOG = "stage,update,seconds,moves,loss,validation,note\n"

Progress = Callable[[str], None]


def train(
    config: VmTrainConfig,
    out: Path,
    command: str = "",
    *,
    resume: bool = False,
    progress: Progress = lambda line: None,
) -> Path:
    """Train, or go on training, and return the folder of the agent; interrupted, it holds the best agent so far.

    `progress` is called with each line of log.csv. All chance in an update comes from `config.seed` and its number, so
    a resumed training makes the same weights as one that was never interrupted (as long as the solver needs no more
    than `solver_s`).
    """
    wanted = _plain(asdict(config))
    going_on = training_folder.enter(out, wanted, resume, free=("workers",)) is not None
    torch.set_num_threads(1)  # the matrices are small: a second thread costs more in hand-overs than it computes
    torch.manual_seed(config.seed)
    with ExitStack() as stack:
        trainer = _Trainer(
            config, out, {"command": command, "config": wanted}, progress, stack.enter_context(Tutor(config.workers))
        )
        if going_on and (out / "checkpoint.pt").exists():
            trainer.restore()
        else:
            (out / "log.csv").write_text(LOG)
        while trainer.updates < config.imitation_updates + config.ppo_updates:
            trainer.update()
    return out


class _Trainer:
    def __init__(
        self, config: VmTrainConfig, out: Path, description: dict[str, Any], progress: Progress, tutor: Tutor
    ) -> None:
        self.config, self.out, self.description, self.progress, self.tutor = config, out, description, progress, tutor
        names = {field.name for field in fields(NetworkShape)}
        self.network = TwoStage(NetworkShape(**{name: value for name, value in vars(config).items() if name in names}))
        self.before = _copy(self.network)
        """Weights before the last update: those for which the next lessons are prepared."""
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.imitation_rate, eps=1e-5)
        self.updates = 0
        self.moves = 0
        self.best = np.inf
        self.spent_s = 0.0
        self._coming: Any = None
        self._validation: list[tuple[list[FleetState], int, float]] = []

    def update(self) -> None:
        """Learn, look, write."""
        config = self.config
        began_s = perf_counter()
        imitates = self.updates < config.imitation_updates
        rng = np.random.default_rng([TRAINING, config.seed, self.updates])
        loss, note = self._imitate(rng) if imitates else self._improve(rng)
        self.updates += 1
        looked = ""
        ends = (config.imitation_updates, config.imitation_updates + config.ppo_updates)
        if self.updates % config.validate_every == 0 or self.updates in ends:
            value, each = self._look()
            looked, note = f"{value:.4f}", f"{note} {each}"
        self.spent_s += perf_counter() - began_s
        stage = "imitation" if imitates else "ppo"
        line = f"{stage},{self.updates},{self.spent_s:.0f},{self.moves},{loss:.4f},{looked},{note}"
        with (self.out / "log.csv").open("a") as log:
            log.write(line + "\n")
        self.progress(line)
        self._save()

    # --- imitation

    def _imitate(self, rng: np.random.Generator) -> tuple[float, str]:
        config = self.config
        if self._coming is None:
            self._coming = self._order(self.updates, self.before)
        lessons = self._coming.result()
        self.before = _copy(self.network)
        self._coming = (
            self._order(self.updates + 1, self.before) if self.updates + 1 < config.imitation_updates else None
        )
        left = 1 - self.updates / config.imitation_updates
        set_rate(self.optimizer, config.imitation_rate * (0.05 + 0.95 * left))
        deck = [lessons[i] for _ in range(config.passes) for i in rng.permutation(len(lessons))]
        side_by_side = max(1, min(len(lessons), config.rows // config.machines_of(self.updates)))
        games: list[Game] = []
        losses = []
        while True:
            games = [game for game in games if game.goes_on]
            while len(games) < side_by_side and deck:
                games += [game for game in [Game(deck.pop())] if game.goes_on]
            if len(games) < max(1, side_by_side // 2):  # the last few would make noisy steps
                break
            losses.append(self._imitate_once(games, rng))
            self.moves += len(games)
        vm, node, value = np.mean(losses, axis=0)
        return float(vm + node), f"vm {vm:.3f} node {node:.3f} value {value:.3f}"

    def _imitate_once(self, games: list[Game], rng: np.random.Generator) -> tuple[float, float, float]:
        """A step of gradient on the games' states, and a move in each: one of the plan that the learner likes."""
        network = self.network
        states = [game.state for game in games]
        first = look_for_vm(network, states, [game.made for game in games], [game.mnl for game in games])
        good = torch.from_numpy(
            np.stack(
                [game.good_vms(*seen) for game, *seen in zip(games, first.seen.first, first.seen.legal, strict=True)]
            )
        ).flatten(1)
        chosen = drawn(first.vm_log_p.masked_fill(~good, -torch.inf), rng)
        second = look_for_node(network, first, states, chosen)
        vms = vms_of(first.seen, chosen)
        good_nodes = torch.from_numpy(
            np.stack([game.good_nodes(vm) for game, vm in zip(games, vms, strict=True)])
        ).flatten(1)
        node = drawn(second.log_p.masked_fill(~good_nodes, -torch.inf), rng)
        per_move = torch.tensor([game.to_gain / (game.mnl - game.made) for game in games], dtype=torch.float32)
        losses = (
            -log_share(first.vm_log_p, good).mean(),
            -log_share(second.log_p, good_nodes).mean(),
            (network.values(first.known) - per_move).square().mean(),
        )
        descend(network, self.optimizer, losses[0] + losses[1] + self.config.value_weight * losses[2])
        for game, move in zip(games, moves_of(vms, node), strict=True):
            game.play(move)
        return tuple(float(loss.detach()) for loss in losses)  # type: ignore[return-value]

    def _order(self, update: int, weights: Any) -> Any:
        config = self.config
        order = Order(
            (TRAINING, config.seed, update),
            config.machines_of(update),
            config.lessons_of(update),
            config.played_share if update else 0.0,
            config.varied_share,
            config.moves_per_machine,
            config.solver_s,
        )
        return self.tutor.prepare(order, self.network.shape, weights)

    # --- PPO

    def _improve(self, rng: np.random.Generator) -> tuple[float, str]:
        config = self.config
        number = self.updates - config.imitation_updates
        set_rate(self.optimizer, config.ppo_rate * (1 - number / config.ppo_updates))
        played, gained = self._play(rng)
        log = ppo_update(
            self.network,
            self.optimizer,
            played,
            rng,
            epochs=config.ppo_epochs,
            minibatch=max(1, config.rows // config.machines_of(self.updates)),
            clip=config.clip,
            entropy=config.entropy,
            target_kl=config.target_kl,
            only_critic=number < config.critic_updates,
        )
        return log["critic"], f"gained {gained:.3f} kl {log['kl']:.4f} entropy {log['entropy']:.3f}"

    def _play(self, rng: np.random.Generator) -> tuple[Played, float]:
        """Episodes on fresh fleets, siblings on the same one; and what a move gained on average, in flavours."""
        config = self.config
        machines, games = config.machines_of(self.updates), config.games_of(self.updates)
        seed = (TRAINING, config.seed, self.updates)
        tasks = [
            begin(machines, (*seed, number), config.varied_share, config.moves_per_machine).task
            for number in range(games // config.siblings)
            for _ in range(config.siblings)
        ]
        episodes = Episodes(self.network, tasks, config.penalty)
        with torch.no_grad():
            while episodes.step(rng):
                pass
        self.moves += episodes.moves
        return episodes.played(config.gamma, config.gae_lambda), episodes.gained

    # --- validation

    def _look(self) -> tuple[float, str]:
        """How the greedy agent does, in all and by size; the best agent so far is written."""
        if not self._validation:
            self._validation = self._validation_tasks()
        ratios = []
        for states, mnl, optimum in self._validation:
            fleets = [state.copy() for state in states]
            play(self.network, fleets, [mnl] * len(fleets))
            ratios.append(sum(state.fragment_rate for state in fleets) / optimum)
        value = float(np.mean(ratios))
        if value < self.best:
            self.best = value
            training = {**self.description, "update": self.updates, "moves": self.moves, "validation": value}
            candidate = self.out / "candidate"
            write_agent(candidate, self.network, training)
            for file in candidate.iterdir():
                os.replace(file, self.out / file.name)  # a kill leaves the agent before or this one, never half a file
            shutil.rmtree(candidate)
        return value, " ".join(f"{ratio:.4f}" for ratio in ratios)

    def _validation_tasks(self) -> list[tuple[list[FleetState], int, float]]:
        """States, moves and the sum of the fragment rates of the exact plans, by size."""
        tasks = []
        for machines, per_machine, count in self.config.validation:
            mnl = max(1, round(per_machine * machines))
            lessons = [
                begin(machines, (VALIDATION, machines, number), 0.0, (mnl / machines, mnl / machines))
                for number in range(count)
            ]
            plans = [solved(lesson, 10.0) for lesson in lessons]
            optimum = sum(carried_out(lesson.task, lesson.plan).fragment_rate for lesson in plans)
            tasks.append(([lesson.task.state() for lesson in lessons], mnl, optimum))
        return tasks

    # --- what is written

    def _save(self) -> None:
        unfinished = self.out / "checkpoint.unfinished"
        state = {
            "network": self.network.state_dict(),
            "before": self.before,
            "optimizer": self.optimizer.state_dict(),
            "standing": {name: getattr(self, name) for name in _STANDING},
        }
        torch.save(state, unfinished)
        os.replace(unfinished, self.out / "checkpoint.pt")

    def restore(self) -> None:
        """Go on where the checkpoint was written; lines of the log behind it are dropped."""
        state = torch.load(self.out / "checkpoint.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.before = state["before"]
        self.optimizer.load_state_dict(state["optimizer"])
        for name, value in state["standing"].items():
            setattr(self, name, value)
        log = self.out / "log.csv"
        head, *lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join([head, *(line for line in lines if int(line.split(",")[1]) <= self.updates)]))


_STANDING = ("updates", "moves", "best", "spent_s")


def _copy(network: TwoStage) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def _plain(made_of: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(made_of))
    return plain
