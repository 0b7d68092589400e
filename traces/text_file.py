"""The text of a file, plain or gzipped; whatever makes it unreadable is said in words."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from clustersim.errors import TraceError


def read_text(file: Path) -> str:
    """Raises TraceError for a file that is missing, a folder, cut off, damaged or not UTF-8."""
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
