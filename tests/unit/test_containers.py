"""Containers, as far as no engine is needed: where it is, tars, streams, leftovers."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import socket
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from layerforge.containers import connection, leftovers
from layerforge.containers.connection import connect
from layerforge.containers.endpoint import CHOICES, Endpoint, find_endpoints
from layerforge.containers.leftovers import labels
from layerforge.containers.process import attend, plain
from layerforge.containers.settings import ContainerSettings
from layerforge.containers.tars import extract, pack
from layerforge.containers.task import EngineError, Task
from layerforge.errors import ArchiveError, BuildError
from layerforge.events import Event, Said
from layerforge.target import Arch
from tests.servers import Index

TASK = Task(name="a job", image="", arch=Arch.X86_64, command=("true",))
# Docker's client forgets to close a socket that could not be connected.
forgets_sockets = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


def write_context(
    home: Path, name: str, docker: Mapping[str, object], tls: tuple[str, ...] = ()
) -> Path:
    """Write a context as `docker context create` does; give its TLS folder."""
    number = hashlib.sha256(name.encode()).hexdigest()
    contexts = home / ".docker/contexts"
    meta, folder = contexts / "meta" / number, contexts / "tls" / number / "docker"
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}
    (meta / "meta.json").write_text(json.dumps(document))
    for file in tls:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def choose_context(home: Path, name: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker/config.json").write_text(json.dumps({"currentContext": name}))


def test_the_settings_host_wins_over_dockers_variable() -> None:
    environ = {"DOCKER_HOST": "unix:///b"}

    assert find_endpoints("ssh://me@arm", environ) == (
        Endpoint(address="ssh://me@arm", origin="[docker.hosts]"),
    )


def test_dockers_variable_wins_over_a_context() -> None:
    environ = {"DOCKER_HOST": "unix:///b", "DOCKER_CONTEXT": "far"}

    (endpoint,) = find_endpoints("", environ)

    assert str(endpoint) == "unix:///b (DOCKER_HOST)"


def test_a_named_context_wins_over_the_current_one(tmp_path: Path) -> None:
    write_context(tmp_path, "far", {"Host": "tcp://far:2375"})
    choose_context(tmp_path, "near")

    found = find_endpoints("", {"HOME": str(tmp_path), "DOCKER_CONTEXT": "far"})

    assert found == (Endpoint(address="tcp://far:2375", origin="context far"),)


def test_the_current_context_is_that_of_dockers_configuration(tmp_path: Path) -> None:
    write_context(tmp_path, "far", {"Host": "unix:///far"})
    choose_context(tmp_path, "far")
    elsewhere = {"HOME": "/", "DOCKER_CONFIG": str(tmp_path / ".docker")}

    at_home = find_endpoints("", {"HOME": str(tmp_path)})

    assert at_home == (Endpoint(address="unix:///far", origin="context far"),)
    assert find_endpoints("", elsewhere) == at_home


def test_a_context_brings_its_certificates(tmp_path: Path) -> None:
    folder = write_context(
        tmp_path, "far", {"Host": "tcp://far:2376"}, ("ca.pem", "cert.pem", "key.pem")
    )
    choose_context(tmp_path, "far")

    (endpoint,) = find_endpoints("", {"HOME": str(tmp_path)})

    assert (endpoint.certificates, endpoint.verify) == (folder, True)
    assert endpoint.certificate("key") == str(folder / "key.pem")


def test_a_context_may_believe_any_server(tmp_path: Path) -> None:
    docker = {"Host": "tcp://far:2376", "SkipTLSVerify": True}
    write_context(tmp_path, "far", docker, ("cert.pem", "key.pem"))
    choose_context(tmp_path, "far")

    (endpoint,) = find_endpoints("", {"HOME": str(tmp_path)})

    assert not endpoint.verify
    assert endpoint.certificate("ca") is None


def test_a_context_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        find_endpoints("", {"HOME": str(tmp_path), "DOCKER_CONTEXT": "far"})

    number = hashlib.sha256(b"far").hexdigest()
    path = tmp_path / ".docker/contexts/meta" / number / "meta.json"
    assert caught.value.message == (
        f"there is no Docker context 'far': {path} is missing"
    )


def test_a_context_for_something_else_names_no_engine(tmp_path: Path) -> None:
    write_context(tmp_path, "far", {})

    with pytest.raises(EngineError, match="the Docker context 'far' names no engine"):
        find_endpoints("", {"HOME": str(tmp_path), "DOCKER_CONTEXT": "far"})


def test_a_damaged_configuration_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(EngineError) as caught:
        find_endpoints("", {"DOCKER_CONFIG": str(tmp_path)})

    assert caught.value.message.startswith(f"cannot read {tmp_path}/config.json: ")
    assert caught.value.remedy == "Mend it, or set DOCKER_HOST."


@pytest.mark.parametrize("path", ["docker.sock", "podman/podman.sock"])
def test_a_users_own_socket_is_found(tmp_path: Path, path: str) -> None:
    place = tmp_path / path
    place.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))

        environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
        found = find_endpoints("", environ)

    assert Endpoint(address=f"unix://{place}") in found


def test_a_machine_without_an_engine_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_socket", lambda _path: False)

    with pytest.raises(EngineError) as caught:
        find_endpoints("", {"HOME": "/home/me", "XDG_RUNTIME_DIR": str(tmp_path)})

    assert caught.value.message == (
        "there is no container engine: none of /var/run/docker.sock, "
        f"{tmp_path}/docker.sock, /home/me/.docker/run/docker.sock, "
        f"/home/me/.colima/default/docker.sock, {tmp_path}/podman/podman.sock, "
        "/run/podman/podman.sock is a socket"
    )
    assert caught.value.remedy == (
        "Start Docker or Podman, or name an engine: DOCKER_HOST, or "
        "`[docker.hosts]` in layerforge.toml."
    )


@pytest.mark.parametrize(
    ("environ", "certificates", "verify"),
    [
        ({}, None, True),
        ({"DOCKER_TLS_VERIFY": "1"}, "/home/me/.docker", True),
        ({"DOCKER_CERT_PATH": "/tls"}, "/tls", False),
        ({"DOCKER_CERT_PATH": "/tls", "DOCKER_TLS_VERIFY": "1"}, "/tls", True),
    ],
)
def test_tls_is_as_dockers_variables_say(
    environ: dict[str, str], certificates: str | None, *, verify: bool
) -> None:
    (endpoint,) = find_endpoints("tcp://far:2376", {"HOME": "/home/me", **environ})

    assert endpoint.certificates == (Path(certificates) if certificates else None)
    assert endpoint.verify is verify


def refusal(*addresses: str) -> tuple[str, str]:
    """Give what is said, and what to do, where no engine answers."""
    try:
        connect([Endpoint(address=address, origin="here") for address in addresses])
    except EngineError as error:
        told = error.message, error.remedy
    gc.collect()
    return told


@forgets_sockets
def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    message, remedy = refusal(f"unix://{tmp_path}/none")

    assert message == (
        f"no container engine answers at unix://{tmp_path}/none (here): no such file "
        "or directory"
    )
    assert remedy == CHOICES


@forgets_sockets
def test_every_address_that_was_tried_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))

    assert refusal(f"unix://{path}", f"unix://{tmp_path}/none")[0] == (
        f"no container engine answers at unix://{path} (here): connection refused, "
        f"nor at unix://{tmp_path}/none (here): no such file or directory"
    )


def test_an_address_that_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_CONNECTING", 1)
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        assert refusal(f"unix://{path}")[0] == (
            f"no container engine answers at unix://{path} (here): it does not answer"
        )


def test_a_server_that_is_no_engine_is_told(tmp_path: Path) -> None:
    with Index(tmp_path) as index:
        address = f"tcp://{index.host}"

        assert refusal(address)[0].startswith(
            f"no container engine answers at {address} (here): 404 Client Error"
        )


def test_an_address_of_no_known_kind_is_told() -> None:
    assert refusal("carrier://pigeon")[0] == (
        "no container engine answers at carrier://pigeon (here): Invalid bind address "
        "protocol: carrier://pigeon"
    )


def test_who_may_not_use_the_socket_is_told_how_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_endpoint: Endpoint) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(connection, "_client", refuse)

    message, remedy = refusal("unix:///var/run/docker.sock")

    assert message == (
        "no container engine answers at unix:///var/run/docker.sock (here): "
        "permission denied"
    )
    assert remedy == (
        "You may not use it: join its group (docker), or run a rootless engine."
    )


def test_ssh_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda _name: None)

    assert refusal("ssh://me@arm") == (
        "the engine at ssh://me@arm (here) is reached by SSH, which needs paramiko",
        "Install it beside layerforge: pip install 'layerforge[ssh]'.",
    )


def members(chunks: Iterator[bytes]) -> dict[str, tuple[int, bytes]]:
    """Read a tar: mode and contents by name, in order."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        return {
            member.name: (
                member.mode,
                content.read() if (content := tar.extractfile(member)) else b"/",
            )
            for member in tar
        }


def test_a_tar_has_bytes_files_and_folders_in_order(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/file").write_bytes(b"x" * 1000)
    program = tmp_path / "program"
    program.write_bytes(b"#!")
    program.chmod(0o700)
    files: dict[str, bytes | Path] = {
        "/z": b"zz",
        "/a/program": program,
        "/in": tmp_path / "folder",
    }

    assert members(pack(files, "/out")) == {
        "out": (0o755, b"/"),
        "a/program": (0o755, b"#!"),
        "in": (0o755, b"/"),
        "in/deep": (0o755, b"/"),
        "in/deep/file": (0o644, b"x" * 1000),
        "z": (0o644, b"zz"),
    }


def test_the_same_contents_are_the_same_tar(tmp_path: Path) -> None:
    tars = []
    for name, mode, mtime in (("one", 0o600, 1), ("two", 0o664, 2_000_000_000)):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("b", "a") if mtime == 1 else ("a", "b"):
            (folder / file).write_bytes(b"same")
            (folder / file).chmod(mode)
            os.utime(folder / file, (mtime, mtime))
        tars.append(b"".join(pack({"/in": folder})))

    assert tars[0] == tars[1]


@pytest.mark.parametrize("name", ["é" * 30, "d/" * 60 + "long", "n" * 200])
def test_names_of_any_length_and_script_go_and_come(tmp_path: Path, name: str) -> None:
    files = extract(pack({f"out/{name}": b"1"}), tmp_path)

    assert files == (tmp_path / name,)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        list(pack({"/a": tmp_path / "none"}))

    assert caught.value.message == (
        f"cannot read {tmp_path}/none: No such file or directory"
    )


def written(*entries: tuple[tarfile.TarInfo, bytes]) -> list[bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return [stream.getvalue()]


def entry(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "out/file"
    return info


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("out/link", tarfile.SYMTYPE, "is no regular file"),
        ("out/link", tarfile.LNKTYPE, "is no regular file"),
        ("out/device", tarfile.CHRTYPE, "is no regular file"),
        ("out/pipe", tarfile.FIFOTYPE, "is no regular file"),
        ("/etc/passwd", tarfile.REGTYPE, "is outside its folder"),
        ("out/../../file", tarfile.REGTYPE, "is outside its folder"),
        ("../out", tarfile.DIRTYPE, "is outside its folder"),
        ("out", tarfile.REGTYPE, "is outside its folder"),
    ],
)
def test_an_unsafe_output_is_refused(
    tmp_path: Path, name: str, kind: bytes, why: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    with pytest.raises(ArchiveError) as caught:
        extract(written((entry(name, kind), b"")), folder)

    assert caught.value.message == f"a job left {name!r}, which {why}"
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    twice = [(entry("out/file"), b"1"), (entry("out/file"), b"2")]

    with pytest.raises(ArchiveError, match=r"^a job left 'file' twice$"):
        extract(written(*twice), tmp_path)


def test_an_output_has_its_bounds(tmp_path: Path) -> None:
    tar = b"".join(pack({"out/a": bytes(600), "out/b": bytes(600)}))

    with pytest.raises(ArchiveError, match=r"^a job left more than 1,000 bytes$"):
        extract([tar], tmp_path / "one", max_bytes=1000)
    with pytest.raises(ArchiveError, match=r"^a job left more than 1 entries$"):
        extract([tar], tmp_path / "two", max_entries=1)


def test_a_tar_that_ends_early_is_refused(tmp_path: Path) -> None:
    tar = b"".join(pack({"out/a": bytes(6000)}))

    with pytest.raises(ArchiveError, match=r"^the engine sent a damaged tar: "):
        extract([tar[:3000]], tmp_path)


def test_a_tar_may_come_in_pieces_of_any_size(tmp_path: Path) -> None:
    tar = b"".join(pack({"out/a": bytes(range(256)) * 9}))

    extract((tar[at : at + 7] for at in range(0, len(tar), 7)), tmp_path)

    assert (tmp_path / "a").read_bytes() == bytes(range(256)) * 9


class FakeEngine:
    """An engine whose container writes what it is told to, and ends."""

    def __init__(self, written: bytes, status: int = 0) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.sendall(written)
        self.theirs.close()
        self.status = status

    def attach_socket(self, _container: str, _streams: object) -> socket.socket:
        return self.ours

    def start(self, _container: str) -> None:
        """Begin; all is written already."""

    def wait(self, _container: str, timeout: int) -> dict[str, int]:
        assert timeout
        return {"StatusCode": self.status}

    def inspect_container(self, _container: str) -> dict[str, Any]:
        return {"State": {"ExitCode": self.status, "OOMKilled": False}}


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def attended(engine: FakeEngine, heard: list[Event] | None = None) -> bytes:
    return attend(
        cast("Any", engine),
        "name",
        TASK,
        ContainerSettings(),
        secrets=b"",
        listen=(heard if heard is not None else []).append,
    )


def lines_told(*frames: bytes) -> list[str]:
    heard: list[Event] = []
    attended(FakeEngine(b"".join(frame(2, data) for data in frames)), heard)
    return [event.line for event in heard if isinstance(event, Said)]


def test_a_line_may_come_in_pieces() -> None:
    assert lines_told(b"on", b"e\ntw", "ö\n".encode()[:2], "ö\n".encode()[2:]) == [
        "one",
        "twö",
    ]


def test_a_progress_bar_is_told_as_lines() -> None:
    assert lines_told(b" 10%\r 50%\r100%\r\n\n") == [" 10%", " 50%", "100%"]


def test_a_last_line_needs_no_end() -> None:
    engine = FakeEngine(frame(1, b"one\ntwo"), status=1)

    with pytest.raises(BuildError, match=r"  one\n  two$"):
        attended(engine)


def test_a_connection_that_breaks_within_a_frame_is_no_success() -> None:
    engine = FakeEngine(frame(1, b"one\ntwo")[:-1])

    with pytest.raises(ConnectionResetError, match=r"^the connection broke$"):
        attended(engine)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "]0;titletext"),
        ("a\tb", "a       b"),
        ("bell\x07, back\x08", "bell, back"),
        ("x" * 5000, "x" * 2000),
    ],
)
def test_a_line_moves_no_cursor(line: str, shown: str) -> None:
    assert plain(line) == shown


def test_what_a_process_that_is_gone_made_is_nobodys() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    place = labels()["layerforge.owner"].rpartition(":")[0]

    assert leftovers._orphaned({"layerforge.owner": f"{place}:{process.pid}"})


@pytest.mark.parametrize(
    "owner",
    [
        pytest.param(lambda own: own, id="this process's"),
        pytest.param(lambda own: f"{own.rpartition(':')[0]}:1", id="init's"),
        pytest.param(lambda own: f"far-{own.rpartition(':')[0]}:0", id="afar"),
    ],
)
def test_what_a_living_process_or_another_machines_made_is_left(
    owner: Callable[[str], str],
) -> None:
    own = labels()["layerforge.owner"]

    assert not leftovers._orphaned({"layerforge.owner": owner(own)})
