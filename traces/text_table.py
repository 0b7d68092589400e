"""A CSV file as text, plain or gzipped: nothing is converted or dropped, and every row knows its line number."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path

import pandas as pd

from clustersim.errors import TraceError
from clustersim.traces.rules import breaches


def read_text_table(file: Path) -> pd.DataFrame:
    """All fields as strings ("" where empty), indexed by line number (the header is line 1; blank lines hold no row).

    Raises TraceError for a file that cannot be read, is empty, or has a row longer or shorter than its header.
    """
    reader = csv.reader(io.StringIO(_read_text(file), newline=""), strict=True)
    rows, lines, ragged = [], [], []
    try:
        header = next(reader, [])
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                ragged.append(f"line {reader.line_num}: {len(row)} fields, but the header has {len(header)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise TraceError(f"{file}: line {reader.line_num} is not CSV: {error}; get a clean copy of the file") from None
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated or ragged:
        raise breaches(file, [f"line 1: column {column!r} appears twice" for column in repeated] + ragged)
    if not rows:
        what = "has a header but no rows" if header else "is empty"
        raise TraceError(f"{file}: the file {what}; get a complete copy of it")
    return pd.DataFrame(rows, columns=header, index=lines, dtype=str)


def _read_text(file: Path) -> str:
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (EOFError, zlib.error) as error:
        raise TraceError(f"{file}: the gzip stream is cut off or damaged ({error}); get a complete copy") from None
    except gzip.BadGzipFile as error:
        raise TraceError(f"{file}: the name says gzip, the content is not ({error}); rename or compress it") from None
    except IsADirectoryError:
        raise TraceError(f"{file}: this is a folder, a file is expected here") from None
    except OSError as error:
        raise TraceError(f"{file}: cannot be read: {error.strerror}; check the path and its permissions") from None
    except UnicodeDecodeError as error:
        raise TraceError(f"{file}: byte {error.start} is not UTF-8 text; get a clean copy of the file") from None
