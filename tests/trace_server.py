"""A loopback web server for fetch tests: it serves files, can break off transfers, and counts requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class TraceServer:
    """`files` by name; the first `cuts` transfers of each file stop half-way, although the full length was promised."""

    files: Mapping[str, bytes]
    cuts: int = 0
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)


@contextmanager
def serving(files: Mapping[str, bytes], cuts: int = 0) -> Iterator[TraceServer]:
    """A server on a free port of 127.0.0.1 that lives as long as the block."""
    state = TraceServer(files, cuts)

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            state.requests[name] += 1
            if name not in state.files:
                self.send_error(404)
                return
            content = state.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            cut = state.requests[name] <= state.cuts
            self.wfile.write(content[: len(content) // 2] if cut else content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(timeout=5)
