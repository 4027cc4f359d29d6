from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from layerforge.ecosystems.node.braces import expand
from layerforge.ecosystems.node.globs import read_rules
from layerforge.ecosystems.node.packlist import pack_folder, packed_files
from layerforge.store import Store

# A busy machine is no property of a package.
unhurried = settings(deadline=None, max_examples=60)

WORDS = st.text("abxyz", min_size=1, max_size=3)
NAMES = st.sampled_from(["a", "b", "lib", "src", "a.js", ".env", "[x]", "{y}", "ü"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TREES = st.lists(PATHS, max_size=8).map(
    lambda paths: sorted(
        {each for each in paths if not any(o.startswith(f"{each}/") for o in paths)}
    )
)
GLOBS = st.lists(
    st.sampled_from(["a", "lib", "*", "**", "*.js", "[!a]", "{a,b}", ".*", "!(a)", ""]),
    min_size=1,
    max_size=3,
).map("/".join)
LINES = st.lists(st.builds("".join, st.tuples(st.sampled_from(["", "!"]), GLOBS)))


def fill(root: Path, paths: Sequence[str], ignored: str = "", **fields: object) -> Path:
    folder = Path(tempfile.mkdtemp(dir=root)) / "demo"
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"name": "demo"} | fields))
    (folder / ".npmignore").write_text(ignored)
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path, encoding="utf-8")
    return folder


@unhurried
@given(TREES, LINES)
def test_no_ignore_file_adds_to_a_folder_or_takes_its_package_json(
    paths: list[str], lines: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = fill(Path(root), paths, "\n".join(lines))

        packed = set(packed_files(folder))

    assert {"package.json"} <= packed <= {".npmignore", "package.json", *paths}


@unhurried
@given(TREES, LINES, GLOBS)
def test_a_line_that_is_not_negated_takes_away_alone(
    paths: list[str], lines: list[str], line: str
) -> None:
    with tempfile.TemporaryDirectory() as root:
        before = fill(Path(root), paths, "\n".join(lines))
        after = fill(Path(root), paths, "\n".join([*lines, line.lstrip("!")]))

        assert set(packed_files(after)) <= set(packed_files(before))


@unhurried
@given(TREES, st.lists(GLOBS, max_size=3))
def test_a_pack_is_the_same_wherever_the_folder_lies(
    paths: list[str], files: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root) / "store")
        one = fill(Path(root), paths, files=files)
        other = Path(root) / "elsewhere" / "demo"
        shutil.copytree(one, other)

        assert pack_folder(one, store) == pack_folder(other, store)


@given(st.lists(st.lists(WORDS, min_size=2, max_size=3), max_size=4))
def test_braces_are_the_product_of_their_choices(choices: list[list[str]]) -> None:
    pattern = "".join(f"{{{','.join(each)}}}" for each in choices)

    assert list(expand(pattern)) == ["".join(each) for each in product(*choices)]


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\\\n"), min_size=1))
def test_an_escaped_name_matches_itself(name: str) -> None:
    escaped = "".join(f"\\{char}" for char in name)

    (rule,) = read_rules(f"/x{escaped}x")

    assert rule.matches(f"x{name}x")
    assert not rule.matches(f"x{name}")
