"""The grammar of task names in the Alibaba trace of 2018: `R3_1_2` is task 3, and waits for tasks 1 and 2."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ORDERED = re.compile(r"[A-Za-z]+(\d+)((?:_[A-Za-z0-9]*)*)")


@dataclass(frozen=True, slots=True)
class TaskName:
    """`number` is None for a task without a place in the graph (`task_NzE4...`, `MergeTask`): it waits for nobody.

    `parents`: each once, in the order of the name. `ignored`: parts that are no number, such as `Stg5` in `M1_Stg5`.
    """

    number: int | None
    parents: tuple[int, ...]
    ignored: tuple[str, ...]


def parse_task_name(name: str) -> TaskName:
    """Letters and a number, then parts behind underscores: those that are numbers are parents."""
    match = _ORDERED.fullmatch(name)
    if match is None:
        return TaskName(None, (), ())
    parts = [part for part in match[2].split("_") if part]  # names may end in an underscore
    parents = dict.fromkeys(int(part) for part in parts if part.isdecimal())
    return TaskName(int(match[1]), tuple(parents), tuple(part for part in parts if not part.isdecimal()))
