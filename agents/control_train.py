"""Train a team for the shared cluster: the entry point of `clustersim train cluster-control`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from clustersim.agents.control_config import ControlTrainConfig
from clustersim.agents.control_task import ControlTask
from clustersim.agents.marl_train import Progress, train


def train_control(
    config: ControlTrainConfig,
    out: Path,
    command: str = "",
    *,
    resume: bool = False,
    progress: Progress = lambda line: None,
) -> Path:
    """Train, or go on training, and return the folder of the team; interrupted, it holds the best team so far.

    `progress` is called with a line of log.csv after every update.
    """
    task = ControlTask(config)
    task.tutors()  # a name that is none is told before anything is written
    settings = {name: value for name, value in asdict(config).items() if name != "marl"}
    return train(task, config.marl, out, resume=resume, settings=settings, command=command, progress=progress)
