"""Calls of functions by the minute: a folder in the layout of the Azure Functions trace of 2019.

Three files: `invocations.csv`, one row a function, one column a minute; `durations.csv` and `memory.csv`, with what was
measured of each. Shahrad et al., "Serverless in the Wild", USENIX ATC 2020.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.errors import ConfigError, TraceError
from clustersim.traces.rules import breaches, require_columns
from clustersim.traces.text_table import read_text_table

KEYS = ("HashOwner", "HashApp", "HashFunction")
FILES = ("invocations.csv", "durations.csv", "memory.csv")

VARYING = 0.2
"""A function varies when the standard deviation of its minutes is at least this share of their mean."""


@dataclass(frozen=True, eq=False)
class FaasTrace:
    """F functions over M minutes in a row. `counts` (F, M): calls; `duration_s`, `memory_mib` (F,): means of a call."""

    name: str
    first_minute: int
    function: tuple[str, ...]
    trigger: tuple[str, ...]
    counts: NDArray[np.int64]
    duration_s: NDArray[np.float64]
    memory_mib: NDArray[np.float64]

    @property
    def minutes(self) -> int:
        return int(self.counts.shape[1])

    def services(self, groups: int) -> NDArray[np.int64]:
        """(groups, M) calls per minute of services that the functions are grouped into, the same every time.

        Left out are timers, functions with less than a call per minute and functions that do not vary (`VARYING`): for
        them there is nothing to scale. The others are dealt to the services by turns, the busiest first.
        """
        mean = self.counts.mean(axis=1)
        varies = self.counts.std(axis=1) >= VARYING * mean
        timer = np.array([trigger == "timer" for trigger in self.trigger])
        rows = np.flatnonzero(varies & (mean >= 1) & ~timer)
        if not 1 <= groups <= len(rows):
            raise ConfigError(
                f"{groups} services asked for; the trace {self.name!r} has {len(rows)} functions with a load that "
                f"varies, so 1 to {len(rows)} services can be made of it"
            )
        rows = rows[np.argsort(-mean[rows], kind="stable")]
        return np.stack([self.counts[rows[group::groups]].sum(axis=0) for group in range(groups)])


@lru_cache(maxsize=4)
def read_faas(folder: Path) -> FaasTrace:
    """The trace in a folder, files plain or gzipped. Raises TraceError with file, line, column and rule."""
    if not folder.is_dir():
        raise TraceError(f"{folder}: no such folder; a trace of functions is a folder with {', '.join(FILES)}")
    calls_file, durations_file, memory_file = (_file(folder, name) for name in FILES)
    calls = _table(calls_file, (*KEYS, "Trigger"))
    minutes = _minutes(calls, calls_file)
    functions = tuple(calls["HashFunction"])
    return FaasTrace(
        name=folder.name,
        first_minute=minutes[0],
        function=functions,
        trigger=tuple(calls["Trigger"]),
        counts=_counts(calls, [str(minute) for minute in minutes], calls_file),
        duration_s=_measured(durations_file, "Average", functions) / 1e3,
        memory_mib=_measured(memory_file, "AverageAllocatedMb", functions),
    )


def _file(folder: Path, name: str) -> Path:
    for file in (folder / name, folder / f"{name}.gz"):
        if file.exists():
            return file
    raise TraceError(f"{folder}: there is no {name} or {name}.gz; a trace of functions has {', '.join(FILES)}")


def _table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_text_table(file)
    require_columns(table, columns, file)
    again = table.index[table["HashFunction"].duplicated()]
    if len(again):
        raise breaches(file, [f"line {line}, column 'HashFunction': repeats an earlier line" for line in again])
    return table


def _minutes(table: pd.DataFrame, file: Path) -> list[int]:
    minutes = [int(column) for column in table.columns if re.fullmatch("[0-9]{1,6}", column)]
    if not minutes:
        raise breaches(file, ["line 1: there is no column of a minute, such as '480'"])
    missing = sorted(set(range(min(minutes), max(minutes) + 1)) - set(minutes))
    if missing:
        span = f"{min(minutes)} to {max(minutes)}"
        raise breaches(file, [f"line 1: minute {minute} is missing; there are minutes {span}" for minute in missing])
    return sorted(minutes)


def _counts(table: pd.DataFrame, columns: list[str], file: Path) -> NDArray[np.int64]:
    text = table[columns].to_numpy(dtype=np.str_)
    # Up to 12 digits, so that sums of them are exact.
    odd = np.argwhere(~np.strings.isdecimal(text) | (np.strings.str_len(text) > 12))
    if len(odd):
        found = [
            f"line {table.index[row]}, column {columns[column]!r}: {str(text[row, column])!r} must be a whole number "
            "of calls, 0 or more"
            for row, column in odd
        ]
        raise breaches(file, found)
    return text.astype(np.int64)


def _measured(file: Path, column: str, functions: tuple[str, ...]) -> NDArray[np.float64]:
    """The column (F,) in the order of the functions; the file may list more of them."""
    table = _table(file, ("HashFunction", column))
    values = pd.to_numeric(table[column], errors="coerce")
    odd = table.index[~((values >= 0) & (values < np.inf))]
    if len(odd):
        rule = "must be a finite number, 0 or more"
        raise breaches(file, [f"line {line}, column {column!r}: {table.at[line, column]!r} {rule}" for line in odd])
    by_function = dict(zip(table["HashFunction"], values, strict=True))
    missing = [function for function in functions if function not in by_function]
    if missing:
        raise breaches(file, [f"function {function!r} of {FILES[0]} is not in this file" for function in missing])
    return np.array([by_function[function] for function in functions])
