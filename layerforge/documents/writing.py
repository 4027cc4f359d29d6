"""What lies beside a zip for who audits it: what is in it, under which licences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layerforge.documents.licence_texts import dump_licence_texts, licence_texts_path
from layerforge.documents.sbom import dump_sbom, sbom_path
from layerforge.errors import BuildError
from layerforge.files import replace_file
from layerforge.lock import Lock
from layerforge.manifest import BuildReport
from layerforge.plan import Job
from layerforge.tree import Tree


def write_documents(
    report: BuildReport, job: Job, locks: Sequence[Lock], tree: Tree
) -> BuildReport:
    """Write the bill of materials of a job's zip, and its licences where asked for.

    Gives the report with their names; licences of an earlier build, which nobody asks
    for any more, go. Raises `BuildError` where a file can't be written.
    """
    sbom = sbom_path(job.output)
    texts = licence_texts_path(job.output)
    replace_file(sbom, dump_sbom(report, job.target, locks, tree))
    if not job.spec.licence_texts:
        try:
            texts.unlink(missing_ok=True)
        except OSError as error:
            raise BuildError(f"cannot remove {texts}: {error.strerror}") from error
        return replace(report, sbom=sbom.name)
    title = f"{report.layer} for {report.target}"
    replace_file(texts, dump_licence_texts(title, locks, tree))
    return replace(report, sbom=sbom.name, licence_texts=texts.name)
