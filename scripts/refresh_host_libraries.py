#!/usr/bin/env python3
r"""Make layerforge/data/host-libraries.toml from listings of the base images.

    docker run --rm --platform linux/amd64 --entrypoint ls \
        public.ecr.aws/lambda/python:3.13 -A /usr/lib64/ > AL2023-x86_64.txt
    # the same for linux/arm64, and with python:3.11 for AL2; then
    scripts/refresh_host_libraries.py AL2*.txt > host-libraries.toml
    mv host-libraries.toml layerforge/data/

A listing is named OS-ARCH.txt, as Lambda spells the architecture, and has a file name
on each line. Lines that name no shared library are passed over.
"""

import re
import sys
import textwrap
from pathlib import Path

HEADER = """\
# The shared libraries that the official Lambda base images have in the folders that
# the loader looks into by default, for each operating system and architecture: what an
# ELF file of a layer may need (DT_NEEDED) without bringing it.
#
# Made by scripts/refresh_host_libraries.py, which says how. A file that has its soname
# as a second, shorter name (libz.so.1.2.11 for libz.so.1) is listed by that alone.
"""

# The loader runs before any library is found, and every image has it, but on arm64 in
# /lib, which isn't among the folders that are listed.
LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}

LIBRARY = re.compile(r"[^.\s/][^\s/]*\.so(\.[^\s/]+)?")


def libraries(listing: str, arch: str) -> list[str]:
    """Give the names in ``listing`` that another file may need, sorted."""
    names = {line for line in listing.splitlines() if LIBRARY.fullmatch(line)}
    return sorted(name for name in names | {LOADERS[arch]} if not aliased(name, names))


def aliased(name: str, names: set[str]) -> bool:
    """Say whether a shorter versioned name leads to the same file.

    ldconfig makes that link and names it by the soname, which is what is needed.
    """
    stem, _, version = name.partition(".so.")
    parts = version.split(".")
    shorter = (".".join(parts[:length]) for length in range(1, len(parts)))
    return any(f"{stem}.so.{part}" in names for part in shorter)


def table(path: Path) -> tuple[str, str]:
    """Give the operating system and the line of TOML that ``path`` stands for."""
    system, _, arch = path.stem.partition("-")
    names = libraries(path.read_text(encoding="utf-8"), arch)
    text = textwrap.fill(
        ", ".join(f'"{name}"' for name in names),
        width=88,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return system, f"{arch} = [\n{text},\n]\n"


def main() -> int:
    """Print the file that the listings make; give the exit status."""
    if not sys.argv[1:] or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    systems: dict[str, list[str]] = {}
    for path in sorted(map(Path, sys.argv[1:])):
        system, array = table(path)
        systems.setdefault(system, []).append(array)
    print(HEADER, end="")
    for system, arrays in systems.items():
        print(f"\n[{system}]\n" + "".join(arrays), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
