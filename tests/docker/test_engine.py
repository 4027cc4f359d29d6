"""A real engine does jobs: what goes in, what comes out, and that nothing stays."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import certifi
import pytest

from layerforge.containers import connection, process
from layerforge.containers.endpoint import find_endpoints
from layerforge.containers.engine import Engine
from layerforge.containers.leftovers import labels
from layerforge.containers.service import Containers
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.tars import pack
from layerforge.containers.task import (
    SECRETS_FOLDER,
    EngineError,
    ImageError,
    Outcome,
    Task,
    TaskError,
)
from layerforge.errors import ArchiveError
from layerforge.events import Event, Failed, Finished, Listener, Said, Started, silent
from layerforge.target import Arch
from tests.docker.conftest import engine_at
from tests.docker.relay import Relay, tls_relay

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.docker

SECRET: Final = "hunter2-and-some-more"  # noqa: S105 - what must not be seen
# The job goes on when the test has put a file there.
WAIT: Final = "echo ready >&2; until [ -e /go ]; do usleep 20000; done"
LIMIT: Final = 48 << 20  # bytes
ROOT: Final = Path(__file__).parents[2]
CERTIFICATE: Final = ROOT / "tests/data/loopback.pem"


Marks = dict[str, str | list[str] | bool]


class Jobs:
    """Runs shell commands in the tiny image."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = image

    def task(self, script: str, **words: Any) -> Task:  # noqa: ANN401 - its fields
        command = words.pop("command", ("sh", "-c", script))
        return Task(
            name="a job",
            image=self.image,
            arch=Arch.X86_64,
            command=command,
            **words,
        )

    def __call__(
        self,
        script: str,
        folder: Path | None = None,
        *,
        listen: Listener = silent,
        settings: ContainerSettings | None = None,
        **words: Any,  # noqa: ANN401 - as above
    ) -> Outcome:
        task = self.task(script, **words)
        return self.engine.run(task, settings or ContainerSettings(), folder, listen)

    def failing(self, script: str, **words: Any) -> TaskError:  # noqa: ANN401
        with pytest.raises(TaskError) as caught:
            self(script, **words)
        return caught.value


@pytest.fixture
def jobs(engine: Engine, busybox: str) -> Jobs:
    return Jobs(engine, busybox)


@pytest.fixture
def ours(client: DockerClient) -> Callable[[], list[str]]:
    """List the containers and volumes that this process has had made."""
    mine: Marks = {"label": f"layerforge.owner={labels()['layerforge.owner']}"}

    def listed() -> list[str]:
        containers = client.containers.list(all=True, filters=mine)
        volumes = client.volumes.list(filters=mine)
        return [str(made.name) for made in containers] + [
            str(made.id) for made in volumes
        ]

    return listed


@pytest.fixture
def relay(socket_path: str, tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "engine.sock", socket_path) as relay:
        yield relay


def proceed(client: DockerClient, name: str) -> None:
    client.api.put_archive(name, "/", b"".join(pack({"/go": b""})))


def on_ready(act: Callable[[], object]) -> Listener:
    """Act when the job says that it is ready."""

    def hear(event: Event) -> None:
        if isinstance(event, Said) and event.line == "ready":
            act()

    return hear


def test_standard_output_is_the_outcome_byte_for_byte(jobs: Jobs) -> None:
    outcome = jobs(r"printf 'a\n\377\000b'; echo told >&2")

    assert outcome == Outcome(stdout=b"a\n\xff\x00b")


def test_lines_of_standard_error_are_told_in_order(jobs: Jobs) -> None:
    heard: list[Event] = []

    jobs("for i in 1 2 3; do echo line $i >&2; done", listen=heard.append)

    assert heard == [
        Started(task="a job", doing="running", done="ran"),
        Said(task="a job", line="line 1"),
        Said(task="a job", line="line 2"),
        Said(task="a job", line="line 3"),
        Finished(task="a job"),
    ]


def test_lines_come_while_the_job_runs(
    jobs: Jobs, client: DockerClient, ours: Callable[[], list[str]]
) -> None:
    def answer() -> None:
        (name,) = ours()
        proceed(client, name)

    outcome = jobs(f"{WAIT}; echo done", listen=on_ready(answer))

    assert outcome.stdout == b"done\n"


def test_a_failure_has_status_command_and_last_lines(jobs: Jobs) -> None:
    heard: list[Event] = []

    error = jobs.failing(
        "echo one >&2; echo two >&2; exit 3", doing="compiling", listen=heard.append
    )

    command = "sh -c 'echo one >&2; echo two >&2; exit 3'"
    assert error.message == (
        f"compiling a job failed with exit status 3: {command}\n  one\n  two"
    )
    assert (error.status, error.lines) == (3, ("one", "two"))
    assert heard[-1] == Failed(
        task="a job", reason=f"compiling a job failed with exit status 3: {command}"
    )


def test_of_many_lines_the_last_are_kept_and_the_very_last_told(jobs: Jobs) -> None:
    error = jobs.failing("seq 1000; exit 1")

    assert error.lines == tuple(map(str, range(801, 1001)))
    assert error.message.split()[-21:] == ["1'", *map(str, range(981, 1001))]


def test_a_process_that_was_struck_down_has_its_signals_status(jobs: Jobs) -> None:
    assert jobs.failing("sh -c 'kill -SEGV $$'; exit $?").status == 139


def test_files_go_in_with_their_contents_and_executables_run(
    jobs: Jobs, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec cat /work/deep/text /work/folder/sub/file")
    program.chmod(0o755)
    (tmp_path / "folder/sub").mkdir(parents=True)
    (tmp_path / "folder/sub/file").write_bytes(b"from a folder")

    outcome = jobs(
        "/work/program",
        files={
            "/work/deep/text": b"from bytes, ",
            "/work/program": program,
            "/work/folder": tmp_path / "folder",
        },
    )

    assert outcome.stdout == b"from bytes, from a folder"


def test_files_of_the_output_folder_come_back(jobs: Jobs, tmp_path: Path) -> None:
    script = "mkdir -p /out/deep && echo 1 > /out/deep/one && echo 2 > /out/two"

    outcome = jobs(script, tmp_path, output="/out")

    assert outcome.files == (tmp_path / "deep/one", tmp_path / "two")
    assert (tmp_path / "deep/one").read_bytes() == b"1\n"


def test_an_output_folder_is_there_and_may_stay_empty(
    jobs: Jobs, tmp_path: Path
) -> None:
    assert jobs("ls /some/out", tmp_path, output="/some/out").files == ()


def test_a_link_in_the_output_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        jobs("ln -s /etc/passwd /out/link", tmp_path, output="/out")

    assert caught.value.message == ("a job left 'out/link', which is no regular file")
    assert list(tmp_path.iterdir()) == []


def test_a_job_has_no_network_unless_it_asks(jobs: Jobs) -> None:
    without = jobs("ls /sys/class/net")
    with_network = jobs("ls /sys/class/net", network=True)

    assert b"eth" not in without.stdout
    assert b"eth0" in with_network.stdout


def test_a_network_can_be_named(jobs: Jobs) -> None:
    error = jobs.failing(
        "true", network=True, settings=ContainerSettings(network="nowhere")
    )

    assert error.message == ("running a job could not start: network nowhere not found")


def test_root_in_a_container_has_no_capabilities_and_gains_none(jobs: Jobs) -> None:
    status = jobs("cat /proc/self/status").stdout.decode()

    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_an_images_own_entry_point_is_not_run(
    jobs: Jobs, client: DockerClient, busybox: str
) -> None:
    parts = client.api.create_container(busybox, ["true"])["Id"]
    changed = client.api.commit(
        parts, "layerforge-test", "entry", conf={"Entrypoint": ["/bin/false"]}
    )
    client.api.remove_container(parts)
    jobs.image = str(changed["Id"])

    try:
        assert jobs("echo ran").stdout == b"ran\n"
    finally:
        client.images.remove("layerforge-test:entry")


def test_proxies_of_dockers_configuration_stay_out(
    busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"default": {"httpProxy": f"http://me:{SECRET}@proxy:3128"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine = Engine(find_endpoints())

    outcome = Jobs(engine, busybox)("env", environment={"SEEN": "yes"})
    engine.close()

    assert "SEEN=yes" in outcome.stdout.decode()
    assert SECRET not in outcome.stdout.decode()


def test_secrets_are_files_of_the_jobs_own_and_variables(jobs: Jobs) -> None:
    script = f"cat {SECRETS_FOLDER}/netrc; echo $TOKEN; stat -c '%a %n' /run/*"

    outcome = jobs(
        script,
        secrets={"netrc": b"machine a\n", "environment": b"export TOKEN='a b'\n"},
    )

    assert outcome.stdout == b"machine a\na b\n700 /run/layerforge\n"


def test_a_large_secret_arrives_whole(jobs: Jobs) -> None:
    outcome = jobs(
        f"cat {SECRETS_FOLDER}/large | wc -c", secrets={"large": bytes(5_000_000)}
    )

    assert outcome.stdout == b"5000000\n"


def test_secrets_are_seen_nowhere_from_outside(
    jobs: Jobs, client: DockerClient, ours: Callable[[], list[str]]
) -> None:
    seen: dict[str, str] = {}

    def look() -> None:
        (name,) = ours()
        container = client.containers.get(name)
        seen["inspect"] = json.dumps(container.attrs)
        seen["diff"] = json.dumps(container.diff())
        seen["export"] = b"".join(client.api.export(name)).decode("latin-1")
        seen["history"] = json.dumps(client.images.get(jobs.image).history())
        proceed(client, name)

    outcome = jobs(
        f'{WAIT}; echo "$TOKEN" >&2; cat {SECRETS_FOLDER}/netrc',
        listen=on_ready(look),
        secrets={
            "netrc": f"password {SECRET}".encode(),
            "environment": f"export TOKEN={SECRET}\n".encode(),
        },
    )

    assert outcome.stdout.decode() == f"password {SECRET}"
    assert set(seen) == {"inspect", "diff", "export", "history"}
    assert [place for place, text in seen.items() if SECRET in text] == []


def test_what_a_job_prints_is_written_to_no_log(
    jobs: Jobs, client: DockerClient, ours: Callable[[], list[str]]
) -> None:
    drivers: list[str] = []

    def look() -> None:
        (name,) = ours()
        host = client.api.inspect_container(name)["HostConfig"]
        drivers.append(host["LogConfig"]["Type"])
        proceed(client, name)

    jobs(WAIT, listen=on_ready(look))

    assert drivers == ["none"]


def test_a_job_that_reads_no_secrets_ends_as_it_does(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An engine may leave the sender waiting.
    monkeypatch.setattr(process, "_HEARTBEAT", 0.5)
    monkeypatch.setattr(process, "_ENDING", 1)
    shell = tmp_path / "sh"
    shell.write_text("#!/bin/busybox false")
    shell.chmod(0o755)

    error = jobs.failing(
        "true", files={"/bin/sh": shell}, secrets={"large": bytes(5_000_000)}
    )

    assert error.status == 1


def test_a_program_that_is_not_there_is_a_failure(jobs: Jobs) -> None:
    error = jobs.failing("", command=("/no/program",))

    assert error.message.startswith("running a job could not start: ")
    assert "/no/program" in error.message


def test_a_program_of_another_machine_says_what_to_install(
    jobs: Jobs, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    header = bytearray(Path(sys.executable).resolve().read_bytes()[:4096])
    header[18:20] = b"\x34\x12"  # e_machine: nobody's
    program.write_bytes(header)
    program.chmod(0o755)

    error = jobs.failing("", command=("/program",), files={"/program": program})

    assert error.remedy == (
        "The engine can't run programs for x86_64: install qemu-user-static and "
        "binfmt-support beside it, or name a native one in `[docker.hosts]` of "
        "layerforge.toml."
    )


def test_a_job_out_of_time_is_ended(jobs: Jobs, ours: Callable[[], list[str]]) -> None:
    error = jobs.failing("echo begun; sleep 600", settings=ContainerSettings(timeout=1))

    assert error.message == "running a job took longer than 1 s"
    assert error.remedy == (
        "Allow more: `timeout` in `[containers]` of layerforge.toml."
    )
    assert (error.status, error.lines) == (None, ("begun",))
    assert ours() == []


def test_a_job_that_never_is_silent_is_ended_as_well(jobs: Jobs) -> None:
    error = jobs.failing(
        "while :; do echo x >&2; usleep 1000; done",
        settings=ContainerSettings(timeout=1),
    )

    assert error.message == "running a job took longer than 1 s"


def test_a_job_out_of_memory_names_the_limit(jobs: Jobs) -> None:
    error = jobs.failing(
        "tail -c 500000000 /dev/zero", settings=ContainerSettings(memory=LIMIT)
    )

    assert error.message == (
        "running a job was killed: it wanted more memory than there is (48 MiB)"
    )
    assert error.remedy == (
        "Allow more: `memory` in `[containers]` of layerforge.toml."
    )
    assert error.status is None


def test_a_compiler_that_was_killed_for_its_memory_is_told_so(jobs: Jobs) -> None:
    script = "(tail -c 500000000 /dev/zero) || { echo cc1plus died >&2; exit 1; }"

    error = jobs.failing(script, settings=ContainerSettings(memory=LIMIT))

    assert error.message == (
        "running a job was killed: it wanted more memory than there is (48 MiB)"
        "\n  Killed\n  cc1plus died"
    )


def test_endless_output_is_an_error(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MAX_STDOUT", 1_000_000)

    error = jobs.failing("yes")

    assert error.message == "running a job printed more than 1,000,000 bytes"


def test_an_image_that_is_not_there_is_an_image_error(
    jobs: Jobs, ours: Callable[[], list[str]]
) -> None:
    jobs.image = "layerforge-test:none"

    with pytest.raises(ImageError) as caught:
        jobs("true")

    assert caught.value.message.endswith(
        " refused: No such image: layerforge-test:none"
    )
    assert ours() == []


@pytest.mark.parametrize("script", ["true", "exit 1"])
def test_no_container_is_left(
    jobs: Jobs, ours: Callable[[], list[str]], script: str
) -> None:
    with suppress(TaskError):
        jobs(script)

    assert ours() == []


def test_no_container_is_left_by_an_interrupt(
    jobs: Jobs, ours: Callable[[], list[str]]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs(WAIT, listen=on_ready(interrupt))

    assert ours() == []


def test_closing_ends_the_jobs_of_other_threads(
    jobs: Jobs, ours: Callable[[], list[str]]
) -> None:
    ready = threading.Event()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(jobs, WAIT, listen=on_ready(ready.set))
        assert ready.wait(60)
        jobs.engine.close()
        left = ours()
        error = future.exception(60)

    assert left == []
    assert isinstance(error, EngineError)
    assert error.message == "the work was stopped"


def test_nothing_begins_after_closing(jobs: Jobs) -> None:
    jobs.engine.close()

    with pytest.raises(EngineError, match="the work was stopped"):
        jobs("true")


def test_three_jobs_run_at_once(
    jobs: Jobs, client: DockerClient, ours: Callable[[], list[str]]
) -> None:
    def all_proceed() -> None:
        for job in ours():
            proceed(client, job)

    together = threading.Barrier(3, all_proceed)

    with ThreadPoolExecutor(3) as pool:
        outcomes = [
            pool.submit(jobs, f"{WAIT}; echo {number}", listen=on_ready(together.wait))
            for number in range(3)
        ]

    assert [future.result().stdout for future in outcomes] == [b"0\n", b"1\n", b"2\n"]


def test_a_volume_has_what_is_in_a_tar_and_nobody_writes_there(
    jobs: Jobs, tmp_path: Path, ours: Callable[[], list[str]]
) -> None:
    tar = tmp_path / "layer.tar"
    tar.write_bytes(b"".join(pack({"python/module.py": b"x = 1\n"}, "python")))

    with jobs.engine.volume(Arch.X86_64, jobs.image, tar) as name:
        outcome = jobs(
            "cat /opt/python/module.py; touch /opt/new || echo refused",
            volumes={"/opt": name},
        )
        during = ours()

    assert outcome.stdout == b"x = 1\nrefused\n"
    assert during == [name]
    assert ours() == []


def test_a_volume_has_nothing_of_the_image(
    jobs: Jobs, client: DockerClient, busybox: str, tmp_path: Path
) -> None:
    parts = client.api.create_container(busybox, ["true"])["Id"]
    client.api.put_archive(parts, "/", b"".join(pack({"opt/own": b""})))
    changed = client.api.commit(parts, "layerforge-test", "opt")["Id"]
    client.api.remove_container(parts)
    tar = tmp_path / "layer.tar"
    tar.write_bytes(b"".join(pack({"ours": b""})))

    try:
        with jobs.engine.volume(Arch.X86_64, changed, tar) as name:
            outcome = jobs("ls /opt", volumes={"/opt": name})
    finally:
        client.images.remove("layerforge-test:opt")

    assert outcome.stdout == b"ours\n"


# A process that begins a job and makes a volume, says so, and then is killed.
DOOMED: Final = """
import sys
from pathlib import Path
from layerforge.containers.endpoint import find_endpoints
from layerforge.containers.engine import Engine
from layerforge.containers.leftovers import labels
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.task import Task
from layerforge.target import Arch

engine, (image, tar) = Engine(find_endpoints()), sys.argv[1:]
command = ("sh", "-c", "echo ready >&2; sleep 600")
task = Task(name="a job", image=image, arch=Arch.X86_64, command=command)
with engine.volume(Arch.X86_64, image, Path(tar)):
    print(labels()["layerforge.owner"], flush=True)
    engine.run(task, ContainerSettings(), None, lambda event: print(event, flush=True))
"""


@pytest.fixture
def doomed(busybox: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    tar = tmp_path / "volume.tar"
    tar.write_bytes(b"".join(pack({"file": b""})))
    with subprocess.Popen(
        [sys.executable, "-c", DOOMED, busybox, str(tar)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_what_a_killed_process_left_is_swept_by_the_next(
    doomed: subprocess.Popen[str], client: DockerClient, jobs: Jobs
) -> None:
    assert doomed.stdout
    owner: Marks = {"label": f"layerforge.owner={doomed.stdout.readline().strip()}"}
    while "ready" not in doomed.stdout.readline():
        pass

    def left() -> int:
        containers = client.containers.list(all=True, filters=owner)
        return len(containers) + len(client.volumes.list(filters=owner))

    jobs("true")
    while_it_lives = left()
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    after_its_death = left()
    Engine(find_endpoints()).client.close()

    assert (while_it_lives, after_its_death, left()) == (2, 2, 0)


# Docker's client forgets to close a socket that could not be connected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_lost_in_mid_job_is_told(
    relay: Relay, busybox: str, ours: Callable[[], list[str]]
) -> None:
    jobs = Jobs(engine_at(relay.path), busybox)

    with pytest.raises(EngineError) as caught:
        jobs("echo begun; echo ready >&2; sleep 600", listen=on_ready(relay.cut))
    message, remedy = caught.value.message, caught.value.remedy
    left = ours()
    relay.mend()
    jobs.engine.close()
    del caught
    gc.collect()

    assert message == (
        f"the engine at unix://{relay.path} went away: connection refused"
    )
    assert remedy == "See that it runs, and try again."
    assert len(left) == 1
    assert ours() == []


def test_an_engine_that_freezes_in_mid_job_is_told(
    relay: Relay, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_HEARTBEAT", 0.2)
    monkeypatch.setattr(connection, "_ANSWERING", 1)
    jobs = Jobs(engine_at(relay.path), busybox)

    with pytest.raises(EngineError) as caught:
        jobs("echo ready >&2; sleep 600", listen=on_ready(relay.freeze))
    relay.cut()
    relay.mend()
    jobs.engine.close()

    assert caught.value.message == (
        f"the engine at unix://{relay.path} went away: it does not answer"
    )


def test_a_silent_job_is_not_taken_for_a_lost_engine(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_HEARTBEAT", 0.05)

    assert jobs("sleep 1; echo done").stdout == b"done\n"


@pytest.fixture
def tls_jobs(
    socket_path: str, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Jobs]:
    (tmp_path / "ca.pem").write_bytes(CERTIFICATE.read_bytes())
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    # A bundle for other servers, which doesn't know this one's authority.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with tls_relay(socket_path, CERTIFICATE) as address:
        engine = Engine(find_endpoints(address))
        yield Jobs(engine, busybox)
        engine.close()
        gc.collect()  # urllib3 closes connections when nothing knows their pool


def test_secrets_and_output_go_through_tls(tls_jobs: Jobs) -> None:
    outcome = tls_jobs(
        f"cat {SECRETS_FOLDER}/large | wc -c; seq 100000",
        secrets={"large": bytes(1_000_000)},
    )

    first, *rest = outcome.stdout.decode().split()
    assert (first, len(rest), rest[-1]) == ("1000000", 100_000, "100000")


def test_a_job_that_fails_behind_tls_has_its_status(tls_jobs: Jobs) -> None:
    assert tls_jobs.failing("exit 5").status == 5


def test_architectures_without_hosts_share_the_machines_engine() -> None:
    with Containers() as containers:
        assert containers.engine(Arch.ARM64) is containers.engine(Arch.X86_64)


def test_an_architectures_own_host_does_its_jobs(relay: Relay, busybox: str) -> None:
    settings = ContainerSettings(hosts={Arch.X86_64: f"unix://{relay.path}"})

    with Containers(settings) as containers:
        outcome = containers.run(
            Jobs(containers.engine(Arch.X86_64), busybox).task("echo 1")
        )

    assert outcome.stdout == b"1\n"
    assert relay.connections
