"""Jobs of the DS3 emulator: tasks by name, their predecessors and the volumes that are sent along.

A file has the lines `job_name NAME`, `add_new_tasks N`, then for each task `NAME ID PREDECESSORS...`, at will
`NAME HEAD` or `NAME TAIL` and `NAME earliest_start ... deadline ...` (ignored, as the simulator does not enforce them),
and `comm_vol SOURCE DESTINATION VOLUME` for each edge. What a task takes is in the SoC file, under its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from clustersim.dags import Dag
from clustersim.errors import ConfigError, TraceError
from clustersim.traces.dag_ds3_soc import Soc
from clustersim.traces.dag_ds3_text import Line, read_lines


@dataclass(frozen=True, slots=True)
class SocJob:
    """`edges`: (predecessor, successor, volume) by task index, sorted by successor, then predecessor."""

    file: Path
    name: str
    tasks: tuple[str, ...]
    edges: tuple[tuple[int, int, float], ...]

    def __len__(self) -> int:
        return len(self.tasks)

    def on(self, soc: Soc) -> Dag:
        """The job on the machines of the SoC. Raises TraceError for a task that none of them can run, and a cycle."""
        for task in self.tasks:
            if task not in soc.run_time_s:
                raise TraceError(f"{self.file}: no machine of {soc.name} can run task {task!r} of job {self.name!r}")
        edges = np.array([edge[:2] for edge in self.edges], dtype=np.int64).reshape(-1, 2)
        run_time_s = np.array([soc.run_time_s[task] for task in self.tasks])
        try:
            return Dag(self.name, self.tasks, run_time_s, edges, np.array([volume for _, _, volume in self.edges]))
        except ConfigError as error:
            raise TraceError(f"{self.file}: {error}") from None


@lru_cache(maxsize=64)
def read_soc_job(file: Path) -> SocJob:
    """Raises TraceError with file and line."""
    name = file.name.split(".txt")[0]
    announced: Line | None = None
    tasks: dict[int, Line] = {}
    parents: dict[int, list[int]] = {}
    volumes: dict[tuple[int, int], Line] = {}
    for line in read_lines(file):
        if line.words[0] == "job_name":
            name = line.word(1, "the name")
        elif line.words[0] == "add_new_tasks":
            if announced is not None:
                raise line.wrong(f"line {announced.number} has announced the tasks already; one job a file")
            line.whole(1, "the number of tasks")
            announced = line
        elif line.words[0] == "comm_vol":
            pair = (line.whole(1, "the source"), line.whole(2, "the destination"))
            line.value(3, "the volume")
            if pair in volumes:
                raise line.wrong(f"the volume of this edge is in line {volumes[pair].number} already")
            volumes[pair] = line
        elif line.word(1, "the ID of the task") not in ("HEAD", "TAIL", "earliest_start"):
            task = line.whole(1, "the ID of the task")
            if task in tasks:
                raise line.wrong(f"line {tasks[task].number} has a task of that ID already")
            tasks[task] = line
            parents[task] = [line.whole(at, "a predecessor") for at in range(2, len(line.words))]
    return SocJob(file, name, *_checked(file, announced, tasks, parents, volumes))


def _checked(
    file: Path,
    announced: Line | None,
    tasks: dict[int, Line],
    parents: dict[int, list[int]],
    volumes: dict[tuple[int, int], Line],
) -> tuple[tuple[str, ...], tuple[tuple[int, int, float], ...]]:
    if announced is None or not tasks:
        raise TraceError(f"{file}: there is no add_new_tasks with tasks behind it; get a complete copy of the file")
    if announced.whole(1, "the number of tasks") != len(tasks):
        raise announced.wrong(f"{len(tasks)} tasks follow")
    order = sorted(tasks)
    index = {task: position for position, task in enumerate(order)}
    names = [tasks[task].words[0] for task in order]
    edges = []
    for task in order:
        if names.count(names[index[task]]) > 1 and names.index(names[index[task]]) < index[task]:
            raise tasks[task].wrong(f"two tasks are called {names[index[task]]!r}; names have to differ")
        for parent in sorted(parents[task]):
            if parent not in tasks:
                raise tasks[task].wrong(f"it waits for task {parent}, which is missing")
            if (parent, task) not in volumes:
                raise tasks[task].wrong(f"there is no comm_vol {parent} {task}")
            edges.append((index[parent], index[task], volumes[parent, task].value(3, "the volume")))
    for (source, target), line in volumes.items():
        if target not in parents or source not in parents[target]:
            raise line.wrong(f"task {target} does not wait for task {source}")
    return tuple(names), tuple(edges)
