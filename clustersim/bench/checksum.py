"""A short checksum of what a run reads, by which a results folder recognises it."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def checksum(workload: Any) -> str:
    """Sixteen hexadecimal digits that change when any field, cell or element of a nested dataclass does."""
    digest = hashlib.sha256()

    def take(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(value.tobytes())
        elif is_dataclass(value):
            for column in fields(value):
                take(getattr(value, column.name))
        elif isinstance(value, tuple):
            for part in value:
                take(part)
        else:
            digest.update(repr(value).encode())

    take(workload)
    return digest.hexdigest()[:16]
