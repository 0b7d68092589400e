"""Downloading a trace: verified, restarted when the connection breaks, and all or nothing for each file."""

from __future__ import annotations

from pathlib import Path

import pooch

from clustersim.errors import TraceError
from clustersim.traces.catalog import find
from clustersim.traces.locate import VARIABLE, cache_folder


def fetch(
    name: str,
    *,
    folder: Path | None = None,
    base_url: str | None = None,
    attempts: int = 3,
    timeout_s: float = 30.0,
) -> list[Path]:
    """Make `folder` (default: the cache) hold every file of the trace with the right sha256; return their paths.

    A file that is there and intact is not downloaded again. A download goes to a temporary file, which gets the final
    name only when its checksum is right and is removed otherwise. `base_url` replaces the upstream one (a mirror).
    Raises TraceError when a file is still missing or wrong after `attempts` attempts.
    """
    trace = find(name)
    if trace.files and not trace.can_be_fetched:
        wanted = ", ".join(file.name for file in trace.files)
        raise TraceError(
            f"trace {name!r} cannot be downloaded: its files were converted from those of {trace.upstream}; put a "
            f"copy of {wanted} (plain or .gz) into {trace.folder}/ in the folder that {VARIABLE} names"
        )
    if not trace.files:
        raise TraceError(f"trace {name!r} is generated, there is nothing to fetch; use it by its name")
    if attempts < 1:
        raise TraceError(f"attempts is {attempts}; at least one is needed to fetch {name!r}")
    folder = cache_folder(trace) if folder is None else folder
    if base_url is None:
        url_of = {file.name: trace.url(file) for file in trace.files}
    else:
        url_of = {file.name: f"{base_url.rstrip('/')}/{file.name}" for file in trace.files}
    downloads = pooch.create(
        path=folder,
        base_url="",
        urls=url_of,
        registry={file.name: f"sha256:{file.sha256}" for file in trace.files},
        retry_if_failed=attempts - 1,
    )
    downloader = pooch.HTTPDownloader(timeout=timeout_s)
    paths = []
    for file in trace.files:
        try:
            paths.append(Path(downloads.fetch(file.name, downloader=downloader)))
        # pooch raises ValueError for a wrong checksum; every error of requests is an OSError, like those of the disk
        except (ValueError, OSError) as error:
            raise TraceError(
                f"could not fetch {file.name} of trace {name!r} from {url_of[file.name]} into {folder} "
                f"({_tried(attempts)}): {error}. Check the connection and run `clustersim traces fetch {name}` again, "
                f"or put a copy with sha256 {file.sha256} into a folder and name that folder in {VARIABLE}"
            ) from error
    return paths


def _tried(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"up to {attempts} attempts"
