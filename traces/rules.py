"""Checking a table against the rules of its format: every breach is named by line, column, value and rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from clustersim.errors import TraceError

SHOWN = 5
"""How many breaches an error spells out before it only counts them."""


def breaches(file: Path, found: Sequence[str]) -> TraceError:
    """The error for a file with these breaches, in the order given."""
    count = "1 breach" if len(found) == 1 else f"{len(found)} breaches"
    shown = "".join(f"\n  {breach}" for breach in found[:SHOWN])
    rest = f"\n  ... and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return TraceError(
        f"{file}: {count} of the rules of the format:{shown}{rest}\nCorrect the file or get a clean copy."
    )


def require_columns(table: pd.DataFrame, columns: Sequence[str], file: Path) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        there = ", ".join(table.columns)
        raise breaches(file, [f"line 1: column {column!r} is missing (there is {there})" for column in missing])


def check(table: pd.DataFrame, schema: pa.DataFrameSchema, file: Path) -> None:
    """Raise TraceError listing what in `table` breaks `schema`. The index of `table` is the line number in `file`.

    Every check carries as `error` the rule in words; one over several columns carries as `name` the column to blame.
    """
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as failures:
        columns = list(table.columns)
        found: list[tuple[int, int, str]] = []
        for failure in failures.schema_errors:
            column = failure.schema.name or failure.check.name
            # pandera reports a breach of a rule over several columns once for each column of the table
            for line in failure.failure_cases["index"].unique():
                value = table.at[line, column]
                shown = repr(value) if isinstance(value, str) else str(value)  # no "np.int64(3)"
                breach = f"line {line}, column {column!r}: {shown} {failure.check.error}"
                found.append((line, columns.index(column), breach))
        raise breaches(file, [breach for _, _, breach in sorted(found)]) from None
