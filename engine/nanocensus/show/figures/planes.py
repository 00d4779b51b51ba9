"""Size and shape at once: how many particles of a sample, or what mean of theirs, in each cell of two columns."""

import holoviews as hv
import numpy as np
import xarray as xr

from nanocensus.show.figures.theme import FIGURE_HEIGHT, axis_label, set_in_frame, statistic_label

_COLOURS = "viridis"
_SIZE_BIN = "size_bin"
_BAR_PX = 90


def plane(
    ds: xr.Dataset,
    sample: str,
    *,
    descriptor: str | None = None,
    statistic: str = "mean",
    assumed: bool = False,
    title: str = "",
) -> hv.Overlay:
    """Draw a map of one sample over two columns that particles are binned by.

    The colour is the share of the sample's particles per cell; or, of a descriptor, its statistic where that has an
    interval. Cells without either are empty.

    Parameters
    ----------
    ds : xr.Dataset
        Of `nc.estimate`, by sample and two `nc.size_bins`.
    sample : str
        Which.
    descriptor, statistic : str, optional
        What is shown instead of shares.
    assumed : bool
        Whether the user made the pixel size up.
    title : str
        Stands above the figure.

    Raises
    ------
    ValueError
        If `ds` was not binned by two columns.
    KeyError
        If it has no such sample, descriptor or statistic.
    """
    own = [str(name) for name in ds["n"].dims if str(name).endswith("_bin")]
    if len(own) != 2 or own[0] != _SIZE_BIN:
        raise ValueError(
            f"a plane needs estimates by sample and two SizeBins; these are by {', '.join(map(str, ds['n'].dims))}"
        )
    one = ds.sel(sample=sample)
    n = one["n"].transpose(own[1], own[0])
    if descriptor is None:
        values = (n / max(int(n.sum()), 1)).where(n > 0)
        label = "share of the particles"
    else:
        found = one.sel(descriptor=descriptor, statistic=statistic)
        values = found["estimate"].where(np.isfinite(found["lower"])).transpose(own[1], own[0])
        label = statistic_label(statistic, descriptor, assumed=assumed)
    columns = [str(ds.attrs[f"{name.removesuffix('_bin')}_bins"]["of"]) for name in own]
    edges = [_edges(ds, name) for name in own]
    known = values.to_numpy()[np.isfinite(values.to_numpy())]
    limits = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    mesh = hv.QuadMesh((*edges, values.to_numpy(), n.to_numpy()), own, ["value", "particles"]).opts(
        backend="bokeh", cmap=_COLOURS, clim=limits, colorbar=True, clabel=label, tools=["hover"], line_width=0,
    )  # fmt: skip
    return set_in_frame(
        hv.Overlay([mesh]),
        title=title,
        height=FIGURE_HEIGHT + _BAR_PX,
        xlabel=axis_label(columns[0], assumed=assumed),
        ylabel=axis_label(columns[1], assumed=assumed),
        xlim=(float(edges[0][0]), float(edges[0][-1])),
        ylim=(float(edges[1][0]), float(edges[1][-1])),
    )


def _edges(ds: xr.Dataset, name: str) -> np.ndarray:
    stem = name.removesuffix("_bin")
    return np.append(ds[f"{stem}_left"].to_numpy(), ds[f"{stem}_right"].to_numpy()[-1:])
