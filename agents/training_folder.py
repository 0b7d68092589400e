"""The folder of a training: what it is made of stands in config.json, and another training is refused."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from clustersim.errors import ConfigError

CONFIG = "config.json"


def enter(out: Path, wanted: dict[str, Any], resume: bool, free: Collection[str]) -> dict[str, Any] | None:
    """Make the folder of a new training and return None, or check it and return what the one in it is made of.

    `free` may differ from what was asked for before. Raises ConfigError for a folder that holds something else, a
    training without `resume` and `resume` without a training.
    """
    path = out / CONFIG
    if not path.exists():
        if resume:
            raise ConfigError(
                f"{out} holds no training to resume: there is no {path}; leave --resume away to start one"
            )
        if out.exists() and any(out.iterdir()):
            raise ConfigError(f"{out} is not empty and holds no training; choose another folder")
        out.mkdir(parents=True, exist_ok=True)
        note(out, wanted)
        return None
    if not resume:
        raise ConfigError(f"{out} already holds a training; add --resume to go on with it, or choose another folder")
    found: dict[str, Any] = json.loads(path.read_text())
    differing = [name for name in wanted if found.get(name) != wanted[name] and name not in free]
    if differing:
        values = ", ".join(f"{name} was {found.get(name)!r} and is now {wanted[name]!r}" for name in differing)
        raise ConfigError(f"{out} holds another training: {values}; choose another folder")
    return found


def note(out: Path, wanted: dict[str, Any]) -> None:
    """Write down what a training is made of."""
    (out / CONFIG).write_text(json.dumps(wanted, indent=1) + "\n")
