from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from layerforge.ecosystems.node.braces import expand
from layerforge.ecosystems.node.globs import read_rules
from layerforge.ecosystems.node.packlist import pack_folder, packed_files
from layerforge.errors import ConfigError
from layerforge.store import Store
from tests.elf_files import DATA, TEXT, make_elf

ALL = {
    "LICENSE",
    "README.md",
    "a.js",
    "lib/b.js",
    "lib/b.ts",
    "lib/deep/c.js",
    "package.json",
}
ALWAYS = {"LICENSE", "README.md", "package.json"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    for name in ALL - {"package.json"}:
        put(folder, name)
    say(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(folder: Path, name: str, text: str = "text\n", mode: int = 0o644) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def say(folder: Path, **fields: object) -> None:
    document: Mapping[str, object] = {"name": "demo", "version": "1.0.0"} | fields
    put(folder, "package.json", json.dumps(document))


def packed(folder: Path) -> set[str]:
    return set(packed_files(folder))


def refusal(folder: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        packed_files(folder)
    return caught.value


def matched(line: str, *paths: str) -> list[str]:
    (rule,) = read_rules(line)
    return [path for path in paths if rule.matches(path)]


def test_everything_is_packed_where_nothing_is_said(folder: Path) -> None:
    assert packed(folder) == ALL


def test_paths_are_sorted(folder: Path) -> None:
    assert packed_files(folder) == tuple(sorted(ALL))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["lib"], {"lib/b.js", "lib/b.ts", "lib/deep/c.js"}),
        (["./lib/"], {"lib/b.js", "lib/b.ts", "lib/deep/c.js"}),
        (["/lib/*"], {"lib/b.js", "lib/b.ts", "lib/deep/c.js"}),
        (["lib/*.js"], {"lib/b.js"}),
        (["**/*.js"], {"a.js", "lib/b.js", "lib/deep/c.js"}),
        (["c.js"], set()),
        (["{a,lib/b}.{js,ts}"], {"a.js", "lib/b.js", "lib/b.ts"}),
        (["lib", "!lib/deep"], {"lib/b.js", "lib/b.ts"}),
        (["!lib/deep", "lib"], {"lib/b.js", "lib/b.ts", "lib/deep/c.js"}),
        (["lib/!(b).*", "lib/**/!(b).js"], {"lib/deep/c.js"}),
        (["LIB/B.JS"], {"lib/b.js"}),
        (["x/../lib/b.js", "y/../lib/deep"], {"lib/b.js", "lib/deep/c.js"}),
        ([], set()),
    ],
)
def test_files_says_what_is_packed_beside_what_always_is(
    folder: Path, files: list[str], expected: set[str]
) -> None:
    say(folder, files=files)

    assert packed(folder) == ALWAYS | expected


def test_what_main_browser_and_bin_name_is_packed_in_any_case(folder: Path) -> None:
    say(folder, files=[], main="a.js", browser="lib/b.js", bin={"c": "./lib/deep/c.js"})

    assert packed(folder) == ALWAYS | {"a.js", "lib/b.js", "lib/deep/c.js"}


def test_an_npmignore_stands_for_the_gitignore_beside_it(folder: Path) -> None:
    put(folder, ".gitignore", "a.js\n")
    put(folder, ".npmignore", "*.ts\n")

    assert packed(folder) == ALL - {"lib/b.ts"}


def test_a_gitignore_counts_where_it_is_alone(folder: Path) -> None:
    put(folder, ".gitignore", "# no sources\n\n  *.ts  \r\n/lib/deep/\n")

    assert packed(folder) == ALL - {"lib/b.ts", "lib/deep/c.js"}


def test_an_ignore_file_in_a_folder_speaks_of_that_folder(folder: Path) -> None:
    put(folder, "lib/.npmignore", "/deep\na.js\n")

    assert packed(folder) == ALL - {"lib/deep/c.js"}


def test_a_later_line_takes_back_an_earlier_one(folder: Path) -> None:
    put(folder, ".npmignore", "lib/*\n!lib/b.js\n")

    assert packed(folder) == ALL - {"lib/b.ts", "lib/deep/c.js"}


def test_files_stands_for_the_ignore_file_of_its_own_folder_alone(
    folder: Path,
) -> None:
    say(folder, files=["lib"])
    put(folder, ".npmignore", "lib\n")
    put(folder, "lib/.npmignore", "*.ts\n")

    assert packed(folder) == ALWAYS | {"lib/b.js", "lib/deep/c.js"}


def test_a_file_that_is_listed_by_name_outdoes_any_ignore_file(folder: Path) -> None:
    say(folder, files=["lib/b.ts"])
    put(folder, "lib/.npmignore", "*\n")

    assert packed(folder) == ALWAYS | {"lib/b.ts"}


def test_what_npm_never_packs_stays_out_though_it_is_listed(folder: Path) -> None:
    never = (".git/HEAD", ".npmrc", "package-lock.json", "lib/.DS_Store", "lib/._x")
    for name in (*never, "node_modules/other/index.js"):
        put(folder, name)
    say(folder, files=["**/*", ".*", "node_modules"])

    assert packed(folder) == ALL


def test_symbolic_links_stay_out(folder: Path) -> None:
    (folder / "link.js").symlink_to("a.js")
    (folder / "linked").symlink_to("lib")
    say(folder, files=["link.js", "linked", "a.js"])

    assert packed(folder) == ALWAYS | {"a.js"}


def test_bundled_packages_come_with_what_they_need(folder: Path) -> None:
    say(folder, dependencies={"one": "*", "two": "*"}, bundleDependencies=["one"])
    put(
        folder,
        "node_modules/one/package.json",
        '{"dependencies": {"three": "*"}, "peerDependencies": {"two": "*"}}',
    )
    put(folder, "node_modules/one/.npmignore", "x.js")
    put(folder, "node_modules/one/x.js")
    for name in ("two", "three", "one/node_modules/four"):
        put(folder, f"node_modules/{name}/package.json", "{}")

    assert packed(folder) == ALL | {
        "node_modules/one/.npmignore",
        "node_modules/one/package.json",
        "node_modules/one/x.js",
        "node_modules/three/package.json",
    }


def test_bundling_is_of_dependencies_alone(folder: Path) -> None:
    say(folder, devDependencies={"one": "*"}, bundledDependencies=["one", "two"])
    for name in ("one", "two"):
        put(folder, f"node_modules/{name}/package.json", "{}")

    assert packed(folder) == ALL


def test_packages_that_need_each_other_are_bundled_once(folder: Path) -> None:
    say(folder, dependencies={"one": "*"}, bundleDependencies=True)
    put(folder, "node_modules/one/package.json", '{"dependencies": {"two": "*"}}')
    put(folder, "node_modules/two/package.json", '{"dependencies": {"one": "*"}}')

    assert packed(folder) == ALL | {
        "node_modules/one/package.json",
        "node_modules/two/package.json",
    }


def test_a_bundled_name_leads_nowhere_else(folder: Path) -> None:
    put(folder.parent, "outside/package.json", "{}")
    put(folder.parent, "node_modules/above/package.json", "{}")
    (folder / "node_modules").mkdir()
    say(
        folder,
        dependencies={"../../outside": "*", "above": "*"},
        bundleDependencies=True,
    )

    assert packed(folder) == ALL


def test_a_workspace_minds_the_ignore_files_between_it_and_its_project(
    folder: Path,
) -> None:
    put(folder.parent, ".npmignore", "*.ts\n")

    assert packed(folder) == ALL
    assert set(packed_files(folder, project=folder.parent)) == ALL - {"lib/b.ts"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"a": }',
            "{} is not JSON: Expecting value: line 1 column 7 (char 6)",
        ),
        ("[]", "{} is no JSON object"),
        ('{"name": 1}', '"name" in {} is not a string'),
        ('{"files": "lib"}', '"files" in {} is not a list of strings'),
        ('{"files": [1]}', '"files" in {} is not a list of strings'),
    ],
)
def test_a_package_json_that_is_none_is_refused(
    folder: Path, text: str, message: str
) -> None:
    path = put(folder, "package.json", text)

    assert refusal(folder).message == message.replace("{}", str(path), 1)


def test_a_folder_without_package_json_is_refused(folder: Path) -> None:
    (folder / "package.json").unlink()

    error = refusal(folder)

    path = folder / "package.json"
    assert error.message == f"cannot read {path}: No such file or directory"


def test_an_ignore_file_that_cannot_be_read_is_refused(folder: Path) -> None:
    (folder / "lib/.npmignore").mkdir()

    error = refusal(folder)

    assert error.message == f"cannot read {folder}/lib/.npmignore: Is a directory"


def test_a_name_with_a_backslash_is_refused(folder: Path) -> None:
    put(folder, "lib\\d.js")

    error = refusal(folder)

    assert error.message == f"{folder}/lib\\d.js has a backslash in its name"
    assert error.remedy == "Rename it: to some programs that unzip it is a slash."


def test_a_name_that_is_not_utf_8_is_refused(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.js")).touch()

    error = refusal(folder)

    assert error.message == f"'{folder}/\\udcff.js' has a name that is not UTF-8"
    assert error.remedy == "Rename it: zips hold names in UTF-8."


def test_a_name_that_is_ignored_may_be_any(folder: Path) -> None:
    put(folder, "lib\\d.js")
    put(folder, ".npmignore", "*d.js\n")

    assert packed(folder) == ALL


def test_a_pack_has_name_version_and_the_contents(folder: Path, store: Store) -> None:
    put(folder, "a.js", "exports.a = 1\n")

    pack = pack_folder(folder, store)

    assert (pack.name, pack.version) == ("demo", "1.0.0")
    (entry,) = (entry for entry in pack.entries if entry.path == "a.js")
    assert (entry.origin, entry.executable) == ("", False)
    assert entry.content is not None
    assert entry.content.inflated() == b"exports.a = 1\n"


def test_a_package_without_a_name_has_that_of_its_folder(
    folder: Path, store: Store
) -> None:
    put(folder, "package.json", '{"private": true}')

    pack = pack_folder(folder, store)

    assert (pack.name, pack.version) == ("demo", "")


def test_any_x_bit_and_bin_make_a_file_executable(folder: Path, store: Store) -> None:
    (folder / "a.js").chmod(0o654)
    say(folder, bin="lib/b.js")

    pack = pack_folder(folder, store)

    executable = {entry.path for entry in pack.entries if entry.executable}
    assert executable == {"a.js", "lib/b.js"}


def test_libraries_have_their_facts(folder: Path, store: Store) -> None:
    (folder / "a.node").write_bytes(make_elf(TEXT, DATA))
    (folder / "b.node").write_bytes(b"\x7fELF and nothing more")

    entries = {entry.path: entry for entry in pack_folder(folder, store).entries}

    assert entries["a.node"].elf is not None
    assert entries["b.node"].elf is None


def test_a_gitignore_that_is_packed_becomes_an_npmignore(
    folder: Path, store: Store
) -> None:
    put(folder, ".gitignore")
    put(folder, "lib/.gitignore")
    put(folder, "lib/.npmignore")
    say(folder, files=[".gitignore", "lib/.gitignore", "lib/.npmignore"])

    pack = pack_folder(folder, store)

    paths = {entry.path for entry in pack.entries}
    assert paths == ALWAYS | {".npmignore", "lib/.npmignore"}


def test_the_digest_changes_with_a_content_a_mode_and_a_name(
    folder: Path, store: Store
) -> None:
    digests = [pack_folder(folder, store).digest for _ in range(2)]
    put(folder, "a.js", "other\n")
    digests.append(pack_folder(folder, store).digest)
    (folder / "a.js").chmod(0o755)
    digests.append(pack_folder(folder, store).digest)
    (folder / "a.js").rename(folder / "b.js")
    digests.append(pack_folder(folder, store).digest)

    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a{b,c}d", ["abd", "acd"]),
        ("{a,b{c,d}}e", ["ae", "bce", "bde"]),
        ("{a,b}{c,d}", ["ac", "ad", "bc", "bd"]),
        ("a{1..3}", ["a1", "a2", "a3"]),
        ("{08..10}", ["08", "09", "10"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{a..e..2}", ["a", "c", "e"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{a}", ["{a}"]),
        ("{}a{b,c}", ["{}ab", "{}ac"]),
        ("{{a,b}}", ["{a}", "{b}"]),
        ("{a},b}", ["a}", "b"]),
        ("{a,b", ["{a,b"]),
        ("{a{b,c}", ["{ab", "{ac"]),
        ("${a,b}", ["${a,b}"]),
        (r"\{a,b}{c,d}", ["{a,b}c", "{a,b}d"]),
        ("{a,}b", ["ab", "b"]),
    ],
)
def test_braces_expand_as_in_bash(pattern: str, expected: list[str]) -> None:
    assert list(expand(pattern)) == expected


def test_braces_beyond_measure_are_cut_short() -> None:
    assert len(expand("{a,b}" * 20)) == 100_000
    assert expand("{a,b}" * 5000) == ("{a,b}" * 5000,)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.js", ["a.js", "lib/a.js"]),
        ("/a.js", ["a.js"]),
        ("lib/a.js", ["lib/a.js"]),
        ("*.js", ["a.js", "lib/a.js", "lib/b/.c.js"]),
        ("lib/*", ["lib/a.js", "lib/[x]"]),
        ("lib/**", ["lib/a.js", "lib/b/.c.js", "lib/[x]"]),
        ("**/b/**", ["lib/b/.c.js"]),
        ("lib/**/.c.js", ["lib/b/.c.js"]),
        ("?.js", ["a.js", "lib/a.js"]),
        ("[a-c].js", ["a.js", "lib/a.js"]),
        ("[!a-c].js", []),
        ("[[:alpha:]].JS", ["a.js", "lib/a.js"]),
        ("[[]x]", ["lib/[x]"]),
        (r"\[x\]", ["lib/[x]"]),
        ("[x", []),
        ("[b-a].js", []),
        ("+(a|b).?(j|t)s", ["a.js", "lib/a.js"]),
        ("!(b).js", []),
        ("x/../a.js", ["a.js", "lib/a.js"]),
    ],
)
def test_a_line_matches_as_npm_has_it(line: str, expected: list[str]) -> None:
    paths = ("a.js", "lib/a.js", "lib/b/.c.js", "lib/[x]")

    assert matched(line, *paths) == expected


def test_lines_that_say_the_same_are_one_rule() -> None:
    rules = read_rules("a\nb\n!c\n!!d\n# e\n")

    assert [rule.keeps for rule in rules] == [False, True, False]
