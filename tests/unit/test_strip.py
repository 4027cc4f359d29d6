"""The strip engine, and every row of data/strip.toml by its own examples."""

from dataclasses import replace

import pytest

from layerforge.strip import (
    Profile,
    Removal,
    Stripping,
    StripRule,
    all_rules,
    difference,
    matcher,
    rules_for,
    strip,
)
from layerforge.target import Target, find_arch, find_runtime
from layerforge.tree import FileEntry

RULES = all_rules()


def entry(path: str) -> FileEntry:
    return FileEntry(path=path, origin="demo", link="x")


def below_python(*rules: StripRule, keep: tuple[str, ...] = ()) -> Stripping:
    return Stripping(root="python/", rules=rules, keep=keep)


def dropped(rule: StripRule, path: str) -> bool:
    """Say whether a rule drops a file, whatever it wants beside it."""
    rule = replace(rule, beside=())
    return not strip([entry(f"python/{path}")], below_python(rule)).entries


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_drops_its_examples_and_keeps_its_counterexamples(
    rule: StripRule,
) -> None:
    assert rule.why
    assert rule.examples
    assert rule.counterexamples
    assert [path for path in rule.examples if not dropped(rule, path)] == []
    assert [path for path in rule.counterexamples if dropped(rule, path)] == []


def test_rule_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("pandas/tests", "pandas/tests/frame/test_a.py", True),
        ("pandas/tests/", "pandas/tests/frame/test_a.py", True),
        ("pandas/tests", "pandas/tests", True),
        ("pandas/tests", "pandas/tests_of_mine/a.py", False),
        ("tests", "pandas/tests/a.py", False),
        ("**/tests", "tests/a.py", True),
        ("**/tests", "a/b/tests/c.py", True),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "docs/README.md", True),
        ("a/**", "a/b/c", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("?.py", "a.py", True),
        ("?.py", "ab.py", False),
        ("[ab].py", "b.py", True),
        ("[!ab].py", "b.py", False),
        ("[!ab].py", "c.py", True),
        ("a.c", "abc", False),
        ("a+b", "a+b", True),
        ("Tests", "tests", False),
    ],
)
def test_a_pattern_matches(pattern: str, path: str, *, expected: bool) -> None:
    assert matcher([pattern])(path) is expected


def test_the_first_rule_that_drops_a_file_answers_for_it() -> None:
    rules = [
        StripRule(id="one", why="-", drop=("a/*",), keep=("a/x",)),
        StripRule(id="two", why="-", drop=("**/x", "**/y")),
    ]

    stripped = strip(
        [entry("python/a/x"), entry("python/a/y"), entry("python/z")],
        below_python(*rules),
    )

    assert stripped.removals == (
        Removal(rule="two", path="python/a/x", origin="demo", size=1),
        Removal(rule="one", path="python/a/y", origin="demo", size=1),
    )
    assert stripped.entries == (entry("python/z"),)


def test_what_the_user_keeps_stays_whatever_the_rules_say() -> None:
    rule = StripRule(id="all", why="-", drop=("**",))

    stripped = strip(
        [entry("python/a/b"), entry("python/c")], below_python(rule, keep=("a",))
    )

    assert stripped.entries == (entry("python/a/b"),)


def test_files_outside_the_ecosystems_folder_are_left_alone() -> None:
    rule = StripRule(id="all", why="-", drop=("**",))

    assert strip([entry("bin/tool")], below_python(rule)).removals == ()


def test_slim_includes_safe_and_none_includes_nothing_else() -> None:
    assert Profile.SLIM.includes(Profile.SAFE)
    assert not Profile.SAFE.includes(Profile.SLIM)
    assert not Profile.NONE.includes(Profile.SAFE)


def test_the_digest_of_stripping_follows_its_patterns() -> None:
    rule = StripRule(id="one", why="-", drop=("a",))

    assert below_python(rule).digest == below_python(rule).digest
    assert below_python(rule).digest != below_python(rule, keep=("b",)).digest
    assert below_python(rule).digest != below_python().digest


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a[z-a]", "a[z-a]", True),
        ("a[z-a]", "az", False),
        ("[^a]", "^", True),
        ("[^a]", "b", False),
        ("[!^a]", "^", False),
    ],
)
def test_a_choice_is_never_more_than_one_name_holds(
    pattern: str, path: str, *, expected: bool
) -> None:
    assert matcher([pattern])(path) is expected


README = StripRule(id="readmes", why="-", drop=("**/README*",), beside=("LICENSE*",))


def test_a_file_that_a_rule_wants_beside_must_be_in_the_same_folder() -> None:
    paths = ["a/LICENSE.txt", "a/README", "a/b/README", "c/README"]

    stripped = strip([entry(f"python/{path}") for path in paths], below_python(README))

    assert [removal.path for removal in stripped.removals] == ["python/a/README"]


def test_the_digest_of_stripping_follows_what_must_be_beside() -> None:
    anywhere = replace(README, beside=())

    assert below_python(README).digest != below_python(anywhere).digest


def ids_for(arch: str) -> set[str]:
    target = Target(runtime=find_runtime("nodejs22.x"), arch=find_arch(arch))
    return {rule.id for rule in rules_for(target, Profile.SAFE)}


def test_a_rule_for_one_architecture_holds_for_no_other() -> None:
    assert ids_for("x86_64") - ids_for("arm64") == {"arm64-libraries"}
    assert ids_for("arm64") - ids_for("x86_64") == {"x64-libraries"}


def test_a_language_has_its_own_rules_alone() -> None:
    target = Target(runtime=find_runtime("nodejs22.x"), arch=find_arch("arm64"))

    assert {rule.ecosystem for rule in rules_for(target, Profile.SLIM)} == {"node"}


@pytest.mark.parametrize("folder", ["pg", "@scope/pg", "a/node_modules/pg"])
@pytest.mark.parametrize(
    "name",
    [
        *("LICENSE", "LICENSE.md", "License.md", "licence", "LICENCE.markdown"),
        *("UNLICENSE.md", "COPYING.md", "NOTICE.md", "LICENSE-MIT.md", "COPYRIGHT.md"),
        *("ThirdPartyNotices.md", "THIRD_PARTY.md", "AUTHORS.md", "PATENTS.md"),
        *("README.md", "package.json"),
    ],
)
def test_licences_and_manifests_of_npm_packages_stay(folder: str, name: str) -> None:
    target = Target(runtime=find_runtime("nodejs22.x"), arch=find_arch("arm64"))
    path = f"nodejs/node_modules/{folder}/{name}"

    rules = rules_for(target, Profile.SLIM)
    left = strip([entry(path)], Stripping(root="nodejs/node_modules/", rules=rules))

    assert left.removals == ()


def test_what_another_leaves_out_is_accounted_for_by_its_name() -> None:
    whole = [entry("a/x.py"), entry("a/y.py"), entry("b/z.py")]

    found = difference(whole, whole[1:2], rule="shake")

    assert found.entries == (whole[1],)
    assert found.removals == tuple(
        Removal(rule="shake", path=each.path, origin=each.origin, size=each.size)
        for each in (whole[0], whole[2])
    )


def test_where_nothing_is_left_out_nothing_is_accounted_for() -> None:
    whole = [entry("a/x.py")]

    assert difference(whole, whole, rule="shake").removals == ()
