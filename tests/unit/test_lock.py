"""Locks: PEP 751 files that other tools read, and damaged ones that nobody should."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from packaging.pylock import Pylock, PylockSelectError
from packaging.requirements import Requirement
from uv import find_uv_bin

from layerforge.ecosystems.python.tags import environment, wheel_tags
from layerforge.errors import LockError
from layerforge.lock import (
    Lock,
    Pin,
    Weight,
    dump_lock,
    dump_requirements,
    lock_path,
    read_lock,
)
from layerforge.target import Arch, Target, find_runtime
from tests.servers import Index
from tests.wheels import make_wheel

TARGET = Target(runtime=find_runtime("python3.12"), arch=Arch.X86_64)
ARM = Target(runtime=find_runtime("python3.9"), arch=Arch.ARM64)
A, B = "a" * 64, "b" * 64
AGAIN = "Make it again: layerforge lock"

DEMO = Pin(
    name="demo",
    version="1.0",
    filename="demo-1.0-cp312-cp312-manylinux_2_34_x86_64.whl",
    url="https://example.org/demo-1.0-cp312-cp312-manylinux_2_34_x86_64.whl",
    digest=A,
    size=1000,
    dependencies=("other",),
    weight=Weight(unzipped=3000, kept=2000),
)
OTHER = Pin(
    name="other",
    version="2.0.post1",
    filename="other-2.0.post1-py3-none-any.whl",
    url="https://example.org/other-2.0.post1-py3-none-any.whl",
    digest=B,
)
LOCK = Lock(
    layer="web",
    target=str(TARGET),
    inputs="0" * 64,
    roots=("demo",),
    pins=(DEMO, OTHER),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return lock_path(tmp_path, "web", TARGET)


def written(lock: Lock, file: Path, target: Target = TARGET) -> dict[str, Any]:
    text = dump_lock(lock, target, file.parent)
    file.write_text(text, encoding="utf-8")
    return tomllib.loads(text)


def refused(file: Path) -> LockError:
    with pytest.raises(LockError) as caught:
        read_lock(file)
    return caught.value


class TestRoundTrip:
    def test_gives_the_same_lock(self, file: Path) -> None:
        written(LOCK, file)

        assert read_lock(file) == LOCK

    def test_keeps_all_that_is_said(self, file: Path) -> None:
        weight = Weight(unzipped=3, kept=0, predicted=True)
        full = replace(
            LOCK,
            pins=(DEMO, replace(OTHER, weight=weight)),
            provided=("boto3",),
            stripping="1" * 64,
            interpreter="3.12.12",
        )
        written(full, file)

        assert read_lock(file) == full

    def test_gives_the_same_text_whatever_order_pins_come_in(self, file: Path) -> None:
        backwards = replace(LOCK, pins=(OTHER, DEMO))

        assert dump_lock(backwards, TARGET, file.parent) == dump_lock(
            LOCK, TARGET, file.parent
        )

    def test_of_no_pins_is_one_too(self, file: Path) -> None:
        empty = replace(LOCK, pins=(), roots=())
        written(empty, file)

        assert read_lock(file) == empty


class TestText:
    def test_is_short_and_reads_well(self, file: Path) -> None:
        assert dump_lock(replace(LOCK, pins=(DEMO,)), TARGET, file.parent) == (
            'lock-version = "1.0"\n'
            "environments = [\n"
            "    \"implementation_name == 'cpython' and sys_platform == 'linux' and "
            "platform_machine == 'x86_64'\",\n"
            "]\n"
            'requires-python = "==3.12.*"\n'
            'created-by = "layerforge"\n'
            "\n"
            "[[packages]]\n"
            'name = "demo"\n'
            'version = "1.0"\n'
            "dependencies = [\n"
            '    { name = "other" },\n'
            "]\n"
            "\n"
            "[[packages.wheels]]\n"
            'name = "demo-1.0-cp312-cp312-manylinux_2_34_x86_64.whl"\n'
            'url = "https://example.org/'
            'demo-1.0-cp312-cp312-manylinux_2_34_x86_64.whl"\n'
            "size = 1000\n"
            "\n"
            "[packages.wheels.hashes]\n"
            f'sha256 = "{A}"\n'
            "\n"
            "[packages.tool.layerforge]\n"
            "unzipped = 3000\n"
            "kept = 2000\n"
            "\n"
            "[tool.layerforge]\n"
            "format = 1\n"
            'layer = "web"\n'
            'target = "python3.12-x86_64"\n'
            f'inputs = "{"0" * 64}"\n'
            "roots = [\n"
            '    "demo",\n'
            "]\n"
        )

    def test_says_nothing_of_a_size_that_is_not_known(self, file: Path) -> None:
        document = written(LOCK, file)

        assert "size" not in document["packages"][1]["wheels"][0]

    def test_changes_in_few_lines_when_a_version_does(self, file: Path) -> None:
        before = dump_lock(LOCK, TARGET, file.parent).splitlines()
        newer = replace(OTHER, version="2.1", filename="other-2.1-py3-none-any.whl")

        after = dump_lock(
            replace(LOCK, pins=(DEMO, newer)), TARGET, file.parent
        ).splitlines()

        assert len(after) == len(before)
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 2


class TestStandard:
    @pytest.mark.parametrize("target", [TARGET, ARM], ids=str)
    def test_names_are_valid(self, tmp_path: Path, target: Target) -> None:
        path = lock_path(tmp_path, "web_1-x", target)

        assert path.name == f"pylock.web_1-x-{target.slug}.toml"
        assert path.name.count(".") == 2

    def test_pylock_validates_and_selects_our_wheels(self, file: Path) -> None:
        lock = Pylock.from_dict(written(LOCK, file))

        chosen = lock.select(environment=environment(TARGET), tags=wheel_tags(TARGET))

        names = [package.wheels[0].name for package, _ in chosen if package.wheels]
        assert names == [DEMO.filename, OTHER.filename]

    @pytest.mark.parametrize("target", [ARM, replace(TARGET, arch=Arch.ARM64)], ids=str)
    def test_pylock_selects_nothing_elsewhere(self, file: Path, target: Target) -> None:
        lock = Pylock.from_dict(written(LOCK, file))

        with pytest.raises(PylockSelectError, match="not satisf"):
            list(lock.select(environment=environment(target), tags=wheel_tags(target)))


class TestLocalWheels:
    def test_below_the_lock_have_a_relative_path(
        self, file: Path, tmp_path: Path
    ) -> None:
        wheel = tmp_path / "my wheels" / OTHER.filename
        local = replace(LOCK, pins=(replace(OTHER, url=wheel.as_uri()),))

        document = written(local, file)

        (row,) = document["packages"][0]["wheels"]
        assert row["path"] == f"my wheels/{OTHER.filename}"
        assert "url" not in row
        assert read_lock(file) == local

    def test_below_the_lock_are_found_through_links_too(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        wheel = tmp_path / "link" / OTHER.filename
        local = replace(LOCK, pins=(replace(OTHER, url=wheel.as_uri()),))

        document = tomllib.loads(dump_lock(local, TARGET, tmp_path / "real"))

        assert document["packages"][0]["wheels"][0]["path"] == OTHER.filename

    def test_move_with_the_lock(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        (one / OTHER.filename).touch()
        url = (one / OTHER.filename).as_uri()
        written(replace(LOCK, pins=(replace(OTHER, url=url),)), one / "pylock.a.toml")
        one.rename(other)

        (pin,) = read_lock(other / "pylock.a.toml").pins

        assert pin.path == (other / OTHER.filename).resolve()

    def test_elsewhere_keep_their_url(self, file: Path) -> None:
        url = f"file:///elsewhere/{OTHER.filename}"

        document = written(replace(LOCK, pins=(replace(OTHER, url=url),)), file)

        assert document["packages"][0]["wheels"][0]["url"] == url


class TestDamage:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("x = ", "is not TOML: Invalid value (at end of document)"),
            ("tool = 1", "was not made by layerforge"),
            ("tool.layerforge = 1", "was not made by layerforge"),
            ('lock-version = "1.0"', "was not made by layerforge"),
            ("tool.layerforge.format = 2", "has format 2"),
            ("tool.layerforge.layer = 'a'", "has format None"),
            ("tool.layerforge.format = 1", "is damaged: layer is missing"),
        ],
    )
    def test_of_the_whole_is_told(self, file: Path, text: str, told: str) -> None:
        file.write_text(text)

        assert refused(file).message == f"{file} {told}"

    def test_of_a_lock_of_others_says_what_to_do(self, file: Path) -> None:
        file.write_text('lock-version = "1.0"')

        assert refused(file).remedy == (
            "Move it away, or name it as the layer's requirements."
        )

    def test_of_the_encoding_is_told(self, file: Path) -> None:
        file.write_bytes(b"\xff")

        assert refused(file).message.startswith(f"{file} is not TOML: 'utf-8' codec")

    def test_of_a_file_that_cannot_be_read_gives_the_reason(
        self, tmp_path: Path
    ) -> None:
        assert refused(tmp_path).message == f"cannot read {tmp_path}: Is a directory"

    @pytest.mark.parametrize(
        ("path", "value", "told"),
        [
            ("tool.layerforge.target", None, "target is missing"),
            ("tool.layerforge.inputs", 1, "inputs is 1"),
            ("tool.layerforge.roots", "demo", "roots is 'demo'"),
            ("tool.layerforge.roots", [1], "roots is [1]"),
            ("tool.layerforge.provided", [[]], "provided is [[]]"),
            ("packages", None, "packages is missing"),
            ("packages", {}, "packages is {}"),
            ("packages.0.name", None, "name is missing"),
            ("packages.0.version", 1.0, "version is 1.0"),
            ("packages.0.wheels", None, "wheels is missing"),
            (
                "packages.0.wheels",
                [],
                "not enough values to unpack (expected 1, got 0)",
            ),
            ("packages.0.wheels.0.name", [], "name is []"),
            ("packages.0.wheels.0.url", 1, "url is 1"),
            ("packages.0.wheels.0.url", None, "path is missing"),
            ("packages.0.wheels.0.size", "big", "size is 'big'"),
            ("packages.0.wheels.0.hashes", {}, "sha256 is missing"),
            ("packages.0.wheels.0.hashes", "sha256", "hashes is 'sha256'"),
            (
                "packages.0.wheels.0.hashes.sha256",
                "../../../../etc/passwd",
                "sha256 is '../../../../etc/passwd'",
            ),
            ("packages.0.dependencies", [{}], "name is missing"),
            ("packages.0.tool.layerforge", {"kept": 1}, "unzipped is missing"),
            ("packages.0.tool.layerforge.kept", "x", "kept is 'x'"),
            ("packages.0.tool.layerforge.kept", -5, "kept is -5"),
            ("packages.0.tool.layerforge.unzipped", True, "unzipped is True"),
        ],
    )
    def test_of_a_field_is_told(
        self, file: Path, path: str, value: object, told: str
    ) -> None:
        document: Any = written(LOCK, file)
        *parents, key = path.split(".")
        table = document
        for parent in parents:
            table = table[int(parent) if parent.isdigit() else parent]
        if value is None:
            del table[key]
        else:
            table[key] = value
        file.write_text(tomli_w.dumps(document))

        error = refused(file)

        assert error.message == f"{file} is damaged: {told}"
        assert error.remedy == AGAIN


class TestRequirements:
    def test_are_hashed_and_say_who_asks(self) -> None:
        assert dump_requirements(LOCK) == (
            "demo==1.0 \\\n"
            f"    --hash=sha256:{A}\n"
            "    # via the requirements of web\n"
            "other==2.0.post1 \\\n"
            f"    --hash=sha256:{B}\n"
            "    # via demo\n"
        )

    def test_parse(self) -> None:
        lines = dump_requirements(LOCK).replace("\\\n", "").splitlines()

        parsed = [
            str(Requirement(line.partition(" --hash")[0].strip()))
            for line in lines
            if not line.strip().startswith("#")
        ]
        assert parsed == ["demo==1.0", "other==2.0.post1"]


class TestOtherTools:
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[Index]:
        folder = tmp_path / "index"
        make_wheel(folder, "demo", "1.0", {"demo.py": b""}, requires=["other"])
        make_wheel(folder, "other", "2.0", {"other.py": b""})
        with Index(folder) as index:
            yield index

    @pytest.fixture
    def lock(self, index: Index) -> Lock:
        pins = []
        for path in sorted(index.folder.iterdir()):
            name, version = path.name.split("-")[:2]
            pins.append(
                Pin(
                    name=name,
                    version=version,
                    filename=path.name,
                    url=index.file_url(path.name),
                    digest=sha256(path.read_bytes()).hexdigest(),
                    size=path.stat().st_size,
                    dependencies=("other",) if name == "demo" else (),
                )
            )
        return replace(LOCK, pins=tuple(pins))

    def run(self, *command: str) -> str:
        """Give what a tool says, told nothing by this machine's own settings."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIP_", "UV_"))
        }
        settings = {"PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1"}
        answer = subprocess.run(
            [*command],
            capture_output=True,
            text=True,
            check=False,
            env=own | settings,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr

    @pytest.mark.skipif(sys.platform != "linux", reason="the lock is for Linux")
    def test_uv_syncs_from_the_lock(self, lock: Lock, tmp_path: Path) -> None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        here = Target(
            runtime=find_runtime(f"python{version}"),
            arch=Arch.ARM64 if os.uname().machine == "aarch64" else Arch.X86_64,
        )
        file = lock_path(tmp_path, "web", here)
        written(replace(lock, target=str(here)), file, here)
        place = tmp_path / "place"

        said = self.run(
            *(find_uv_bin(), "pip", "sync", str(file), "--target", str(place)),
            *("--python", sys.executable, "--preview", "--no-config"),
            *("--cache-dir", str(tmp_path / "cache")),
        )

        assert "Installed 2 packages" in said
        assert (place / "demo.py").exists()
        assert (place / "other.py").exists()

    def test_pip_takes_the_hashed_requirements(
        self, lock: Lock, index: Index, tmp_path: Path
    ) -> None:
        exported = tmp_path / "requirements.txt"
        exported.write_text(dump_requirements(lock))

        said = self.run(
            *(sys.executable, "-m", "pip", "install", "--dry-run", "--isolated"),
            *("--require-hashes", "--ignore-installed", "--no-cache-dir"),
            *("--index-url", index.simple_url, "-r", str(exported)),
        )

        assert "Would install demo-1.0 other-2.0" in said
