"""What lies beside a zip for who audits it: what is in it, under which licences."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from layerforge.documents.licence_texts import dump_licence_texts, licence_texts_path
from layerforge.documents.sbom import dump_sbom, sbom_path
from layerforge.files import fresh_file
from layerforge.lock import Lock
from layerforge.manifest import BuildReport
from layerforge.plan import Job
from layerforge.tree import Tree


def write_documents(
    report: BuildReport,
    job: Job,
    locks: Sequence[Lock],
    tree: Tree,
    places: ExitStack,
) -> BuildReport:
    """Write the bill of materials of a job's zip, and its licences where asked for.

    They take their ``places`` with all else. Gives the report with their names. Raises
    `BuildError` where a file can't be written.
    """
    sbom = sbom_path(job.output)
    text = dump_sbom(report, job.target, locks, tree)
    places.enter_context(fresh_file(sbom, text))
    report = replace(report, sbom=sbom.name)
    if not job.spec.licence_texts:
        return report
    texts = licence_texts_path(job.output)
    title = f"{report.layer} for {report.target}"
    text = dump_licence_texts(title, locks, tree)
    places.enter_context(fresh_file(texts, text))
    return replace(report, licence_texts=texts.name)
