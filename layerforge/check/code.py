"""What a function's own code has unzipped: a zip's files, a folder's, or as told."""

from __future__ import annotations

from pathlib import Path

from layerforge.check import Bound, Size
from layerforge.errors import ConfigError
from layerforge.findings import Finding, Severity
from layerforge.spec import FunctionSpec, Include, include_signature, unreadable


def code_size(function: FunctionSpec) -> tuple[Size | None, tuple[Finding, ...]]:
    """Say what a function's code has unzipped, in a zip of it or as it is told.

    None where that can't be known, which is a finding.
    """
    code = function.code
    if code is None:
        return Size(bytes=0, bound=Bound.AT_LEAST), ()
    if isinstance(code, int):
        return Size(bytes=code), ()
    if not code.exists():
        missing = Finding(
            check="code",
            severity=Severity.WARNING,
            message=f"there is no {code}: only its layers are counted",
            remedy="Package it first, or give its size in bytes as code.",
        )
        return None, (missing,)
    try:
        size = _folder_size(code) if code.is_dir() else _zip_size(code)
    except ConfigError as error:
        wrong = Finding(
            check="code",
            severity=Severity.ERROR,
            message=f"its code can't be counted: {error.message}",
            remedy="Name a zip, a folder that is zipped, or its size in bytes.",
        )
        return None, (wrong,)
    return Size(bytes=size), ()


def _folder_size(folder: Path) -> int:
    include = Include(source=folder, destination="")
    return sum(size for _, _, size, _, _ in include_signature([include]))


def _zip_size(path: Path) -> int:
    """Add a zip's files up, as leniently as Lambda reads it."""
    import zipfile  # noqa: PLC0415 - few functions name their zip

    if not path.is_file():
        raise ConfigError(f"{path} is neither a zip nor a folder")
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ConfigError(f"{path} is no zip, or a damaged one") from error
    except OSError as error:
        raise unreadable(error) from error
