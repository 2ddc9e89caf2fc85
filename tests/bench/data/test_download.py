"""Downloads against servers that cut, lie and refuse."""

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from equilatent.bench.data import fetch
from equilatent.errors import DataError

Serve = Callable[[], Any]


def digest_of(content: bytes, algorithm: str = "md5") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def get(server: Any, target: Path, *more: Any, digest: str | None = None, attempts: int = 3) -> None:
    urls = [server.url, *(other.url for other in more)]
    fetch(urls, target, digest or digest_of(server.body), progress=False, attempts=attempts, pause=0, timeout=5)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.bin"


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("announce", [True, False])
@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_whole(serve: Serve, target: Path, announce: bool, algorithm: str) -> None:
    server = serve()
    server.announce = announce
    get(server, target, digest=digest_of(server.body, algorithm))
    assert target.read_bytes() == server.body
    assert leftovers(target) == ["file.bin"]
    assert server.asked == [0]


def test_present_file_is_not_asked_for_again(serve: Serve, target: Path) -> None:
    server = serve()
    get(server, target)
    get(server, target)
    assert server.asked == [0]


def test_damaged_file_is_replaced(serve: Serve, target: Path) -> None:
    server = serve()
    target.parent.mkdir()
    target.write_bytes(b"damaged")
    get(server, target)
    assert target.read_bytes() == server.body


def test_cut_is_resumed_where_it_was_cut(serve: Serve, target: Path) -> None:
    server = serve()
    server.cuts = [1000, 200_000, 0, 0, 300_000]
    get(server, target)
    assert target.read_bytes() == server.body
    assert server.asked == [0, 1000, 201_000, 201_000, 201_000, 501_000]


def test_cut_without_ranges_starts_anew(serve: Serve, target: Path) -> None:
    server = serve()
    server.ranges, server.cuts = False, [1000, 2000]
    get(server, target)
    assert target.read_bytes() == server.body
    assert server.asked == [0, 1000, 2000]


def test_next_call_resumes(serve: Serve, target: Path) -> None:
    server = serve()
    server.cuts = [5000, 0, 0, 0]
    with pytest.raises(DataError, match=r"the connection was cut, 5,000 bytes having come"):
        get(server, target, attempts=3)
    assert not target.exists()
    assert leftovers(target) == ["file.bin.part"]
    assert (target.parent / "file.bin.part").stat().st_size == 5000
    get(server, target)
    assert server.asked[-1] == 5000
    assert target.read_bytes() == server.body


def test_server_that_never_gets_further_is_given_up(serve: Serve, target: Path) -> None:
    server = serve()
    server.ranges, server.cuts = False, [1000] * 50
    with pytest.raises(DataError, match="could not be downloaded"):
        get(server, target, attempts=4)
    assert len(server.asked) == 5


def test_cut_file_of_unknown_length_is_never_taken_for_the_whole(serve: Serve, target: Path) -> None:
    server = serve()
    server.announce, server.cuts = False, [1000]
    with pytest.raises(DataError, match="its digest is"):
        get(server, target)
    assert leftovers(target) == []


def test_wrong_digest_is_removed(serve: Serve, target: Path) -> None:
    server = serve()
    with pytest.raises(DataError, match=r"digest is md5:[0-9a-f]{32}, not md5:0+, so it was removed"):
        get(server, target, digest="md5:" + "0" * 32)
    assert leftovers(target) == []
    assert server.asked == [0]


@pytest.mark.parametrize("length", [10, 2_000_000])
def test_rest_of_another_file_is_dropped(serve: Serve, target: Path, length: int) -> None:
    # Shorter than the file: its rest is appended, and the digest is wrong. Longer: the server has no such range.
    server = serve()
    target.parent.mkdir()
    (target.parent / "file.bin.part").write_bytes(b"x" * length)
    get(server, target)
    assert target.read_bytes() == server.body
    assert server.asked == [length, 0]


def test_whole_that_was_not_renamed_is_taken(serve: Serve, target: Path) -> None:
    server = serve()
    target.parent.mkdir()
    (target.parent / "file.bin.part").write_bytes(server.body)
    get(server, target)
    assert server.asked == []
    assert leftovers(target) == ["file.bin"]


def test_server_that_sends_another_range(serve: Serve, target: Path) -> None:
    server = serve()
    server.cuts, server.content_range = [1000], "bytes 500-1023999/1024000"
    with pytest.raises(DataError, match="asked from byte 1000, the server sends 'bytes 500-"):
        get(server, target)


def test_missing_file_is_asked_for_once(serve: Serve, target: Path) -> None:
    server = serve()
    server.statuses = [404] * 9
    with pytest.raises(DataError, match=r"file\.bin could not be downloaded.*404 Not Found.*put the file into"):
        get(server, target)
    assert server.asked == [0]


def test_overloaded_server_is_asked_again(serve: Serve, target: Path) -> None:
    server = serve()
    server.statuses = [503, 429]
    get(server, target)
    assert target.read_bytes() == server.body


def test_second_publisher_is_asked(serve: Serve, target: Path) -> None:
    broken, other, good = serve(), serve(), serve()
    broken.statuses = [404]
    other.body = b"another file"
    get(broken, target, other, good, digest=digest_of(good.body))
    assert target.read_bytes() == good.body


def test_no_server(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.bin"
    with pytest.raises(DataError, match="no connection"):
        fetch([url], target, digest_of(b""), progress=False, attempts=2, pause=0, timeout=5)


def test_folder_that_cannot_be_made(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be kept in .*Give a folder that can be written"):
        get(serve(), tmp_path / "file" / "x.bin")


def test_two_at_once_download_once(serve: Serve, target: Path) -> None:
    server = serve()
    server.delay = threading.Event()
    problems: list[BaseException] = []

    def run() -> None:
        try:
            get(server, target)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    server.delay.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert server.asked == [0]
    assert target.read_bytes() == server.body


def test_killed_process_leaves_what_came_and_no_lock(serve: Serve, target: Path) -> None:
    server = serve()
    server.cuts = [700_000]
    code = (
        "import os, sys; from equilatent.bench.data import _download\n"
        "_download.time.sleep = lambda _: os._exit(9)  # dies with the lock held\n"
        "_download.fetch([sys.argv[1]], __import__('pathlib').Path(sys.argv[2]), sys.argv[3], progress=False)"
    )
    command = [sys.executable, "-c", code, server.url, str(target), digest_of(server.body)]
    killed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=60, check=False)
    assert killed.returncode == 9
    assert not target.exists()
    get(server, target)
    assert server.asked == [0, 700_000]
    assert target.read_bytes() == server.body


def test_progress_bar_begins_where_the_download_does(
    serve: Serve, target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tqdm

    begun: list[tuple[int, int]] = []
    original = tqdm.tqdm

    def spy(*arguments, **keywords):
        assert keywords["disable"] is None
        begun.append((keywords["initial"], keywords["total"]))
        return original(*arguments, **{**keywords, "disable": False})

    monkeypatch.setattr(tqdm, "tqdm", spy)
    server = serve()
    server.cuts = [1000]
    fetch([server.url], target, digest_of(server.body), pause=0)
    assert begun == [(0, len(server.body)), (1000, len(server.body))]
    assert "file.bin: 100%" in capsys.readouterr().err
