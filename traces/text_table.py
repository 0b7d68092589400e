"""A CSV file as text, plain or gzipped: nothing is converted or dropped, and every row knows its line number."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from clustersim.errors import TraceError
from clustersim.traces.rules import breaches
from clustersim.traces.text_file import read_text


def read_text_table(file: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """All fields as strings ("" where empty), indexed by line number (the header is line 1; blank lines hold no row).

    `columns`: the header of a file that has none. Raises TraceError for a file that cannot be read, is empty, or has a
    row longer or shorter than its header.
    """
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    rows, lines, ragged = [], [], []
    try:
        header = next(reader, []) if columns is None else list(columns)
        wanted = f"the header has {len(header)}" if columns is None else f"a row has {len(header)}"
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                ragged.append(f"line {reader.line_num}: {len(row)} fields, but {wanted}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise TraceError(f"{file}: line {reader.line_num} is not CSV: {error}; get a clean copy of the file") from None
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated or ragged:
        raise breaches(file, [f"line 1: column {column!r} appears twice" for column in repeated] + ragged)
    if not rows:
        what = "has a header but no rows" if header and columns is None else "is empty"
        raise TraceError(f"{file}: the file {what}; get a complete copy of it")
    return pd.DataFrame(rows, columns=header, index=lines, dtype=str)
