"""The mean shapes of a run: computed where outlines are kept, saved beside the statistics, and told in the report."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.measure.acceptance import FAILED
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.shapes.mean_shapes import mean_shapes, rows_that_count
from nanocensus.show.figures.shapes import spread_bins
from nanocensus.show.figures.theme import quantity_name, unit_sign
from nanocensus.show.numbers import p_value, with_interval
from nanocensus.show.report.content import ReportTable
from nanocensus.statistics.cells.datasets import save_dataset
from nanocensus.statistics.cells.partitions import Particles
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.outlines.meanshape import index_table, outline_table
from nanocensus.store.commit import commit_bytes
from nanocensus.store.particles.outlines import read_outlines

MEAN_SHAPES, MEAN_OUTLINES = "mean_shapes", "mean_outlines"
_SIZE = "edge_length_nm"


def shapes_of_run(judged: Particles, micrographs: pd.DataFrame, job: Job, cluster: Cluster) -> xr.Dataset | None:
    """Give the mean shapes of a run that keeps outlines; none where none of what counts tells its shape.

    Parameters
    ----------
    judged : DataFrame
        All particles as `read_particles` gives them, with what criteria they failed.
    micrographs : DataFrame
        The micrographs that count.
    job : Job
    cluster : Cluster
        The unit of the intervals.
    """
    left_out = ~judged["micrograph"].isin(list(micrographs["micrograph"]))
    counting = judged.assign(**{FAILED: judged[FAILED].mask(left_out, 1)})
    if not len(rows_that_count(counting, ["sample"])):
        return None
    section = job.statistics
    return mean_shapes(
        counting, read_outlines(job.out, excluded=True), micrographs, bins=section.bins(), cluster=cluster, level=section.level,
        weight=job.weight_column, seed=job.seed,
    )  # fmt: skip


def report_tables(shapes: xr.Dataset, *, assumed: bool) -> Iterator[ReportTable]:
    """Give the table of the report: indices of the outlines that its figure shows.

    Parameters
    ----------
    shapes : xr.Dataset
    assumed : bool
        Whether the pixel size was made up.
    """
    rows = [
        _row(shapes.isel(sample=sample, size_bin=place), assumed=assumed)
        for sample in range(shapes.sizes["sample"])
        for place in spread_bins(shapes)
    ]
    if not rows:
        return
    yield ReportTable(
        f"Mean shapes [{100 * shapes.attrs['level']:g} % interval]",
        pd.DataFrame(rows),
        "Squareness: 0 of a disc, 0.139 of a square. Facet index: how far corners stick out over faces, 0 of a disc and 1 of a "
        "square. Concavity: -1 round, 0 straight faces, above 0 hollow ones. Amplitude: of the fourth harmonic of r(θ), mean over "
        "the particles, in the unit of squareness; of roughness: what it would be of round particles as rough as these; p: that it "
        f"is no more. Where it is not {shapes.attrs['clear']:g} times as much, no index is given: what alignment adds by itself "
        "is then too much to be taken off. All sizes are in mean_shapes.csv, the outlines in mean_outlines.csv.",
    )  # fmt: skip


def _row(panel: xr.Dataset, *, assumed: bool) -> dict[str, str]:
    sign = unit_sign(_SIZE, assumed=assumed)
    row = {
        "sample": str(panel["sample"].item()),
        f"{quantity_name(_SIZE)} ({sign})": f"{float(panel['size_left']):.4g}–{float(panel['size_right']):.4g}",
        "outlines": str(int(panel["n"])),
    }
    for name in panel["index"].to_numpy():
        numbers = (float(panel[each].sel(index=name)) for each in ("estimate", "index_lower", "index_upper"))
        row[quantity_name(str(name))] = "refused" if panel["refusal"] != "" else with_interval(*numbers)
    amplitude, null, p = (float(panel[name]) for name in ("amplitude", "null_amplitude", "p"))
    told = {"amplitude": f"{amplitude:.4f}", "of roughness": f"{null:.4f}", "p": p_value(p)}
    return row | (told if np.isfinite(null) else dict.fromkeys(told, "–"))


def save_shapes(shapes: xr.Dataset, store: Path, tables: Path) -> None:
    """Keep mean shapes as Zarr, and their tables in a folder."""
    save_dataset(shapes, store, kind="mean shapes")
    for name, table in ((MEAN_SHAPES, index_table(shapes)), (MEAN_OUTLINES, outline_table(shapes))):
        commit_bytes(tables / f"{name}.csv", table.to_csv(index=False).encode())
