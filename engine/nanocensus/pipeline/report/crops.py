"""Particles cut out of the store: no more of a micrograph is read than its window."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from nanocensus.errors import DamageError
from nanocensus.measure.acceptance import decode_failed
from nanocensus.measure.outline import outlines
from nanocensus.pipeline.report.criteria_words import reason_in_words
from nanocensus.show.crops import Crop
from nanocensus.store.images.micrographs import read_window

_MARGIN_PX = 2
"""An outline lies at most one pixel outside of the bounding box; one more keeps the window's edge out of it."""


@runtime_checkable
class ParticleRow(Protocol):
    """A row of the particle table as a named tuple, with the bitmask of what it failed."""

    micrograph: str
    label: int
    bbox_top_px: int
    bbox_left_px: int
    bbox_bottom_px: int
    bbox_right_px: int
    failed_criteria: int


@runtime_checkable
class MicrographRow(Protocol):
    """A row of the index as a named tuple."""

    name: str
    pixel_size_nm: float


def cut_out(
    store: Path,
    particle: ParticleRow,
    micrograph: MicrographRow,
    *,
    side_nm: float,
    threshold: float,
    value: float | None,
) -> Crop:
    """Cut a particle out of its micrograph.

    Parameters
    ----------
    store : Path
        Path of ``micrographs.zarr``.
    particle : ParticleRow
    micrograph : MicrographRow
        Its micrograph.
    side_nm : float
        Side of the tile, nm; the middle of the bounding box stands in its middle.
    threshold : float
        Probability at the outline.
    value : float, optional
        What the tile is to show of it.

    Raises
    ------
    DamageError
        If the store does not hold that particle, or is damaged there.
    """
    side = max(1, round(side_nm / micrograph.pixel_size_nm))
    top = (particle.bbox_top_px + particle.bbox_bottom_px - side) // 2
    left = (particle.bbox_left_px + particle.bbox_right_px - side) // 2
    rows, columns = slice(max(0, top), top + side), slice(max(0, left), left + side)
    outline = particle_outline(store, particle, threshold=threshold)
    return Crop(
        pixels=read_window(store, particle.micrograph, rows, columns),
        place_px=(rows.start - top, columns.start - left),
        outline=outline - (top, left),
        side_px=side,
        pixel_size_nm=micrograph.pixel_size_nm,
        accepted=not particle.failed_criteria,
        label=particle.label,
        micrograph=micrograph.name,
        value=value,
        reasons=", ".join(map(reason_in_words, decode_failed(particle.failed_criteria))),
    )


def particle_outline(store: Path, particle: ParticleRow, *, threshold: float) -> Float64[np.ndarray, "k 2"]:
    """Trace the outline of one particle, as it is traced on the whole map.

    Returns
    -------
    float64 (k, 2)
        (y, x) in pixels of the micrograph.

    Raises
    ------
    DamageError
        If the label image does not hold the particle, or is damaged there.
    """
    top, left = max(0, particle.bbox_top_px - _MARGIN_PX), max(0, particle.bbox_left_px - _MARGIN_PX)
    rows = slice(top, particle.bbox_bottom_px + _MARGIN_PX)
    columns = slice(left, particle.bbox_right_px + _MARGIN_PX)
    labels = read_window(store, particle.micrograph, rows, columns, of="labels/particles")
    probability = read_window(store, particle.micrograph, rows, columns, of="probability")
    alone = (labels == particle.label).astype(np.int32)  # others in the window are cut by its edges
    if not alone.any():
        raise DamageError(
            f"labels of micrograph {particle.micrograph}",
            expected=f"particle {particle.label} in its bounding box",
            got="none",
            remedy=f"Run `nanocensus doctor {store.parent}`, then the job again: what is damaged is done again.",
        )
    (outline,) = outlines(probability, alone, threshold=threshold)
    return outline + np.array([top, left], np.float64)
