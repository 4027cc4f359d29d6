"""layerforge size: what would be built is weighed, and nothing is written."""

from __future__ import annotations

import shutil
from typing import Final

import pytest

from tests.e2e.program import TARGET, Outcome, Program, files_below
from tests.registry import Registry

NODE: Final = ("--runtime", "nodejs22.x", "--arch", "x86_64")


def size(program: Program, *words: str) -> list[str]:
    """Give a command line, at this index."""
    return ["size", *words, "--index-url", program.index.simple_url]


def test_tells_what_requirements_would_weigh(layerforge: Program) -> None:
    ran = layerforge(*size(layerforge, "demo", "helper<1.1", *TARGET))

    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout == (
        "demo, helper<1.1 for python3.12-x86_64\n"
        "  package     unzipped  stripped  kept  required by\n"
        "  demo 1.0         498       413    85  the layer\n"
        "  helper 1.0       395       335    60  the layer, demo\n"
        "  all              893       748   145\n"
        "\n"
        "  target             bytes  of the limit\n"
        "  python3.12-x86_64    145          0.0%  fits\n"
        "  Lambda's limit is 262,144,000 bytes: a layer must be smaller\n"
        "  bytecode would add about 34 bytes (bytecode = true)\n"
    )
    assert files_below(layerforge.folder) == {}


def test_reads_only_parts_of_wheels(layerforge: Program) -> None:
    layerforge(*size(layerforge, "demo", *TARGET))

    assert not (layerforge.cache / "artifacts").exists()


def test_asks_for_nothing_twice(layerforge: Program) -> None:
    layerforge(*size(layerforge, "demo", *TARGET))
    layerforge.index.requests.clear()

    layerforge(*size(layerforge, "demo", *TARGET))

    asked = [request.path for request in layerforge.index.requests]
    assert [path for path in asked if path.endswith(".whl")] == []


def test_of_a_locked_layer_agrees_with_its_build(web: Program) -> None:
    layer = ("-r", "requirements.in", "--name", "web", *TARGET)
    built = web("build", *layer, "--json").document["layers"][0]
    web.index.requests.clear()

    ran = web(*size(web, *layer, "--json"))

    [weighed] = ran.document["layers"]
    assert weighed["unzipped"] == built["unzipped"]
    assert not weighed["predicted"]
    assert web.index.requests == []


def test_of_all_layers_has_a_table_each(layerforge: Program) -> None:
    layerforge.write(
        "layerforge.toml",
        '[defaults]\nruntimes = ["python3.12"]\narchitectures = ["x86_64"]\n'
        '[layers.one]\nrequirements = ["helper"]\n'
        '[layers.two]\nrequirements = ["native"]\n',
    )

    ran = layerforge(*size(layerforge))

    titles = [line for line in ran.stdout.splitlines() if line[:1].strip()]
    assert titles == ["one for python3.12-x86_64", "two for python3.12-x86_64"]


def test_ends_with_the_status_of_a_check_where_one_does_not_fit(
    layerforge: Program,
) -> None:
    layerforge.write(
        "layerforge.toml",
        '[layers.web]\nrequirements = ["helper"]\nmax-unzipped = 10\n'
        'runtimes = ["python3.12"]\narchitectures = ["x86_64"]\n',
    )

    ran = layerforge(*size(layerforge, "web"))

    assert ran.status == 5
    assert "fits" not in ran.stdout
    assert ran.stderr.startswith("error: web for python3.12-x86_64: ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            [],
            (
                "there is no layerforge.toml here or in a folder above\n"
                "try: Name packages (layerforge size pandas), a file (-r FILE, "
                "--package-json FILE), or make one: layerforge init\n"
            ),
        ),
        (
            ["", *TARGET],
            (
                "one of the requirements is empty\n"
                "try: Name packages (layerforge size pandas); in a script, see that "
                "its variable is set.\n"
            ),
        ),
    ],
)
def test_refuses_to_weigh_nothing(
    layerforge: Program, words: list[str], error: str
) -> None:
    ran = layerforge(*size(layerforge, *words))

    assert (ran.status, ran.stderr) == (2, f"error: {error}")


def test_ends_with_the_status_of_a_check_where_nothing_is_for_the_target(
    layerforge: Program,
) -> None:
    ran = layerforge(*size(layerforge, 'demo; sys_platform == "win32"', *TARGET))

    assert ran.status == 5
    assert "0          0.0%  nothing is in it\n" in ran.stdout


def test_refuses_layers_and_requirements_at_once(layerforge: Program) -> None:
    layerforge.write(
        "layerforge.toml",
        '[layers.web]\nrequirements = ["helper"]\n'
        'runtimes = ["python3.12"]\narchitectures = ["x86_64"]\n',
    )

    ran = layerforge(*size(layerforge, "web", "demo"))

    assert ran.status == 2
    assert ran.stderr == (
        "error: web is a layer of layerforge.toml, and demo is not\n"
        "try: Name layers, or requirements, in one command.\n"
    )


def test_refuses_requirements_of_two_languages(layerforge: Program) -> None:
    runtimes = ("--runtime", "python3.12", "--runtime", "nodejs22.x", "--arch", "arm64")

    ran = layerforge(*size(layerforge, "demo", *runtimes))

    assert ran.status == 2
    assert ran.stderr == (
        "error: python3.12, nodejs22.x are of several languages, and demo can be "
        "requirements of one\n"
        "try: Name runtimes of one language: --runtime python3.14\n"
    )


def test_asks_for_a_target(layerforge: Program) -> None:
    ran = layerforge(*size(layerforge, "demo"))

    assert ran.status == 2
    assert ran.stderr == (
        "error: no runtime is named for demo\n"
        "try: Give --runtime and --arch (--runtime python3.14 --arch arm64), or "
        "runtimes and architectures in [defaults] of layerforge.toml.\n"
    )


@pytest.fixture
def kit(layerforge: Program, registry: Registry) -> Program:
    """The program where there is an npm, and its registry is set."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm to resolve with")
    registry.publish("helper", "1.0.0", {"index.js": b"1"})
    registry.publish("helper", "2.0.0", {"index.js": b"2"})
    registry.publish("web", "2.0.0", {"a.js": b""}, dependencies={"helper": "^1.0.0"})
    layerforge.write(".npmrc", f"registry={registry.url}/\n")
    return layerforge


def versions(ran: Outcome) -> dict[str, str]:
    [weighed] = ran.document["layers"]
    return {package["name"]: package["version"] for package in weighed["packages"]}


def test_tells_what_npms_packages_would_weigh(kit: Program) -> None:
    before = files_below(kit.folder)

    ran = kit("size", "web@^2", *NODE, "--json")

    assert ran.status == 0
    assert versions(ran) == {"web": "2.0.0", "helper": "1.0.0"}
    assert files_below(kit.folder) == before


def test_says_once_that_npms_tarballs_are_fetched_whole(kit: Program) -> None:
    ran = kit("size", "helper", *NODE, "--arch", "arm64")

    notes = [line for line in ran.stderr.splitlines() if "fetched help" not in line]
    assert notes == [
        "npm's tarballs can't be read in parts: what isn't in the store is fetched"
    ]


def test_goes_by_the_lock_beside_a_package_json(
    kit: Program, registry: Registry
) -> None:
    kit.write("package.json", '{"name": "web", "dependencies": {"helper": "1"}}')
    layer = ("--package-json", "package.json", *NODE)
    kit("lock", *layer, "--name", "web")
    registry.publish("helper", "1.1.0", {"index.js": b"3"})

    ran = kit("size", *layer, "--json")

    assert versions(ran) == {"helper": "1.0.0"}


def test_of_a_package_json_alone_leaves_it_alone(kit: Program) -> None:
    kit.write("package.json", '{"name": "web", "dependencies": {"helper": "1"}}')
    before = files_below(kit.folder)

    ran = kit("size", "--package-json", "package.json", *NODE, "--json")

    assert versions(ran) == {"helper": "1.0.0"}
    assert files_below(kit.folder) == before
