"""The results folder: the experiment it belongs to, and one small file per finished run."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustersim.bench.atomic import TEMPORARY_SUFFIX, write_atomically
from clustersim.bench.runs import JSON, Experiment, RunResult, Series
from clustersim.errors import ResultsError


class UnusableRunError(ResultsError):
    """A run's file is damaged or was made by other weights; the run has to be done again."""


class RunStore:
    """Finished runs of one experiment, each in its own file, so that nothing that has finished is ever lost."""

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        """Claim an absent or empty folder, or reopen one that holds the same experiment.

        Raises ResultsError when the folder belongs to another experiment or holds anything else.
        """
        self.folder = folder
        self._fingerprint = experiment.policy_fingerprint
        self._claim(experiment.identity)

    def _claim(self, identity: dict[str, JSON]) -> None:
        experiment_file = self.folder / "experiment.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            foreign = sorted(path.name for path in self.folder.iterdir() if not path.name.endswith(TEMPORARY_SUFFIX))
        except OSError as error:
            raise ResultsError(f"results folder {self.folder} cannot be used: {error}; choose another --out") from error
        if not experiment_file.exists():
            if foreign:
                raise ResultsError(
                    f"folder {self.folder} holds no experiment.json but other files ({', '.join(foreign[:3])}"
                    f"{', ...' if len(foreign) > 3 else ''}); choose another --out"
                )
            write_atomically(experiment_file, json.dumps(identity, indent=1).encode())
        try:
            found = json.loads(experiment_file.read_bytes())
        except ValueError as error:
            remedy = "choose another --out or delete the folder"
            raise ResultsError(f"{experiment_file} is damaged ({error}); {remedy}") from error
        if found != identity:
            raise ResultsError(
                f"folder {self.folder} holds runs of another experiment: {'; '.join(differences(found, identity))}; "
                f"choose another --out or delete the folder"
            )
        (self.folder / ".runs").mkdir(exist_ok=True)

    def path(self, policy: str, seed: int) -> Path:
        return self.folder / ".runs" / f"{slug(policy)}__seed-{seed}.json"

    def save(self, policy: str, seed: int, result: RunResult) -> None:
        run = {"policy": policy, "seed": seed, "fingerprint": self._fingerprint.get(policy), **_encode(result)}
        write_atomically(self.path(policy, seed), json.dumps(run, allow_nan=False).encode())

    def load(self, policy: str, seed: int) -> RunResult:
        """Read one run back; FileNotFoundError when it has not been done, UnusableRunError when it cannot be used."""
        path = self.path(policy, seed)
        content = path.read_bytes()
        try:
            run = json.loads(content)
            result = _decode(run)
            fingerprint = run["fingerprint"]
        except (ValueError, KeyError, TypeError, AttributeError, ResultsError) as error:
            raise UnusableRunError(
                f"run of policy {policy!r} with seed {seed} is damaged ({path}: {type(error).__name__}: {error})"
            ) from error
        if fingerprint != self._fingerprint.get(policy):
            raise UnusableRunError(f"policy {policy!r} has changed since its run with seed {seed}")
        return result


def slug(policy: str) -> str:
    """A file name for a policy, which may be a path: readable, and kept apart from all others by a hash."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", policy)[-40:].strip("-.")
    return f"{readable}-{hashlib.sha256(policy.encode()).hexdigest()[:12]}"


def differences(found: JSON, wanted: JSON, key: str = "") -> list[str]:
    """One text per key in which two JSON values differ, naming the dotted key and both values."""
    if found == wanted:
        return []
    if not isinstance(found, Mapping) or not isinstance(wanted, Mapping):
        return [f"{key or 'experiment.json'} is {json.dumps(found)} there and {json.dumps(wanted)} now"]
    texts = []
    for name in [*found, *(name for name in wanted if name not in found)]:
        dotted = f"{key}.{name}" if key else name
        if name not in wanted:
            texts.append(f"{dotted} is {json.dumps(found[name])} there and absent now")
        elif name not in found:
            texts.append(f"{dotted} is absent there and {json.dumps(wanted[name])} now")
        else:
            texts.extend(differences(found[name], wanted[name], dotted))
    return texts


def _encode(result: RunResult) -> dict[str, Any]:
    return {
        "metrics": {name: _null_if_nan(value) for name, value in result.metrics.items()},
        "series": {
            name: {
                "x": [float(x) for x in series.x],
                "y": [_null_if_nan(y) for y in series.y],
                "x_label": series.x_label,
                "y_label": series.y_label,
            }
            for name, series in result.series.items()
        },
        "decisions": int(result.decisions),
        "wall_s": float(result.wall_s),
    }


def _decode(run: dict[str, Any]) -> RunResult:
    return RunResult(
        metrics={name: _nan_if_null(value) for name, value in run["metrics"].items()},
        series={
            name: Series(_array(series["x"]), _array(series["y"]), series["x_label"], series["y_label"])
            for name, series in run["series"].items()
        },
        decisions=int(run["decisions"]),
        wall_s=float(run["wall_s"]),
    )


def _null_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _nan_if_null(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _array(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([_nan_if_null(value) for value in values], dtype=np.float64)
