"""Cells on disk: a Zarr group of integer arrays, and what they mean as attributes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nanocensus.statistics.cell_sums import Block, as_table, cell_keys, joined, pair_rows
from nanocensus.statistics.dataset_store import open_dataset, save_dataset
from nanocensus.statistics.quanta import Quantum
from nanocensus.statistics.recipe import Recipe
from nanocensus.statistics.size_bins import SizeBins

_KIND = "cells"


def write(path: Path, table: pd.DataFrame, micrographs: pd.DataFrame, by: tuple[str, ...], recipe: Recipe) -> None:
    """Write cells: arrays of one number a cell along "cell", and of one value a micrograph along "index".

    A cell names its micrograph by its row among the micrographs, so identities are stored once.
    """
    pairs = pd.MultiIndex.from_frame(micrographs[["sample", "micrograph"]])
    arrays: dict[str, tuple[str, np.ndarray]] = {"row": ("cell", pair_rows(table, pairs))}
    arrays |= {name: ("cell", table[name].to_numpy(np.int64)) for name in ("size_bin", *recipe.sums)}
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
        "bins": asdict(recipe.bins) if recipe.bins else None,
        "bin_quantum": asdict(recipe.bin_quantum) if recipe.bin_quantum else None,
        "weight": recipe.weight,
    }
    save_dataset(xr.Dataset(arrays, attrs=attributes), path, kind=_KIND)


def read(path: Path) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...], Recipe]:
    """Read what `write` wrote: table, micrographs, keys and recipe."""
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
    bins = facts["bins"]
    if bins is not None:
        bins = SizeBins(**(bins | {"edges": None if bins["edges"] is None else tuple(bins["edges"])}))
    size = None if facts["bin_quantum"] is None else Quantum(**facts["bin_quantum"])
    recipe = Recipe(tuple(Quantum(**quantum) for quantum in facts["quanta"]), bins, size, facts["weight"])
    names = list(zip(micrographs["sample"], micrographs["micrograph"], strict=True))
    keys = cell_keys(stored["row"].to_numpy(), stored["size_bin"].to_numpy())
    sums = np.stack([stored[name].to_numpy() for name in recipe.sums], axis=1)
    table = as_table(joined([Block(names, keys, sums)], len(recipe.quanta)), recipe.sums)
    return table, micrographs, tuple(facts["by"]), recipe
