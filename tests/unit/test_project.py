"""layerforge.toml as values, and every mistake in it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerforge.containers.settings import ContainerSettings, SystemPackages
from layerforge.errors import ConfigError
from layerforge.limits import MAX_UNZIPPED
from layerforge.project import find_project, read_project
from layerforge.spec import (
    Include,
    LayerSpec,
    Project,
    PublishSpec,
    Requirements,
    Script,
)
from layerforge.strip import Profile
from layerforge.target import Arch, Target, find_runtime

WEB = '[layers.web]\nrequirements = ["requests"]\n'
PY312, PY313 = find_runtime("python3.12"), find_runtime("python3.13")


def project(folder: Path, text: str) -> Project:
    file = folder / "layerforge.toml"
    file.write_text(text, encoding="utf-8")
    return read_project(file)


def layer(folder: Path, text: str) -> LayerSpec:
    (only,) = project(folder, text).layers
    return only


def mistakes(folder: Path, text: str) -> list[str]:
    """Give the lines of the message below its first, which names the file."""
    with pytest.raises(ConfigError) as caught:
        project(folder, text)
    first, *lines = caught.value.message.splitlines()
    assert first == f"{folder / 'layerforge.toml'}:"
    return [line.removeprefix("  ") for line in lines]


class TestLayer:
    def test_has_safe_defaults(self, tmp_path: Path) -> None:
        assert layer(tmp_path, WEB) == LayerSpec(
            name="web",
            requirements=Requirements(lines=("requests",)),
            strip=Profile.SAFE,
        )

    def test_is_read_whole(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").touch()
        (tmp_path / "tools").mkdir()

        assert layer(
            tmp_path,
            """
            [layers.data]
            requirements = "pyproject.toml"
            extras = ["fast"]
            groups = ["prod"]
            runtimes = ["python3.12", "python3.13"]
            architectures = ["arm64"]
            include = {tools = "bin"}
            exclude = ["pandas/io"]
            keep = ["**/tests"]
            strip = "slim"
            bytecode = true
            exclude-runtime-sdk = true
            max-unzipped = "200 MB"
            collisions = {"python/README.md" = "demo"}
            description = "Data"
            licence = "MIT"

            [layers.data.publish]
            regions = ["eu-west-1"]
            name = "data"
            bucket = "big"
            grants = ["123456789012"]
            """,
        ) == LayerSpec(
            name="data",
            requirements=Requirements(
                file=tmp_path / "pyproject.toml", extras=("fast",), groups=("prod",)
            ),
            runtimes=(PY312, PY313),
            architectures=(Arch.ARM64,),
            include=(Include(source=tmp_path / "tools", destination="bin"),),
            exclude=("pandas/io",),
            keep=("**/tests",),
            strip=Profile.SLIM,
            bytecode=True,
            exclude_runtime_sdk=True,
            max_unzipped=200_000_000,
            collisions={"python/README.md": "demo"},
            description="Data",
            licence="MIT",
            publish=PublishSpec(
                regions=("eu-west-1",),
                name="data",
                bucket="big",
                grants=("123456789012",),
            ),
        )

    def test_has_a_target_for_each_runtime_and_architecture(
        self, tmp_path: Path
    ) -> None:
        spec = layer(
            tmp_path,
            WEB + 'runtimes = ["python3.13", "python3.12"]\n'
            'architectures = ["x86_64", "arm64"]\n',
        )

        assert [str(target) for target in spec.targets] == [
            "python3.13-x86_64",
            "python3.13-arm64",
            "python3.12-x86_64",
            "python3.12-arm64",
        ]


class TestParts:
    def test_no_layer_is_called_as_a_part_of_another(self, tmp_path: Path) -> None:
        text = (
            "[layers.big]\nsplit = true\nrequirements = ['a']\n"
            "[layers.big-2]\nrequirements = ['a']\n"
            "[layers.big-6]\nrequirements = ['a']\n"
        )

        (line,) = mistakes(tmp_path, text)

        assert line == (
            'layers.big-2: found "big-2", expected another name: big has parts'
        )


class TestDefaults:
    def test_hold_where_a_layer_says_nothing(self, tmp_path: Path) -> None:
        one, other = project(
            tmp_path,
            """
            [defaults]
            runtimes = ["python3.12"]
            strip = "none"
            [publish]
            regions = ["eu-west-1"]
            bucket = "shared"
            [layers.one]
            requirements = ["requests"]
            [layers.other]
            requirements = ["rich"]
            strip = "slim"
            [layers.other.publish]
            regions = ["us-east-1"]
            """,
        ).layers

        assert (one.runtimes, other.runtimes) == ((PY312,), (PY312,))
        assert (one.strip, other.strip) == (Profile.NONE, Profile.SLIM)
        assert one.publish == PublishSpec(regions=("eu-west-1",), bucket="shared")
        assert other.publish == PublishSpec(regions=("us-east-1",), bucket="shared")

    def test_hold_for_the_project_too(self, tmp_path: Path) -> None:
        found = project(
            tmp_path,
            '[defaults]\nruntimes = ["python3.13"]\narchitectures = ["arm64"]\n',
        )

        assert (found.runtimes, found.architectures) == ((PY313,), (Arch.ARM64,))

    def test_have_no_requirements(self, tmp_path: Path) -> None:
        (line,) = mistakes(tmp_path, '[defaults]\nrequirements = ["a"]\n' + WEB)

        assert line == (
            "defaults.requirements: unknown; known here: architectures, bytecode, "
            "collisions, container, description, entry-points, exclude, "
            "exclude-runtime-sdk, extras, groups, imports, include, install-scripts, "
            "keep, licence, licence-texts, max-unzipped, one-zip, provided-by, "
            "runtimes, shake, split, strip, system-packages, versioned-folder, waive"
        )


class TestNodeLayer:
    def test_has_a_package_json(self, tmp_path: Path) -> None:
        (tmp_path / "package.json").write_text("{}")

        spec = layer(tmp_path, '[layers.web]\npackage-json = "package.json"\n')

        assert spec == LayerSpec(
            name="web",
            requirements=Requirements(language="node", file=tmp_path / "package.json"),
        )

    def test_or_a_list_of_packages_with_a_lock_in_the_project(
        self, tmp_path: Path
    ) -> None:
        spec = layer(tmp_path, '[layers.web]\npackages = ["pg", "redis@^5"]\n')

        assert spec.requirements == Requirements(
            language="node", lines=("pg", "redis@^5"), folder=tmp_path
        )

    def test_is_read_whole(self, tmp_path: Path) -> None:
        (tmp_path / "handler.mjs").touch()

        spec = layer(
            tmp_path,
            """
            [layers.web]
            packages = ["pg"]
            install-scripts = {pg = "run", "@s/b" = "skip"}
            shake = true
            entry-points = ["handler.mjs"]
            versioned-folder = true
            one-zip = true
            imports = ["pg", "@s/b/lib/index.js"]
            """,
        )

        assert spec == LayerSpec(
            name="web",
            requirements=Requirements(language="node", lines=("pg",), folder=tmp_path),
            install_scripts={"pg": Script.RUN, "@s/b": Script.SKIP},
            shake=True,
            entry_points=(tmp_path / "handler.mjs",),
            versioned_folder=True,
            one_zip=True,
            imports=("pg", "@s/b/lib/index.js"),
        )

    @pytest.mark.parametrize(
        ("lines", "told"),
        [
            (
                'package-json = "none/package.json"',
                (
                    'package-json: found "none/package.json", expected a file that is '
                    "there"
                ),
            ),
            (
                'package-json = "db.json"',
                'package-json: found "db.json", expected a file named package.json',
            ),
            (
                'packages = ["pg"]\nbytecode = true',
                "bytecode: found true, expected none: only layers for Python have it",
            ),
            (
                'packages = ["pg"]\nextras = ["x"]',
                (
                    'extras: found ["x"], expected none: only a pyproject.toml, or a '
                    "lock of its tool, has any"
                ),
            ),
            (
                'packages = ["pg"]\ninstall-scripts = {pg = "yes"}',
                'install-scripts.pg: found "yes", expected "run" or "skip"',
            ),
            (
                'requirements = ["x"]\nversioned-folder = true',
                (
                    "versioned-folder: found true, expected none: only layers for "
                    "Node.js have it"
                ),
            ),
            (
                'requirements = ["x"]\npackages = ["pg"]',
                "packages: found a list, expected none beside requirements",
            ),
        ],
    )
    def test_that_is_mistaken_is_told_so(
        self, tmp_path: Path, lines: str, told: str
    ) -> None:
        (tmp_path / "db.json").write_text("{}")

        assert mistakes(tmp_path, f"[layers.web]\n{lines}\n") == [f"layers.web.{told}"]

    def test_may_share_defaults_with_one_of_python(self, tmp_path: Path) -> None:
        node, python = project(
            tmp_path,
            """
            [defaults]
            bytecode = true
            versioned-folder = true
            shake = true
            install-scripts = {pg = "skip"}
            strip = "slim"
            [layers.node]
            packages = ["pg"]
            [layers.python]
            requirements = ["x"]
            """,
        ).layers

        assert (node.bytecode, python.bytecode) == (False, True)
        assert (node.versioned_folder, python.versioned_folder) == (True, False)
        assert (node.shake, python.shake) == (True, False)
        assert (node.install_scripts, python.install_scripts) == (
            {"pg": Script.SKIP},
            {},
        )
        assert (node.strip, python.strip) == (Profile.SLIM, Profile.SLIM)


class TestMistakes:
    @pytest.mark.parametrize(
        ("lines", "told"),
        [
            (
                'runtimes = ["pyhton3.13"]',
                (
                    'runtimes[0]: found "pyhton3.13", expected a runtime of Lambda\'s. '
                    "Did "
                    "you mean python3.13? `layerforge runtimes` lists them all."
                ),
            ),
            (
                'runtimes = "python3.12"',
                'runtimes: found "python3.12", expected a list',
            ),
            ("runtimes = [3.12]", "runtimes[0]: found 3.12, expected a string"),
            (
                'architectures = ["aarch64"]',
                (
                    'architectures[0]: found "aarch64", expected an architecture of '
                    "Lambda's. Lambda calls it arm64."
                ),
            ),
            ('include = "bin"', 'include: found "bin", expected a table'),
            (
                'include = {"web.txt" = "etc/x"}',
                (
                    'include.web.txt: found "etc/x", expected a path below one of '
                    "python/, "
                    "nodejs/, bin/, lib/"
                ),
            ),
            (
                'include = {"web.txt" = "python/../../x"}',
                (
                    'include.web.txt: found "python/../../x", expected a path below '
                    "one of "
                    "python/, nodejs/, bin/, lib/"
                ),
            ),
            (
                'include = {"web.txt" = "/opt/python"}',
                (
                    'include.web.txt: found "/opt/python", expected a path below one '
                    "of "
                    "python/, nodejs/, bin/, lib/"
                ),
            ),
            ("exclude = [1]", "exclude[0]: found 1, expected a string"),
            ("keep = 1", "keep: found 1, expected a list"),
            (
                'strip = "all"',
                'strip: found "all", expected "none" or "safe" or "slim"',
            ),
            ('bytecode = "yes"', 'bytecode: found "yes", expected true or false'),
            (
                "exclude-runtime-sdk = 1",
                "exclude-runtime-sdk: found 1, expected true or false",
            ),
            (
                'max-unzipped = "much"',
                (
                    'max-unzipped: found "much", expected bytes: a whole number, "200 '
                    'MB" '
                    'or "190 MiB"'
                ),
            ),
            (
                f"max-unzipped = {MAX_UNZIPPED + 1}",
                (
                    f"max-unzipped: found {MAX_UNZIPPED + 1}, expected at most "
                    "Lambda's "
                    f"own limit, {MAX_UNZIPPED} bytes"
                ),
            ),
            (
                'collisions = {"a.txt" = 1, b = "demo", c = []}',
                "collisions.a.txt: found 1, expected a string",
            ),
            (
                f'description = "{"x" * 257}"',
                'description: found "257 characters", expected at most 256 characters',
            ),
            (
                f'licence = "{"x" * 513}"',
                'licence: found "513 characters", expected at most 512 characters',
            ),
            ("publish = true", "publish: found true, expected a table"),
            (
                'publish = {regions = ["EU"]}',
                'publish.regions[0]: found "EU", expected the form [a-z0-9-]+',
            ),
            (
                "publish = {region = 1}",
                "publish.region: unknown; did you mean regions?",
            ),
            (
                'extras = ["fast"]',
                (
                    'extras: found ["fast"], expected none: only a pyproject.toml, or '
                    "a lock "
                    "of its tool, has any"
                ),
            ),
            (
                'groups = ["dev"]',
                (
                    'groups: found ["dev"], expected none: only a pyproject.toml, or a '
                    "lock "
                    "of its tool, has any"
                ),
            ),
            ("requirments = []", "requirments: unknown; did you mean requirements?"),
        ],
    )
    def test_are_told_with_path_found_and_expected(
        self, tmp_path: Path, lines: str, told: str
    ) -> None:
        (tmp_path / "web.txt").touch()

        assert mistakes(tmp_path, WEB + lines)[0] == f"layers.web.{told}"

    @pytest.mark.parametrize(
        ("requirements", "told"),
        [
            (
                '"none.txt"',
                (
                    'requirements: found "none.txt", expected a file that is there, or '
                    "a "
                    "list of requirements"
                ),
            ),
            ("1", "requirements: found 1, expected a list"),
            (
                '["requests", "a b"]',
                (
                    'requirements[1]: found "a b", expected a requirement such as '
                    '"requests>=2.32"'
                ),
            ),
        ],
    )
    def test_in_requirements_are_told(
        self, tmp_path: Path, requirements: str, told: str
    ) -> None:
        text = f"[layers.web]\nrequirements = {requirements}\n"

        assert mistakes(tmp_path, text) == [f"layers.web.{told}"]

    def test_are_told_all_at_once(self, tmp_path: Path) -> None:
        assert mistakes(
            tmp_path,
            """
            colour = "red"
            [defaults]
            runtimes = ["python2.7"]
            [layers.web]
            bytecode = 1
            [layers."a.b"]
            requirements = ["x"]
            [layers.data]
            requirements = ["x", 1, "=="]
            architectures = ["amd64", "arm"]
            """,
        ) == [
            (
                'defaults.runtimes[0]: found "python2.7", expected a runtime of '
                "Lambda's. "
                "Did you mean python3.9? `layerforge runtimes` lists them all."
            ),
            (
                "layers.web.requirements: missing, expected a list of requirements, or "
                'a file such as "requirements.txt"; for Node.js, package-json or '
                "packages"
            ),
            "layers.web.bytecode: found 1, expected true or false",
            'layers.a.b: found "a.b", expected a name of the form [a-zA-Z0-9_-]{1,100}',
            "layers.data.requirements[1]: found 1, expected a string",
            (
                'layers.data.requirements[2]: found "==", expected a requirement such '
                "as "
                '"requests>=2.32"'
            ),
            (
                'layers.data.architectures[0]: found "amd64", expected an architecture '
                "of "
                "Lambda's. Lambda calls it x86_64."
            ),
            (
                'layers.data.architectures[1]: found "arm", expected an architecture '
                "of "
                "Lambda's. Lambda has x86_64 and arm64."
            ),
            (
                "colour: unknown; known here: containers, defaults, docker, "
                "functions, layers, publish"
            ),
        ]

    def test_of_an_include_that_is_not_there_names_where_it_was_looked_for(
        self, tmp_path: Path
    ) -> None:
        assert mistakes(tmp_path, WEB + 'include = {none = "bin"}') == [
            (
                f'layers.web.include.none: found "{tmp_path / "none"}", expected a '
                "file or "
                "folder that is there"
            )
        ]

    def test_in_the_syntax_name_the_file_and_the_place(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            project(tmp_path, "[layers.web]\nrequirements = \n")

        assert caught.value.message == (
            f"{tmp_path / 'layerforge.toml'} is not TOML: "
            "Invalid value (at line 2, column 16)"
        )

    def test_in_the_encoding_name_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "layerforge.toml"
        file.write_bytes(b'x = "\xff"')

        with pytest.raises(ConfigError) as caught:
            read_project(file)

        assert caught.value.message.startswith(f"{file} is not TOML: 'utf-8' codec")

    def test_of_a_file_that_cannot_be_read_give_the_reason(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            read_project(tmp_path)

        assert caught.value.message == f"cannot read {tmp_path}: Is a directory"


class TestFindProject:
    def test_looks_in_the_folders_above(self, tmp_path: Path) -> None:
        (tmp_path / "layerforge.toml").write_text(WEB)
        deep = tmp_path / "a" / "b"
        deep.mkdir(parents=True)

        found = find_project(deep)

        assert found.folder == tmp_path
        assert [one.name for one in found.layers] == ["web"]

    def test_takes_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "layerforge.toml").write_text(WEB)
        near = tmp_path / "near"
        near.mkdir()
        (near / "layerforge.toml").write_text(WEB.replace("web", "near"))

        assert [one.name for one in find_project(near).layers] == ["near"]

    def test_takes_requirements_from_the_files_own_folder(self, tmp_path: Path) -> None:
        (tmp_path / "layerforge.toml").write_text(
            '[layers.web]\nrequirements = "web.in"\n'
        )
        (tmp_path / "web.in").touch()
        below = tmp_path / "below"
        below.mkdir()

        (found,) = find_project(below).layers

        assert found.requirements == Requirements(file=tmp_path / "web.in")

    def test_reads_the_table_of_pyproject_too(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text(
            '[tool.layerforge.layers.web]\nrequirements = ["requests"]\n'
        )

        found = find_project(tmp_path)

        assert found.file == tmp_path / "pyproject.toml"
        assert [one.name for one in found.layers] == ["web"]

    def test_prefers_layerforge_toml_to_pyproject(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("[tool.layerforge]\n")
        (tmp_path / "layerforge.toml").write_text(WEB)

        assert find_project(tmp_path).file == tmp_path / "layerforge.toml"

    def test_passes_a_pyproject_without_the_table(self, tmp_path: Path) -> None:
        (tmp_path / "layerforge.toml").write_text(WEB)
        below = tmp_path / "below"
        below.mkdir()
        (below / "pyproject.toml").write_text('[project]\nname = "layerforge-user"\n')

        assert find_project(below).folder == tmp_path

    def test_tells_mistakes_in_pyproject_with_its_prefix(self, tmp_path: Path) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text("[tool.layerforge.layers.web]\nbytecode = 1\n")

        with pytest.raises(ConfigError) as caught:
            find_project(tmp_path)

        assert caught.value.message == (
            f"{file}:\n"
            "  tool.layerforge.layers.web.requirements: missing, expected a list of "
            'requirements, or a file such as "requirements.txt"; for Node.js, '
            "package-json or packages\n"
            "  tool.layerforge.layers.web.bytecode: found 1, expected true or false"
        )

    def test_refuses_what_is_no_table_in_pyproject(self, tmp_path: Path) -> None:
        file = tmp_path / "pyproject.toml"
        file.write_text("[tool]\nlayerforge = 3\n")

        with pytest.raises(ConfigError) as caught:
            find_project(tmp_path)

        assert caught.value.message == (
            f"{file}:\n  tool.layerforge: found 3, expected a table"
        )

    def test_gives_a_project_without_layers_where_there_is_none(
        self, tmp_path: Path
    ) -> None:
        assert find_project(tmp_path) == Project(folder=tmp_path)


class TestContainers:
    def test_are_set_up_for_the_whole_project(self, tmp_path: Path) -> None:
        settings = project(
            tmp_path,
            WEB
            + """
            [containers]
            image = "mirror.example.org/python:{version}"
            memory = "2 GiB"
            timeout = "30 min"
            network = "host"
            compile-network = true
            [docker.hosts]
            arm64 = "ssh://builder@example.org"
            """,
        ).containers

        assert settings == ContainerSettings(
            image="mirror.example.org/python:{version}",
            memory=2 << 30,
            timeout=1800,
            network="host",
            compile_network=True,
            hosts={Arch.ARM64: "ssh://builder@example.org"},
        )

    def test_name_the_base_image_of_each_target(self) -> None:
        settings = ContainerSettings(image="a:{runtime}-{version}-{arch}-{machine}")
        target = Target(runtime=PY313, arch=Arch.ARM64)

        assert settings.base_of(target, "b") == "a:python3.13-3.13-arm64-aarch64"
        assert ContainerSettings().base_of(target, "b") == "b"

    def test_are_refused_with_every_mistake(self, tmp_path: Path) -> None:
        lines = mistakes(
            tmp_path,
            WEB + '[containers]\ntimeout = "soon"\n[docker.hosts]\narm = "builder"\n'
            'x86_64 = "builder"\n',
        )

        assert lines == [
            (
                'docker.hosts.x86_64: found "builder", expected the form '
                "(ssh|tcp|unix|http|https|npipe)://.+"
            ),
            (
                'containers.timeout: found "soon", expected a time: seconds, "30 min", '
                '"2h" or "30d"'
            ),
            "docker.hosts.arm: unknown; did you mean arm64?",
        ]

    def test_compile_with_a_layers_own_system_packages(self, tmp_path: Path) -> None:
        (layer,) = project(
            tmp_path,
            WEB + 'container = true\nimports = ["a.b"]\n'
            'system-packages = { dnf = ["libpq-devel"], apt = ["libpq-dev"] }\n',
        ).layers

        assert layer.container
        assert layer.imports == ("a.b",)
        assert layer.system_packages == SystemPackages(
            dnf=("libpq-devel",), apt=("libpq-dev",)
        )
