"""Which micrographs of a run have less fine detail than their like, or in some directions less: told once all are measured."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32

from nanocensus.measure.detail import BANDS, detail, detail_scores
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_pixels
from nanocensus.store.images.thumbnails import read_spectrum, write_spectrum

FEWEST_ALIKE = 8
"""Micrographs below which nothing is ordinary."""


def with_details(micrographs: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Fill the columns of the index that hold the fine detail of each micrograph against that of its like.

    Parameters
    ----------
    micrographs : DataFrame
        The index.
    out : Path
        Folder of the results.
    """
    done = micrographs.loc[micrographs["status"] == "done", "micrograph"]
    return with_scores(micrographs, {row: _detail(out, str(micrograph)) for row, micrograph in done.items()})


def with_scores(micrographs: pd.DataFrame, details: dict[object, Float32[np.ndarray, "3 10"] | None]) -> pd.DataFrame:
    """Fill these columns from the details of rows, by their index."""
    known = {row: each for row, each in details.items() if each is not None and each.shape == (3, BANDS)}
    scores = pd.DataFrame(np.nan, index=micrographs.index, columns=["detail_loss_z", "detail_asymmetry_z"])
    for own, others in alike(micrographs, pd.Series(micrographs.index.isin(list(known)), index=micrographs.index)):
        rows = [row for row in own if row in known]
        if rows:
            found = detail_scores(np.stack([known[row] for row in rows]), np.stack([known[row] for row in others]))
            scores.loc[rows] = np.round(np.stack(found, axis=1), 2)
    return micrographs.assign(**{name: scores[name] for name in scores.columns})


def alike(micrographs: pd.DataFrame, known: "pd.Series[bool]") -> Iterator[tuple[pd.Index, pd.Index]]:
    """Give the micrographs of each pixel size, sample and session, and those with a known score that they are held against.

    These are the first of which eight or more are known: their own, those of the sample, all of the pixel size.
    """
    keys = ["sample", *(["session"] if "session" in micrographs.columns else [])]
    for _, equal in micrographs.groupby("pixel_size_nm", sort=False):
        for _, own in equal.groupby(keys, sort=False, dropna=False):
            of_sample = equal[equal["sample"] == own["sample"].iloc[0]]
            candidates = (wider.index[known[wider.index]] for wider in (own, of_sample, equal))
            others = next((each for each in candidates if len(each) >= FEWEST_ALIKE), None)
            if others is not None:
                yield own.index, others


def _detail(out: Path, micrograph: str) -> Float32[np.ndarray, "3 10"] | None:
    kept = read_spectrum(out, micrograph)
    if kept is None or kept.shape[1] != BANDS:
        kept = detail(read_pixels(out / STORE_FOLDER, micrograph))
        if kept is not None:
            write_spectrum(out, micrograph, kept)
    return kept
