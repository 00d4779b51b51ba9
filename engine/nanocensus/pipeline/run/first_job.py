"""A first job for a folder of micrographs: a table of what was found, and a job file to edit."""

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from nanocensus.errors import JobError
from nanocensus.pipeline.workers.dispatch import OnProgress, Progress, silent
from nanocensus.store.commit import commit_bytes
from nanocensus.store.survey import Survey, survey

TABLE, JOB = "micrographs.csv", "job.toml"


@dataclass(frozen=True)
class FirstJob:
    """What was written, and what it rests on."""

    job: Path
    table: Path
    survey: Survey


def begin(folder: Path, *, replace: bool = False, on_progress: OnProgress = silent) -> FirstJob:
    """Survey a folder of micrographs, and write a micrographs.csv and a commented job file into it.

    Parameters
    ----------
    folder : Path
    replace : bool
        Whether what is there of these names may be replaced.
    on_progress : callable
        Told how many headers were read.

    Returns
    -------
    FirstJob

    Raises
    ------
    JobError
        If the folder holds no micrographs, or one of the files is there and may not be replaced.
    """
    job, table = folder / JOB, folder / TABLE
    for path in (job, table):
        if path.exists() and not replace:
            raise JobError(
                str(path),
                expected="no file of this name yet",
                got="one that may have been edited",
                remedy="Move it away, or say --replace.",
            )
    found = survey(folder, on_header=lambda done, total: on_progress(Progress("headers", done, total)))
    commit_bytes(table, table_text(found).encode())
    commit_bytes(job, job_text(folder.resolve().name, found).encode())
    return FirstJob(job, table, found)


def table_text(found: Survey) -> str:
    """Give the micrographs.csv of a survey: a row a file, in the order of acquisition; columns without a cell left out."""
    conditions = dict.fromkeys(word for each in found.conditions.values() for word in each)
    rows = [
        {
            "file": each.name,
            "image": "" if "column `image`" in each.problem else None,
            "sample": each.sample,
            "group": each.group,
            "session": each.session,
            "pixel_size_nm": "" if each.name in found.uncalibrated else None,
            "mask": each.mask,
            **conditions,
            **found.conditions[each.sample],
        }
        for each in found.files
    ]
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def job_text(name: str, found: Survey) -> str:
    """Give the job file of a survey."""
    samples = Counter(each.sample for each in found.files)
    missing = len(found.uncalibrated)
    said = [
        f"# Written by `nanocensus init` from {len(found.files)} files of {len(samples)} samples. Run it with",
        "#     nanocensus run job.toml",
        "# Every key is described in docs/reference/job.md.",
        "",
        f"title = {json.dumps(name, ensure_ascii=False)}",  # which TOML writes alike
        'out = "results"              # made in this folder; run the job again to go on from what is there',
        "",
        "[input]",
        'folder = "."',
        f'table = "{TABLE}"    # a row a micrograph: samples, order and conditions are edited there',
    ]
    if missing:
        said += [
            f"# Files that do not state the size of their pixels: {missing}. Fill the column pixel_size_nm, or say for all files",
            "# pixel_size_nm = 0.1           # nm",
            "# pixel_size_assumed = true     # if it is made up: every length in the results then says so",
        ]
    said += [
        "# pixel_size_uncertainty = 0.01  # relative, of all pixel sizes, if you know it: it goes into that of every length",
        "",
        "[scale]",
        '# lattice = "Co3O4"             # if the particles show fringes: holds the pixel sizes against them',
        "",
        "[segment]",
        '# contrast = "bright"           # if particles are brighter than their surroundings (dark field, HAADF)',
        "",
        "[criteria]                      # which particles count; `nanocensus criteria results` shows both sides of a bound",
        "# min_area_nm2 = 1.0",
        "# min_solidity = 0.9",
        "",
        "# [onsets.descriptors.circularity]   # the size from which on a descriptor changes its course (docs/explanation/onsets.md)",
        "# between_nm = [2.6, 7.6]       # sizes between which one bend is sought; choose them before you look at the result",
    ]
    if any(each.group for each in found.files):
        said += [
            "",
            "[statistics]",
            'cluster = "group"              # micrographs of one group count as one in intervals',
        ]
    return "\n".join(said) + "\n"
