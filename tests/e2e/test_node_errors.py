"""What bad input to a Node.js layer gets: a clear error, and nothing is lost."""

from __future__ import annotations

import json
import socket
import tarfile
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from tests.e2e.program import Outcome, Program, files_below
from tests.registry import Registry, integrity_of, lock_of, make_tarball
from tests.servers import Fault

NODE: Final = ("--runtime", "nodejs22.x", "--arch", "x86_64")
APP: Final = ("build", "--package-json", "package.json", "--name", "app", *NODE)
ZIP: Final = "dist/app-nodejs22.x-x86_64.zip"
MANIFEST: Final[Mapping[str, Any]] = {
    "name": "app",
    "version": "1.0.0",
    "dependencies": {"web": "^2.0.0"},
}
HELPER: Final = "/helper/-/helper-1.0.0.tgz"

_NPM: Final = "npm install --package-lock-only --ignore-scripts"
AGAIN: Final = f"try: Make it again: {_NPM}\n"
UPGRADE: Final = f"try: Upgrade it: {_NPM} --lockfile-version 3\n"
ANEW: Final = (
    "try: Bring it up to date: layerforge lock --package-json package.json "
    "--name app --runtime nodejs22.x --arch x86_64\n"
)
PUT_IN: Final = (
    "try: Have npm put it in: remove the package's entry from the lock and run "
    f"{_NPM}\n"
)
SUSPICIOUS: Final = (
    "try: Fetch it anew; where it stays so, choose another version and tell its "
    "maintainers.\n"
)


@pytest.fixture
def built(node: Program, registry: Registry) -> Program:
    """A project with a good zip, lock and ledger, and with nothing in the store."""
    registry.publish("web", "2.0.0", dependencies={"helper": "^1.0.0"})
    registry.publish("helper", "1.0.0")
    node.write("package.json", json.dumps(MANIFEST))
    relock(node, registry)
    assert node(*APP).status == 0
    node("cache", "prune", "--max-size", "0")
    registry.requests.clear()
    return node


def rows(registry: Registry, **changes: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - JSON's values
    """Give the lock's rows of web and helper; the changes are of helper's."""
    return {
        "node_modules/web": registry.row("web", "2.0.0"),
        "node_modules/helper": registry.row("helper", "1.0.0", **changes),
    }


def relock(program: Program, registry: Registry, **changes: Any) -> None:  # noqa: ANN401 - JSON's values
    program.write("package-lock.json", lock_of(MANIFEST, rows(registry, **changes)))


def refused(program: Program) -> tuple[int, str]:
    """Build again, and see that no file has changed by that; give what was said."""
    before = files_below(program.folder)
    ran = program(*APP)
    assert ran.stdout == ""
    assert files_below(program.folder) == before
    return status_and_error(ran)


def status_and_error(ran: Outcome) -> tuple[int, str]:
    return ran.status, ran.stderr.partition("error: ")[2]


# -- locks -------------------------------------------------------------------------


def test_a_lock_that_disagrees_with_package_json(built: Program) -> None:
    dependencies = {"new": "1", "web": "^3.0.0"}
    changed = {**MANIFEST, "dependencies": dependencies, "devDependencies": {"t": "1"}}
    built.write("package.json", json.dumps(changed))

    assert refused(built) == (
        3,
        "the lock does not agree with package.json:\n"
        "  dependencies: new 1 is not in the lock\n"
        "  devDependencies: t 1 is not in the lock\n"
        "  dependencies: web is ^3.0.0, in the lock ^2.0.0\n" + ANEW,
    )


def test_a_lock_that_lacks_what_its_packages_need(
    built: Program, registry: Registry
) -> None:
    packages = rows(registry)
    del packages["node_modules/helper"]
    built.write("package-lock.json", lock_of(MANIFEST, packages))

    assert refused(built) == (
        3,
        "the lock has no entry for what its packages need:\n"
        "  helper ^1.0.0, for node_modules/web\n" + ANEW,
    )


DAMAGED: Final = {
    "lockfileVersion 1": (
        '{"lockfileVersion": 1, "dependencies": {}}',
        "has lockfileVersion 1, which doesn't say all that is needed\n" + UPGRADE,
    ),
    "an unknown lockfileVersion": (
        '{"lockfileVersion": 4, "packages": {}}',
        "has lockfileVersion 4, and only 2 and 3 are known\n" + UPGRADE,
    ),
    "half of a lock": (
        '{"lockfileVersion": 3, "pack',
        "is damaged: not JSON of a lock: Unterminated string starting at: line 1 "
        "column 24 (char 23)\n" + AGAIN,
    ),
    "another JSON": (
        "[]",
        "is damaged: not JSON of a lock: [] is no object\n" + AGAIN,
    ),
    "no version": ("{}", "is damaged: lockfileVersion is missing\n" + AGAIN),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_lock_that_is_none(built: Program, what: str) -> None:
    text, told = DAMAGED[what]
    built.write("package-lock.json", text)

    assert refused(built) == (3, f"package-lock.json {told}")


@pytest.mark.parametrize(
    "place",
    ["node_modules/../x", "node_modules/a/../../x", "/node_modules/x", "a/../x"],
)
def test_a_lock_with_a_way_out(built: Program, registry: Registry, place: str) -> None:
    packages = rows(registry) | {place: registry.row("helper", "1.0.0")}
    built.write("package-lock.json", lock_of(MANIFEST, packages))

    assert refused(built) == (
        3,
        f"package-lock.json is damaged: {place!r} is no path of a package\n{AGAIN}",
    )


@pytest.mark.parametrize(
    ("integrity", "told"),
    [(None, "is missing"), ("md5-abc", "is 'md5-abc'"), ("sha512-x", "is 'sha512-x'")],
)
def test_a_package_of_no_integrity(
    built: Program, registry: Registry, integrity: str | None, told: str
) -> None:
    relock(built, registry, integrity=integrity)

    assert refused(built) == (
        3,
        (
            "the lock can't say what helper 1.0.0 (node_modules/helper) is: its "
            f"integrity {told}\n{PUT_IN}"
        ),
    )


def test_a_package_of_an_old_integrity_is_taken_with_a_warning(
    built: Program, registry: Registry
) -> None:
    tarball = registry.releases["helper", "1.0.0"].tarball
    relock(built, registry, integrity=integrity_of(tarball, "sha1"))

    ran = built(*APP)

    assert ran.status == 0
    assert ran.stderr.startswith(
        "warning: the lock knows helper by SHA-1 alone, for which files can be "
        "forged: npm install puts stronger ones in\n"
    )


def test_a_package_from_an_address_of_no_kind(
    built: Program, registry: Registry
) -> None:
    relock(built, registry, resolved="ftp://example.com/helper.tgz")

    assert refused(built) == (
        3,
        (
            "package-lock.json is damaged: node_modules/helper: resolved is "
            f"'ftp://example.com/helper.tgz'\n{AGAIN}"
        ),
    )


def test_a_package_for_another_platform(built: Program, registry: Registry) -> None:
    relock(built, registry, os=["win32"])

    assert refused(built) == (
        3,
        (
            "helper 1.0.0 (node_modules/helper) does not suit nodejs22.x-x86_64: it is "
            "for os win32\n"
            "try: Make it an optional dependency, or take another package.\n"
        ),
    )


def test_a_package_whose_install_script_must_run_without_an_engine(
    built: Program, registry: Registry
) -> None:
    relock(built, registry, hasInstallScript=True)

    status, told = refused(built)

    message, _, remedy = told.partition("\ntry: ")
    assert status == 4
    assert message == (
        "the install scripts of helper 1.0.0 must be run for nodejs22.x-x86_64, and "
        "no container engine answers at unix:///nonexistent/docker.sock "
        "(DOCKER_HOST): no such file or directory"
    )
    assert remedy.endswith(
        "Or take versions that bring binaries for the target, or, if the layer can do "
        'without, skip them: install-scripts = {"helper" = "skip"}.\n'
    )


def test_no_lock_and_nothing_to_make_one_with(built: Program) -> None:
    (built.folder / "package-lock.json").unlink()

    assert refused(built) == (
        3,
        (
            "there is no npm (9 or newer) to make a lock with, and no container engine "
            "answers at unix:///nonexistent/docker.sock (DOCKER_HOST): no such file or "
            "directory\n"
            "try: Install npm; or have it by pip install 'layerforge[node]'; or start "
            "Docker; or bring a package-lock.json, which needs none of these.\n"
        ),
    )


# -- package.json and layerforge.toml ----------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "{",
            (
                "Expecting property name enclosed in double quotes: line 1 column 2 "
                "(char 1)"
            ),
        ),
        ("[]", "[] is no object"),
        ('{"dependencies": ["web"]}', "['web'] is no object"),
    ],
)
def test_a_package_json_that_is_none(built: Program, text: str, told: str) -> None:
    built.write("package.json", text)

    assert refused(built) == (
        2,
        f"package.json is malformed: {told}\ntry: Mend it, and try again.\n",
    )


def test_a_package_json_that_is_not_there(built: Program) -> None:
    (built.folder / "package.json").unlink()

    assert refused(built) == (2, "there is no file package.json\n")


@pytest.mark.parametrize("locked", [True, False])
def test_bytecode_of_a_node_layer(built: Program, *, locked: bool) -> None:
    if not locked:
        (built.folder / "package-lock.json").unlink()

    ran = built(*APP, "--bytecode")

    assert status_and_error(ran) == (
        2,
        "bytecode is asked for, and nodejs22.x has none\ntry: Leave out --bytecode.\n",
    )


def test_export_of_a_node_layer(built: Program) -> None:
    ran = built("export", *APP[1:])

    assert status_and_error(ran) == (
        2,
        (
            "a requirements file is for Python, and app is for Node.js\n"
            "try: Use its lock as it is: npm ci installs from package-lock.json.\n"
        ),
    )


def test_a_layer_of_two_languages(built: Program) -> None:
    built.write(
        "layerforge.toml",
        '[layers.kit]\npackages = ["helper"]\npackage-json = "gone.json"\n'
        'bytecode = true\nruntimes = ["nodejs22.x"]\narchitectures = ["x86_64"]\n',
    )

    ran = built("build")

    assert status_and_error(ran) == (
        2,
        (
            "layerforge.toml:\n"
            "  layers.kit.packages: found a list, expected none beside package-json\n"
            '  layers.kit.package-json: found "gone.json", expected a file that is '
            "there\n"
            "  layers.kit.bytecode: found true, expected none: only layers for Python "
            "have it\n"
        ),
    )


def test_a_line_that_names_no_package(built: Program) -> None:
    built.write(
        "layerforge.toml",
        '[layers.kit]\npackages = ["./a.tgz"]\nruntimes = ["nodejs22.x"]\n'
        'architectures = ["x86_64"]\n',
    )

    ran = built("build")

    assert status_and_error(ran) == (
        2,
        (
            "'./a.tgz' doesn't say the name of a package\n"
            "try: Write NAME, NAME@RANGE or ALIAS@npm:NAME@RANGE; and where it comes "
            "from elsewhere, NAME@ADDRESS.\n"
        ),
    )


def test_a_runtime_of_another_language(built: Program) -> None:
    ran = built(*APP[:5], "--runtime", "python3.12", "--arch", "x86_64")

    assert status_and_error(ran) == (
        2,
        (
            "app is a layer for Node.js, and python3.12 is not\n"
            "try: Name a runtime of Node.js: layerforge runtimes\n"
        ),
    )


def test_a_layer_that_is_too_large(built: Program) -> None:
    built.write(
        "layerforge.toml",
        '[layers.app]\npackage-json = "package.json"\nruntimes = ["nodejs22.x"]\n'
        'architectures = ["x86_64"]\nmax-unzipped = 100\n',
    )
    before = files_below(built.folder)

    ran = built("build", "--force")

    assert status_and_error(ran) == (
        5,
        (
            "app for nodejs22.x-x86_64: it has 151 bytes unzipped, 51 more than "
            "max-unzipped allows: 100\n"
            "The largest packages, in bytes unzipped:\n"
            "           93  web (required by the layer itself)\n"
            "           58  helper (required by web)\n"
            "try: Leave something out, or split the layer: a function takes five, but "
            "their sum has the same limit.\n"
        ),
    )
    assert files_below(built.folder) == before


# -- registries --------------------------------------------------------------------


FAULTS: Final[Mapping[str, tuple[tuple[Fault, ...], str]]] = {
    "not there": (
        (Fault(status=404),),
        "404 Not Found\ntry: Is the address right, and the file still there?\n",
    ),
    "for others": (
        (Fault(status=401),),
        (
            "401 Unauthorized\ntry: Have a token for HOST that may read this in "
            ".npmrc: //HOST/:_authToken=${NPM_TOKEN}\n"
        ),
    ),
    "out of order": (
        (Fault(status=500),) * 5,
        (
            "500 Internal Server Error (after 5 tries)\n"
            "try: Ask again later, or who runs HOST.\n"
        ),
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_tarball_that_a_registry_does_not_give(
    built: Program, registry: Registry, what: str
) -> None:
    faults, told = FAULTS[what]
    registry.script(HELPER, *faults)

    status, error = refused(built)

    host = registry.host
    assert status == 4
    assert error == (
        f"{registry.url}{HELPER}: {host} answered {told.replace('HOST', host)}"
    )


def test_a_registry_that_does_not_answer(built: Program, registry: Registry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    relock(built, registry, resolved=f"http://{host}{HELPER}")

    assert refused(built) == (
        4,
        (
            f"http://{host}{HELPER}: {host} refused the connection (after 5 tries)\n"
            "try: Check the address and the network; is HTTPS_PROXY set as it should "
            "be?\n"
        ),
    )


def test_a_connection_that_breaks_is_picked_up(
    built: Program, registry: Registry
) -> None:
    whole = (built.folder / ZIP).read_bytes()
    registry.script(HELPER, Fault(cut=100, reset=True))

    ran = built(*APP, "--force")

    assert ran.status == 0, ran.stderr
    assert (built.folder / ZIP).read_bytes() == whole


# -- tarballs ----------------------------------------------------------------------


def with_entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return make_tarball({"index.js": b"1\n"}, others=[member])


BAD: Final[Mapping[str, tuple[Callable[[], bytes], str]]] = {
    "an absolute path": (
        lambda: with_entry("/etc/passwd"),
        "'/etc/passwd': the name is absolute",
    ),
    "a path out": (
        lambda: with_entry("package/../../x"),
        "'package/../../x': the name leaves the package",
    ),
    "a link out": (
        lambda: with_entry("package/l", tarfile.SYMTYPE, "../../x"),
        "'package/l': it is a link out of the package, to '../../x'",
    ),
    "a device": (
        lambda: with_entry("package/d", tarfile.CHRTYPE),
        "'package/d': it is a device",
    ),
    "names that differ in case": (
        lambda: make_tarball({"index.js": b"1", "Index.js": b"2"}),
        (
            "'package/Index.js': it is another file than 'package/index.js', and their "
            "names differ in case alone"
        ),
    ),
    "a name twice": (
        lambda: make_tarball({"index.js": b"1", "./index.js": b"2"}),
        "'package/./index.js': it is there twice, with different contents",
    ),
    "no gzip file": (lambda: b"PK not gzip", "it is no gzip file, or damaged"),
    "half of a tarball": (
        lambda: make_tarball({"index.js": b"1\n"})[:-40],
        "the archive is cut short",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_tarball_with(built: Program, registry: Registry, what: str) -> None:
    make, told = BAD[what]
    registry.swap("helper", "1.0.0", make())
    relock(built, registry)

    assert refused(built) == (4, f"helper 1.0.0: {told}\n{SUSPICIOUS}")


def test_a_tarball_that_was_replaced(built: Program, registry: Registry) -> None:
    registry.swap("helper", "1.0.0", make_tarball({"index.js": b"evil\n"}))
    before = files_below(built.folder)

    ran = built(*APP, "--force")

    status, told = status_and_error(ran)
    assert status == 4
    assert told.startswith(
        f"helper-1.0.0.tgz: the bytes from {registry.url}{HELPER} have SHA-512 "
    )
    assert told.endswith(
        "try: Either the file was replaced on the index, or something on the way "
        "changes it. Find out which before you lock it anew: layerforge lock.\n"
    )
    assert files_below(built.folder) == before
