"""What the catalogue says about a trace and its files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraceFile:
    """One file: its name below the folder of the trace, and the sha256 of its uncompressed bytes."""

    name: str
    sha256: str
    url: str = ""  # where it is not at the base URL of the trace + its name


@dataclass(frozen=True, slots=True)
class Trace:
    """What there is to know about a trace. A generated one has no files and no upstream.

    A derived one has files and no URL: they were made from upstream files of another format, and cannot be downloaded.
    """

    name: str
    title: str
    licence: str
    redistribution: str
    schema: tuple[str, ...]
    defects: tuple[str, ...]
    upstream: str = ""  # repository and commit
    base_url: str = ""  # a file is at base_url + its name unless it says otherwise
    folder: str = ""  # below CLUSTERSIM_TRACES and below the download cache
    files: tuple[TraceFile, ...] = ()

    def url(self, file: TraceFile) -> str:
        return file.url or (self.base_url + file.name if self.base_url else "")

    @property
    def can_be_fetched(self) -> bool:
        return bool(self.files) and all(self.url(file) for file in self.files)
