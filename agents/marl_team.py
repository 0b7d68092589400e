"""A trained team on disk: the actors of all groups in one folder, as plain arrays."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from clustersim.agents import folder
from clustersim.agents.marl_actor import Actor
from clustersim.errors import ClustersimError

Team = Mapping[str, Actor]
"""Actors by group: by role, or by agent where agents share nothing."""


def write_team(
    target: Path, kind: Mapping[str, Any], columns: folder.Columns, team: Team, training: dict[str, Any]
) -> None:
    """Write policy.json and weights.npz."""
    arrays = {f"{group}/{name}": array for group, actor in team.items() for name, array in actor.arrays.items()}
    folder.write(target, kind, columns, lambda path: np.savez(path, **arrays), training)  # type: ignore[arg-type]


def read_team(source: Path, columns: folder.Columns) -> tuple[dict[str, Actor], dict[str, Any]]:
    """The actors by group and how they were made; raises when they read other columns than this version has."""
    description = folder.read(source, columns)
    path = source / folder.WEIGHTS
    arrays: dict[str, dict[str, Any]] = {}
    try:
        # Opened here, because np.load leaves a file open that it finds to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            for key in found.files:
                group, _, name = key.partition("/")
                arrays.setdefault(group, {})[name] = found[key]
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ClustersimError(f"{path} does not hold the weights of a team: {error}") from error
    if any("" in those for those in arrays.values()):
        raise ClustersimError(f"{path} does not hold the weights of a team: they belong to no group")
    return {group: Actor(those) for group, those in arrays.items()}, description
