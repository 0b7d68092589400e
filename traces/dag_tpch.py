"""TPC-H queries as Spark ran them: stages of many short instances, measured at several numbers of executors.

The format is that of the Decima simulator, one JSON object per input size with a member for each query:
`adj_mat[i][j]` is 1 where stage i comes before stage j, `task_duration` has for each stage the waves `fresh_durations`,
`first_wave` and `rest_wave`, and for each wave the measured milliseconds by number of executors.

What becomes of a stage (Mao et al., "Learning Scheduling Algorithms for Data Processing Clusters", SIGCOMM 2019,
doi 10.1145/3341302.3342080; their simulator draws each duration from the same waves):

* `instances`: the length of the first and the rest wave at the executor count that is listed first. The counts agree
  but for stage 6 of query 15, which has 1 or 2.
* `run_time_s`: mean of the rest wave, what an executor takes that has just run the same stage.
* `warm_up_s`: how much longer the mean of the first wave is, which an executor takes that comes from elsewhere. Fresh
  executors, which start a JVM, are taken out of the first wave, as Decima does.
* A wave is taken at the executor count nearest to the number of machines that has one, the smaller of two that are
  equally near; a stage without any rest wave has the run time of its first wave, and one whose first wave is all fresh
  has that of its fresh executors.
* Nothing is sent along the edges: the durations include reading what other stages wrote.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustersim.errors import ConfigError
from clustersim.traces.dag_job import RecordedJob
from clustersim.traces.dag_json import Json, read_json

Wave = dict[int, NDArray[np.float64]]
"""Measured milliseconds by number of executors."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What was measured of a stage; `first` has no fresh executors in it.

    `instances_seen`: the numbers of instances at all executor counts, each once; there should be one.
    """

    instances: int
    instances_seen: tuple[int, ...]
    fresh: Wave
    first: Wave
    rest: Wave

    def run_and_warm_up_s(self, executors: int) -> tuple[float, float]:
        # The reader refuses a stage without any duration, so that one of the three is there.
        waves = (self.first, self.fresh, self.rest)
        first_ms = next(ms for wave in waves if (ms := _nearest(wave, executors)) is not None)
        rest_ms = _nearest(self.rest, executors)
        if rest_ms is None:
            return first_ms / 1e3, 0.0
        return rest_ms / 1e3, max(0.0, first_ms - rest_ms) / 1e3


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A query at one input size."""

    name: str
    stages: tuple[Stage, ...]
    edges: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stages)

    def job(self, executors: int) -> RecordedJob:
        """The job for a cluster of that many machines."""
        return _job(self, executors)


@lru_cache(maxsize=8)
def read_tpch(file: Path) -> tuple[Query, ...]:
    """The queries of a file by their number. Raises TraceError."""
    size = file.name.split(".")[0].removeprefix("tpch_")
    document = read_json(file)
    queries = [_query(f"tpch-q{number}-{size}", query) for number, query in document.members()]
    if not queries:
        raise document.wrong("there are no queries; get a complete copy of the file")
    return tuple(sorted(queries, key=lambda query: (len(query.name), query.name)))


@lru_cache(maxsize=1024)
def _job(query: Query, executors: int) -> RecordedJob:
    times = [stage.run_and_warm_up_s(executors) for stage in query.stages]
    return RecordedJob(
        query.name,
        tuple(f"stage-{index}" for index in range(len(query.stages))),
        np.array([run_s for run_s, _ in times]),
        query.edges,
        np.zeros(len(query.edges)),
        np.array([stage.instances for stage in query.stages]),
        np.array([warm_up_s for _, warm_up_s in times]),
    )


def _query(name: str, query: Json) -> Query:
    rows = query["adj_mat"].elements()
    edges = []
    for source, row in enumerate(rows):
        before = row.numbers()
        if len(before) != len(rows):
            raise row.wrong(f"has {len(before)} entries; a matrix of {len(rows)} stages needs {len(rows)}")
        if not np.isin(before, (0, 1)).all():
            raise row.wrong(f"is {row.value}; entries have to be 0 or 1")
        edges += [(source, target) for target in np.flatnonzero(before)]
    durations = dict(query["task_duration"].members())
    missing = [index for index in range(len(rows)) if str(index) not in durations]
    surplus = [key for key in durations if key not in map(str, range(len(rows)))]
    if missing or surplus:
        what = f"durations of stage {missing[0]}" if missing else f"stage {surplus[0]!r} of the durations"
        raise query.wrong(f"has {len(rows)} stages in adj_mat and {len(durations)} in task_duration: {what} is missing")
    stages = tuple(_stage(durations[str(index)]) for index in range(len(rows)))
    made = Query(name, stages, np.array(edges, dtype=np.int64).reshape(-1, 2))
    try:
        made.job(1)
    except ConfigError as error:
        raise query["adj_mat"].wrong(f"is no acyclic graph: {error}") from None
    return made


def _stage(durations: Json) -> Stage:
    fresh, first, rest = (
        {_executors(count, wave): wave.numbers() for count, wave in durations[name].members()}
        for name in ("fresh_durations", "first_wave", "rest_wave")
    )
    if not first:
        raise durations["first_wave"].wrong("has no executor counts")
    instances = [len(first[count]) + len(rest.get(count, ())) for count in first]
    if 0 in instances:
        count = list(first)[instances.index(0)]
        raise durations.wrong(f"has neither a first nor a rest wave at {count} executors")
    without_fresh = {count: _without(first[count], fresh.get(count)) for count in first}
    return Stage(instances[0], tuple(sorted(set(instances))), fresh, without_fresh, rest)


def _executors(count: str, wave: Json) -> int:
    if not count.isdecimal() or int(count) == 0:
        raise wave.wrong(f"is filed under {count!r}; a number of executors is expected")
    return int(count)


def _without(wave: NDArray[np.float64], taken: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """What is left of the wave when each value of `taken` is taken out once."""
    left = Counter(wave.tolist())
    left.subtract(Counter([] if taken is None else taken.tolist()) & left)
    return np.array(sorted(left.elements()))


def _nearest(wave: Wave, executors: int) -> float | None:
    counts = [count for count, durations_ms in wave.items() if len(durations_ms)]
    if not counts:
        return None
    return float(wave[min(counts, key=lambda count: (abs(count - executors), count))].mean())
