"""The folder of a trained agent: policy.json says how it was made and what it reads, weights.npz holds plain arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clustersim.errors import ClustersimError

DESCRIPTION = "policy.json"
WEIGHTS = "weights.npz"

Columns = Mapping[str, list[str]]
"""The observation columns that an agent reads, by table."""


def read(folder: Path, columns: Columns) -> dict[str, Any]:
    """How an agent was made; raises when it reads other columns than this version has."""
    path = folder / DESCRIPTION
    try:
        description: dict[str, Any] = json.loads(path.read_text())
        found_columns = dict(description["columns"])
    except (FileNotFoundError, NotADirectoryError):
        raise ClustersimError(
            f"{folder} is no trained agent: it has no {DESCRIPTION}; name a folder that `clustersim train` wrote"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ClustersimError(f"{path} is damaged: {type(error).__name__}: {error}") from None
    for table, names in columns.items():
        found = found_columns.get(table)
        if found != names:
            raise ClustersimError(
                f"{folder} was trained on other observations: its {table} columns are {found}, "
                f"this version has {names}; train it again"
            )
    return description


def write(
    folder: Path, kind: Mapping[str, Any], columns: Columns, save: Callable[[Path], object], training: dict[str, Any]
) -> None:
    """Write both files. `kind` names scenario and network, `save` writes the weights, `training` says how they came."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / WEIGHTS)
    description = {**kind, "columns": columns, "training": training}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")


def fingerprint(folder: Path) -> str:
    """Sixteen hexadecimal digits that change when either file of an agent does."""
    content = b"".join((folder / name).read_bytes() for name in (DESCRIPTION, WEIGHTS))
    return hashlib.sha256(content).hexdigest()[:16]
