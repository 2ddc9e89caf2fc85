"""Servers that behave as badly as real ones, and the folder with the real files."""

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BODY = bytes(range(256)) * 4000


@dataclass
class Server:
    """What a test server sends, and what it was asked."""

    url: str
    body: bytes = BODY
    ranges: bool = True
    announce: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    content_range: str | None = None
    asked: list[int] = field(default_factory=list)
    delay: threading.Event | None = None


class _Handler(http.server.BaseHTTPRequestHandler):
    state: Server

    def do_GET(self) -> None:
        state = self.state
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        state.asked.append(begin)
        if state.delay is not None:
            state.delay.wait(5)
        if state.statuses:
            self.send_error(state.statuses.pop(0))
            return
        partial = state.ranges and "Range" in self.headers
        begin = begin if partial else 0
        if partial and begin >= len(state.body):
            self.send_error(416)
            return
        self.send_response(206 if partial else 200)
        if state.announce:
            self.send_header("Content-Length", str(len(state.body) - begin))
        if partial:
            whole = f"bytes {begin}-{len(state.body) - 1}/{len(state.body)}"
            self.send_header("Content-Range", state.content_range or whole)
        self.end_headers()
        end = begin + state.cuts.pop(0) if state.cuts else len(state.body)
        self.wfile.write(state.body[begin:end])
        # The connection ends here, whether or not this was all that had been announced.

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[], Server]]:
    """Makes servers, each with its own behaviour."""
    running: list[tuple[http.server.ThreadingHTTPServer, threading.Thread]] = []

    def start() -> Server:
        handler = type("Handler", (_Handler,), {})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        state = handler.state = Server(f"http://127.0.0.1:{server.server_address[1]}/file.bin?download=1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return state

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real files."""
    named = os.environ.get("EQUILATENT_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("EQUILATENT_DATA names no folder with the real data sets")
    return Path(named)
