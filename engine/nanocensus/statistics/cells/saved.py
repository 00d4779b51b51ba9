"""Cells on disk: a Zarr group of integer arrays, and what they mean as attributes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xarray as xr

from nanocensus.statistics.cells.bin_numbers import Axis
from nanocensus.statistics.cells.datasets import open_dataset, save_dataset
from nanocensus.statistics.cells.names import Pairs
from nanocensus.statistics.cells.ordered import OrderedCells, ordered
from nanocensus.statistics.cells.quanta import Quantum
from nanocensus.statistics.cells.recipe import Recipe
from nanocensus.statistics.cells.size_bins import SizeBins
from nanocensus.statistics.cells.sums import Block

_KIND = "cells"


def write(path: Path, sums: OrderedCells, micrographs: pd.DataFrame, by: tuple[str, ...], recipe: Recipe) -> None:
    """Write cells: arrays of one number a cell along "cell", and of one value a micrograph along "index".

    A cell names its micrograph by its row among the micrographs, so identities are stored once.
    """
    pairs = pd.MultiIndex.from_frame(micrographs[["sample", "micrograph"]])
    row = pairs.get_indexer(pd.MultiIndex.from_frame(sums.names.frame())).astype(np.int64)
    arrays: dict[str, tuple[str, np.ndarray]] = {"row": ("cell", np.repeat(row, sums.lengths))}
    arrays |= {"size_bin": ("cell", sums.bins.astype(np.int64))}
    arrays |= {name: ("cell", values) for name, values in zip(recipe.sums, sums.columns(), strict=True)}
    texts = [name for name in micrographs.columns if not pd.api.types.is_numeric_dtype(micrographs[name])]
    for name in micrographs.columns:
        column = micrographs[name]
        if name in texts:
            arrays[f"has_{name}"] = ("index", column.notna().to_numpy(bool))
            arrays[f"micrographs_{name}"] = ("index", column.fillna("").astype(str).to_numpy(object))
        else:
            arrays[f"micrographs_{name}"] = ("index", column.to_numpy())
    attributes = {
        "by": list(by),
        "micrographs": list(micrographs.columns),
        "texts": texts,
        "quanta": [asdict(quantum) for quantum in recipe.quanta],
        "axes": [
            {"bins": asdict(axis.bins), "quantum": asdict(axis.quantum), "name": axis.name} for axis in recipe.axes
        ],
        "weight": recipe.weight,
    }
    save_dataset(xr.Dataset(arrays, attrs=attributes), path, kind=_KIND)


def read(path: Path) -> tuple[OrderedCells, pd.DataFrame, tuple[str, ...], Recipe]:
    """Read what `write` wrote: sums, micrographs, keys and recipe."""
    stored = open_dataset(path, kind=_KIND)
    facts: dict[str, Any] = stored.attrs
    columns = {}
    for name in facts["micrographs"]:
        values = stored[f"micrographs_{name}"].to_numpy()
        if name in facts["texts"]:
            column = pd.Series(values.astype(object), dtype="str")
            columns[name] = column.where(stored[f"has_{name}"].to_numpy())
        else:
            columns[name] = pd.Series(values)
    micrographs = pd.DataFrame(columns)
    axes = tuple(Axis(_bins(axis["bins"]), Quantum(**axis["quantum"]), axis["name"]) for axis in facts["axes"])
    recipe = Recipe(tuple(Quantum(**quantum) for quantum in facts["quanta"]), axes, facts["weight"])
    row = stored["row"].to_numpy()
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    texts = micrographs[["sample", "micrograph"]].iloc[row[starts]]
    names = Pairs(*(pa.array(texts[name], pa.string()) for name in texts.columns))
    sums = tuple(stored[name].to_numpy() for name in recipe.sums)
    bins = stored["size_bin"].to_numpy().astype(np.int32)
    block = Block(names, np.append(starts, len(row)), bins, sums, in_limbs=True)
    return ordered([block], len(recipe.quanta)), micrographs, tuple(facts["by"]), recipe


def _bins(told: dict[str, Any]) -> SizeBins:
    return SizeBins(**(told | {"edges": None if told["edges"] is None else tuple(told["edges"])}))
