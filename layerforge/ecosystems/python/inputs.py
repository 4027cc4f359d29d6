"""What a lock is made from: its digest tells whether it is still up to date."""

from __future__ import annotations

import hashlib

from layerforge.ecosystems.python.requirements import read_requirements
from layerforge.spec import LayerSpec
from layerforge.target import Target


def inputs_digest(spec: LayerSpec, target: Target) -> str:
    """SHA-256 (hex) of the requirements, the target and what the runtime brings.

    Addresses of indexes and credentials are no part of it.
    """
    asked = read_requirements(spec.requirements)
    parts = [asked.digest, str(target), *provided_packages(spec, target)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def provided_packages(spec: LayerSpec, target: Target) -> tuple[str, ...]:
    """Name what the layer leaves to the runtime: all of its SDK, or nothing."""
    return target.runtime.sdk if spec.exclude_runtime_sdk else ()
