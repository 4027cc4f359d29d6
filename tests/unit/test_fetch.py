"""Downloads from a real server on 127.0.0.1, which misbehaves where a test asks."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

import layerforge
from layerforge.errors import ArchiveError, BuildError, FetchError
from layerforge.events import Event, Failed, Finished, Progress, Started
from layerforge.fetch import Client, Download, NotFound, fetch
from layerforge.store import Store
from tests.servers import Fault, Index

NAME = "demo-1.0-py3-none-any.whl"
PATH = f"/files/{NAME}"
BODY = hashlib.shake_256(b"demo").digest(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxy and certificates of whoever runs the tests out of them."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    with Index(folder) as index:
        yield index


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(slept: list[float]) -> Iterator[Client]:
    with Client(retries=2, timeout=5, sleep=slept.append) as client:
        yield client


def demo(
    index: Index, *, sha256: str = SHA256, size: int | None = len(BODY)
) -> Download:
    return Download(name=NAME, url=index.file_url(NAME), digest=sha256, size=size)


def leave_partial(store: Store, content: bytes) -> None:
    with store.partial(SHA256) as stream:
        stream.write(content)


def ranges_asked(index: Index) -> list[str]:
    return [request.headers.get("range", "") for request in index.asked(PATH)]


def left_behind(store: Store) -> dict[str, int]:
    return {part: usage.files for part, usage in store.usage().items() if usage.files}


class TestDownload:
    def test_puts_the_archive_into_the_store(
        self, index: Index, store: Store, client: Client
    ) -> None:
        fetch([demo(index)], store, client)

        assert store.artifact(SHA256).read_bytes() == BODY

    def test_leaves_nothing_else_behind(
        self, index: Index, store: Store, client: Client
    ) -> None:
        fetch([demo(index)], store, client)

        assert left_behind(store) == {"artifacts": 1}

    def test_asks_nothing_for_what_the_store_has(
        self, index: Index, store: Store, client: Client
    ) -> None:
        fetch([demo(index)], store, client)
        fetch([demo(index)], store, client)

        assert len(index.requests) == 1

    def test_asks_once_for_an_archive_wanted_twice(
        self, index: Index, store: Store, client: Client
    ) -> None:
        fetch([demo(index), demo(index)], store, client)

        assert len(index.requests) == 1

    def test_needs_no_size(self, index: Index, store: Store, client: Client) -> None:
        fetch([demo(index, size=None)], store, client)

        assert store.artifact(SHA256).read_bytes() == BODY

    def test_needs_no_announced_length(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, Fault(announced=False))

        fetch([demo(index, size=None)], store, client)

        assert store.artifact(SHA256).read_bytes() == BODY

    def test_takes_the_bytes_as_they_lie_there(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, Fault(headers={"Content-Encoding": "gzip"}))

        fetch([demo(index)], store, client)

        assert len(index.requests) == 1
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_is_on_disk_before_others_can_see_it(
        self, index: Index, tmp_path: Path, client: Client
    ) -> None:
        (index.folder / NAME).write_bytes(b"small")
        admitted: list[bytes] = []

        class Watched(Store):
            def admit(self, sha256: str) -> Path:
                final = super().admit(sha256)
                admitted.append(final.read_bytes())
                return final

        small = demo(index, sha256=hashlib.sha256(b"small").hexdigest(), size=5)
        fetch([small], Watched(tmp_path / "store"), client)

        assert admitted == [b"small"]

    def test_brings_many_at_once(
        self, index: Index, store: Store, client: Client
    ) -> None:
        downloads = []
        for number in range(20):
            body = BODY[number:]
            (index.folder / f"f{number}-1.whl").write_bytes(body)
            downloads.append(
                Download(
                    name=f"f{number}",
                    url=index.file_url(f"f{number}-1.whl"),
                    digest=hashlib.sha256(body).hexdigest(),
                    size=len(body),
                )
            )

        fetch(downloads, store, client, jobs=4)

        assert all(store.holds(download.digest) for download in downloads)

    def test_of_nothing_does_nothing(self, store: Store, client: Client) -> None:
        fetch([], store, client)

        assert not store.root.exists()

    def test_copies_a_local_file(
        self, tmp_path: Path, store: Store, client: Client
    ) -> None:
        path = tmp_path / "a folder" / NAME
        path.parent.mkdir()
        path.write_bytes(BODY)
        download = Download(name=NAME, url=path.as_uri(), digest=SHA256)

        fetch([download], store, client)

        assert store.artifact(SHA256).read_bytes() == BODY

    def test_names_a_local_file_that_is_gone(
        self, tmp_path: Path, store: Store, client: Client
    ) -> None:
        path = tmp_path / NAME
        download = Download(name=NAME, url=path.as_uri(), digest=SHA256)

        with pytest.raises(NotFound) as caught:
            fetch([download], store, client)

        assert caught.value.message == f"{path}: no such file"


class TestAfter:
    def test_is_called_with_what_was_fetched(
        self, index: Index, store: Store, client: Client
    ) -> None:
        seen: list[tuple[str, Path]] = []

        fetch(
            [demo(index)],
            store,
            client,
            after=lambda download, path: seen.append((download.name, path)),
        )

        assert seen == [(NAME, store.artifact(SHA256))]

    def test_is_called_with_what_was_there(
        self, index: Index, store: Store, client: Client
    ) -> None:
        fetch([demo(index)], store, client)
        seen: list[str] = []

        fetch([demo(index)], store, client, after=lambda d, _path: seen.append(d.name))

        assert seen == [NAME]

    def test_is_called_once_for_an_archive_wanted_twice(
        self, index: Index, store: Store, client: Client
    ) -> None:
        seen: list[str] = []

        fetch(
            [demo(index), demo(index)],
            store,
            client,
            after=lambda download, _path: seen.append(download.name),
        )

        assert seen == [NAME]

    def test_raises_to_the_caller(
        self, index: Index, store: Store, client: Client
    ) -> None:
        def refuse(_download: Download, path: Path) -> None:
            raise ArchiveError(f"{path.name} is no wheel")

        with pytest.raises(ArchiveError) as caught:
            fetch([demo(index)], store, client, after=refuse)

        assert caught.value.message == f"{SHA256} is no wheel"


class TestEvents:
    def test_tell_of_a_download(
        self, index: Index, store: Store, client: Client
    ) -> None:
        (index.folder / NAME).write_bytes(b"small")
        sha256 = hashlib.sha256(b"small").hexdigest()
        heard: list[Event] = []

        fetch([demo(index, sha256=sha256, size=5)], store, client, listen=heard.append)

        assert heard == [
            Started(task=NAME, total=5),
            Progress(task=NAME, done=5),
            Finished(task=NAME, size=5),
        ]

    def test_are_silent_about_what_is_there(
        self, index: Index, store: Store, client: Client
    ) -> None:
        fetch([demo(index)], store, client)
        heard: list[Event] = []

        fetch([demo(index)], store, client, listen=heard.append)

        assert heard == []

    def test_tell_of_a_failure(
        self, index: Index, store: Store, client: Client
    ) -> None:
        (index.folder / NAME).unlink()
        heard: list[Event] = []

        with pytest.raises(NotFound) as caught:
            fetch([demo(index)], store, client, listen=heard.append)

        assert heard == [
            Started(task=NAME, total=len(BODY)),
            Failed(task=NAME, reason=caught.value.message),
        ]

    def test_tell_of_progress_ten_times_a_second_at_most(
        self, index: Index, store: Store, client: Client
    ) -> None:
        body = bytes(20_000_000)
        (index.folder / NAME).write_bytes(body)
        sha256 = hashlib.sha256(body).hexdigest()
        times: list[float] = []

        def listen(event: Event) -> None:
            if isinstance(event, Progress):
                times.append(time.monotonic())

        fetch([demo(index, sha256=sha256, size=None)], store, client, listen=listen)

        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert all(gap >= 0.09 for gap in gaps)

    def test_begin_where_an_earlier_process_stopped(
        self, index: Index, store: Store, client: Client
    ) -> None:
        leave_partial(store, BODY[:1000])
        heard: list[Event] = []

        fetch([demo(index)], store, client, listen=heard.append)

        assert Progress(task=NAME, done=1000) in heard


class TestContinuing:
    def test_asks_only_for_what_is_missing(
        self, index: Index, store: Store, client: Client
    ) -> None:
        leave_partial(store, BODY[:1000])

        fetch([demo(index)], store, client)

        assert ranges_asked(index) == ["bytes=1000-"]
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_asks_nothing_where_nothing_is_missing(
        self, index: Index, store: Store, client: Client
    ) -> None:
        leave_partial(store, BODY)

        fetch([demo(index, size=None)], store, client)

        assert index.requests == []
        assert left_behind(store) == {"artifacts": 1}

    def test_takes_the_whole_where_the_server_gives_no_ranges(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.ranges = False
        leave_partial(store, BODY[:1000])

        fetch([demo(index)], store, client)

        assert len(index.requests) == 1
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_starts_over_where_the_server_gives_another_range(
        self, index: Index, store: Store, client: Client
    ) -> None:
        another = {"Content-Range": f"bytes 5-{len(BODY) - 1}/{len(BODY)}"}
        index.script(PATH, Fault(status=206, headers=another, body=BODY[5:]))
        leave_partial(store, BODY[:1000])

        fetch([demo(index)], store, client)

        assert ranges_asked(index) == ["bytes=1000-", ""]
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_starts_over_where_a_part_comes_unasked(
        self, index: Index, store: Store, client: Client
    ) -> None:
        another = {"Content-Range": f"bytes 5-{len(BODY) - 1}/{len(BODY)}"}
        index.script(PATH, Fault(status=206, headers=another, body=BODY[5:]))

        fetch([demo(index)], store, client)

        assert ranges_asked(index) == ["", ""]
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_starts_over_where_other_bytes_were_left(
        self, index: Index, store: Store, client: Client
    ) -> None:
        leave_partial(store, bytes(1000))

        fetch([demo(index)], store, client)

        assert ranges_asked(index) == ["bytes=1000-", ""]
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_starts_over_where_the_file_changes_meanwhile(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, Fault(body=bytes(len(BODY)), cut=200_000))

        fetch([demo(index)], store, client)

        whole, rest, again = ranges_asked(index)
        assert (whole, bool(rest), again) == ("", True, "")
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_starts_over_once_only(
        self, index: Index, store: Store, client: Client
    ) -> None:
        (index.folder / NAME).write_bytes(bytes(len(BODY)))
        leave_partial(store, BODY[:1000])

        with pytest.raises(ArchiveError):
            fetch([demo(index)], store, client)

        assert ranges_asked(index) == ["bytes=1000-", ""]
        assert left_behind(store) == {}

    @pytest.mark.parametrize("surplus", [0, 1])
    def test_starts_over_where_too_much_was_left(
        self, index: Index, store: Store, client: Client, surplus: int
    ) -> None:
        leave_partial(store, bytes(len(BODY) + surplus))

        fetch([demo(index)], store, client)

        assert ranges_asked(index) == [""]
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_starts_over_where_the_file_has_become_shorter(
        self, index: Index, store: Store, client: Client
    ) -> None:
        leave_partial(store, bytes(len(BODY) + 1))

        fetch([demo(index, size=None)], store, client)

        assert ranges_asked(index) == [f"bytes={len(BODY) + 1}-", ""]
        assert store.artifact(SHA256).read_bytes() == BODY


class TestRetrying:
    @pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
    def test_goes_on_where_the_connection_ended(
        self, index: Index, store: Store, client: Client, *, reset: bool
    ) -> None:
        index.script(PATH, Fault(cut=200_000, reset=reset))

        fetch([demo(index)], store, client)

        whole, rest = ranges_asked(index)
        resumed_at = int(rest.removeprefix("bytes=").removesuffix("-"))
        assert whole == ""
        assert 0 < resumed_at <= 200_000
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_goes_on_where_an_unannounced_whole_ended(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, Fault(announced=False, cut=200_000))

        fetch([demo(index)], store, client)

        assert ranges_asked(index) == ["", "bytes=200000-"]
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_goes_on_where_an_unannounced_part_ended(
        self, index: Index, store: Store, client: Client
    ) -> None:
        leave_partial(store, BODY[:1000])
        index.script(PATH, Fault(announced=False, cut=100_000))

        fetch([demo(index, size=None)], store, client)

        assert ranges_asked(index) == ["bytes=1000-", "bytes=101000-"]
        assert store.artifact(SHA256).read_bytes() == BODY

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_asks_again_where_the_server_may_do_better(
        self, index: Index, store: Store, client: Client, status: int
    ) -> None:
        index.script(PATH, Fault(status=status))

        fetch([demo(index)], store, client)

        assert len(index.requests) == 2

    def test_has_no_end_while_bytes_arrive(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, *[Fault(cut=70_000)] * 4)

        fetch([demo(index)], store, client)  # has two retries in a row only

        assert len(index.requests) == 5

    def test_ends_where_no_bytes_arrive(
        self, index: Index, store: Store, client: Client, slept: list[float]
    ) -> None:
        index.script(PATH, *[Fault(cut=0)] * 9)

        with pytest.raises(FetchError) as caught:
            fetch([demo(index)], store, client)

        assert caught.value.message == (
            f"{index.file_url(NAME)}: the connection to {index.host} broke off "
            "(after 3 tries)"
        )
        assert len(slept) == 2

    def test_waits_longer_each_time(
        self, index: Index, store: Store, client: Client, slept: list[float]
    ) -> None:
        index.script(PATH, Fault(status=503), Fault(status=502))

        fetch([demo(index)], store, client)

        first, second = slept
        assert 0.5 <= first <= 1 <= second <= 2

    def test_waits_the_seconds_that_the_server_names(
        self, index: Index, store: Store, client: Client, slept: list[float]
    ) -> None:
        index.script(PATH, Fault(status=429, headers={"Retry-After": "7"}))

        fetch([demo(index)], store, client)

        assert slept == [7.0]

    def test_waits_until_the_date_that_the_server_names(
        self, index: Index, store: Store, client: Client, slept: list[float]
    ) -> None:
        then = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
        index.script(PATH, Fault(status=429, headers={"Retry-After": then}))

        fetch([demo(index)], store, client)

        (wait,) = slept
        assert 20 < wait <= 40

    def test_waits_a_minute_at_most(
        self, index: Index, store: Store, client: Client, slept: list[float]
    ) -> None:
        index.script(PATH, Fault(status=503, headers={"Retry-After": "86400"}))

        fetch([demo(index)], store, client)

        assert slept == [60.0]

    def test_ends_with_the_server_s_own_answer(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, *[Fault(status=503)] * 3)

        with pytest.raises(FetchError) as caught:
            fetch([demo(index)], store, client)

        assert caught.value.message == (
            f"{index.file_url(NAME)}: {index.host} answered 503 Service Unavailable "
            "(after 3 tries)"
        )
        assert caught.value.remedy == f"Ask again later, or who runs {index.host}."

    def test_does_not_ask_again_for_what_is_not_there(
        self, index: Index, store: Store, client: Client
    ) -> None:
        (index.folder / NAME).unlink()

        with pytest.raises(NotFound) as caught:
            fetch([demo(index)], store, client)

        assert len(index.requests) == 1
        assert caught.value.message == (
            f"{index.file_url(NAME)}: {index.host} answered 404 Not Found"
        )


class TestOtherBytes:
    remedy = (
        "Either the file was replaced on the index, or something on the way changes "
        "it. Find out which before you lock it anew: layerforge lock."
    )

    def test_are_refused(self, index: Index, store: Store, client: Client) -> None:
        wrong = "0" * 64

        with pytest.raises(ArchiveError) as caught:
            fetch([demo(index, sha256=wrong)], store, client)

        assert caught.value.message == (
            f"{NAME}: the bytes from {index.file_url(NAME)} have SHA-256 {SHA256}, "
            f"not {wrong}, which was locked"
        )
        assert caught.value.remedy == self.remedy

    def test_are_not_kept(self, index: Index, store: Store, client: Client) -> None:
        with pytest.raises(ArchiveError):
            fetch([demo(index, sha256="0" * 64)], store, client)

        assert left_behind(store) == {}

    def test_are_asked_for_once_when_fresh(
        self, index: Index, store: Store, client: Client
    ) -> None:
        with pytest.raises(ArchiveError):
            fetch([demo(index, sha256="0" * 64)], store, client)

        assert len(index.requests) == 1

    def test_are_refused_by_their_announced_length(
        self, index: Index, store: Store, client: Client
    ) -> None:
        with pytest.raises(ArchiveError) as caught:
            fetch([demo(index, size=17)], store, client)

        assert caught.value.message == (
            f"{NAME}: the bytes from {index.file_url(NAME)} are {len(BODY)}, not 17, "
            "which was locked"
        )

    def test_are_refused_once_there_are_too_many(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, Fault(announced=False, body=BODY + b"!"))

        with pytest.raises(ArchiveError) as caught:
            fetch([demo(index)], store, client)

        assert caught.value.message == (
            f"{NAME}: the bytes from {index.file_url(NAME)} are more than "
            f"{len(BODY)}, which was locked"
        )
        assert left_behind(store) == {}


class TestFirstError:
    def test_keeps_what_waits_from_starting(
        self, index: Index, store: Store, client: Client
    ) -> None:
        missing = Download(name="x", url=index.file_url("x.whl"), digest="1" * 64)

        with pytest.raises(NotFound):
            fetch([missing, demo(index)], store, client, jobs=1)

        assert index.asked(PATH) == []

    def test_does_not_wait_for_a_silent_server(
        self, index: Index, store: Store, client: Client
    ) -> None:
        begun = threading.Event()
        index.script(PATH, Fault(cut=200_000, gate=threading.Event()))

        def listen(event: Event) -> None:
            if isinstance(event, Progress):
                begun.set()

        (index.folder / "quick-1.whl").write_bytes(b"quick")
        quick = Download(
            name="quick",
            url=index.file_url("quick-1.whl"),
            digest=hashlib.sha256(b"quick").hexdigest(),
        )

        def fail(_download: Download, _path: Path) -> None:
            begun.wait(5)
            raise NotFound("gone")

        started = time.monotonic()
        with pytest.raises(NotFound):
            fetch([demo(index), quick], store, client, listen=listen, after=fail)

        assert time.monotonic() - started < 4  # the client's patience is 5 seconds


SCRIPT = """
import signal, sys
from pathlib import Path
from layerforge.errors import LayerforgeError
from layerforge.fetch import Client, Download, fetch
from layerforge.store import Store

signal.signal(signal.SIGINT, signal.default_int_handler)
url, sha256, size, root, limit = sys.argv[1:]
if limit != "0":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
download = Download(name="demo", url=url, digest=sha256, size=int(size))
try:
    with Client(sleep=lambda seconds: None) as client:
        fetch([download], Store(Path(root)), client,
              listen=lambda event: print(event, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
except LayerforgeError as error:
    print(type(error).__name__, error.message)
    sys.exit(error.exit_code)
"""


def another_process(
    index: Index, store: Store, *, file_limit: int = 0
) -> subprocess.Popen[str]:
    arguments = [index.file_url(NAME), SHA256, str(len(BODY)), str(store.root)]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments, str(file_limit)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(layerforge.__file__).parents[1])},
    )


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    while word not in (line := process.stdout.readline()):
        assert line, f"the process ended before it said {word}"


class TestProcesses:
    def test_fetch_an_archive_once_between_them(
        self, index: Index, store: Store
    ) -> None:
        gate = threading.Event()
        index.script(PATH, Fault(gate=gate))

        with another_process(index, store) as one, another_process(index, store) as two:
            read_until(one, "Started")
            read_until(two, "Started")
            gate.set()
            one.communicate(timeout=30)
            two.communicate(timeout=30)

        assert (one.returncode, two.returncode) == (0, 0)
        assert len(index.requests) == 1
        assert left_behind(store) == {"artifacts": 1}

    def test_leave_on_ctrl_c_what_the_next_one_continues(
        self, index: Index, store: Store, client: Client
    ) -> None:
        index.script(PATH, Fault(cut=200_000, gate=threading.Event()))

        with another_process(index, store) as process:
            read_until(process, "Progress")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)  # the server would be waited for longer
        fetch([demo(index)], store, client)

        assert process.returncode == 130
        _whole, rest = ranges_asked(index)
        assert rest.startswith("bytes=")
        assert store.artifact(SHA256).read_bytes() == BODY

    def test_do_not_wait_for_each_other_after_ctrl_c(
        self, index: Index, store: Store
    ) -> None:
        gate = threading.Event()
        index.script(PATH, Fault(gate=gate))

        with another_process(index, store) as one:
            read_until(one, "Started")
            while not index.requests:
                assert one.poll() is None
                time.sleep(0.01)
            with another_process(index, store) as two:
                read_until(two, "Started")
                two.send_signal(signal.SIGINT)
                two.communicate(timeout=10)
            gate.set()
            one.communicate(timeout=30)

        assert (one.returncode, two.returncode) == (0, 130)

    def test_say_when_the_store_can_hold_no_more(
        self, index: Index, store: Store
    ) -> None:
        with another_process(index, store, file_limit=100_000) as process:
            said, _ = process.communicate(timeout=30)

        assert process.returncode == BuildError.exit_code
        assert said.splitlines()[-1] == (
            f"BuildError cannot write {store.root}: File too large"
        )
