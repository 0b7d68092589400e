"""Files that are either whole or absent, whatever kills the process."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY_SUFFIX = ".clustersim-tmp"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a crash leaves the old file and at most a temporary one beside it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
