"""Results on disk: one Zarr group (version 3) a dataset, replaced whole or not at all."""

import shutil
from pathlib import Path

import xarray as xr

from nanocensus.errors import StoreError
from nanocensus.schema import FORMAT_VERSION, check_format_version
from nanocensus.store.commit import commit_tree, partial_path, writing


def save_dataset(dataset: xr.Dataset, path: Path, *, kind: str) -> None:
    """Write a dataset beside its place and move it there, replacing what was.

    Parameters
    ----------
    dataset : xr.Dataset
        Its attributes must be JSON values.
    path : Path
        Of the Zarr group.
    kind : str
        What it is ("cells", "statistics"), so that nothing else is read as it.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    path = Path(path)
    marked = _with_text(dataset, kinds="U").assign_attrs(format_version=FORMAT_VERSION, kind=kind)
    partial = partial_path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            marked.to_zarr(partial, mode="w", zarr_format=3, consolidated=False)
            commit_tree(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def open_dataset(path: Path, *, kind: str) -> xr.Dataset:
    """Read a dataset that `save_dataset` wrote, into memory.

    Raises
    ------
    StoreError
        If there is none of this kind at the path.
    FormatVersionError
        If a newer nanocensus wrote it.
    """
    path = Path(path)
    if not (path / "zarr.json").is_file():
        raise _absent(path, kind, "nothing that is a Zarr group")
    with xr.open_zarr(path, consolidated=False, chunks=None) as stored:
        dataset = stored.load()
    if dataset.attrs.get("kind") != kind:
        raise _absent(path, kind, f"kind {dataset.attrs.get('kind')!r}")
    check_format_version(str(dataset.attrs.get("format_version", "")), str(path))
    return _with_text(dataset, kinds="T")


def _with_text(dataset: xr.Dataset, kinds: str) -> xr.Dataset:
    """Turn text of some numpy kinds into Python's: fixed widths have no Zarr specification, and few know StringDType."""
    names = [name for name, variable in dataset.variables.items() if variable.dtype.kind in kinds]
    inside = {name: dataset[name].astype(object) for name in names if name not in dataset.coords}
    return dataset.assign(inside).assign_coords(
        {name: dataset[name].astype(object) for name in names if name not in inside}
    )


def _absent(path: Path, kind: str, got: str) -> StoreError:
    return StoreError(str(path), expected=f"saved {kind}", got=got, remedy="Run the job's analysis, or check the path.")
