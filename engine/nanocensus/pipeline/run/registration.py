"""Which micrographs of a sample show the same place: found once, and kept beside the results."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import distributed
import pandas as pd

from nanocensus.measure.registration import find_overlaps, reduction, thumbnail
from nanocensus.pipeline.workers.dispatch import Failure, OnProgress, silent, spread
from nanocensus.store.commit import commit_bytes
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import read_pixels
from nanocensus.store.images.thumbnails import read_thumbnail, write_thumbnail

_log = logging.getLogger(__name__)

OVERLAPS_FILE = "overlaps.json"
_VERSION = 1
"""Raise it when the same micrographs would give other overlaps."""
_PAIRS_AT_ONCE = 20_000
"""Of one task: some 20 s."""


@dataclass(frozen=True)
class Pair:
    """Two micrographs that show the same place, by identity."""

    first: str
    second: str
    share: float
    """Of the smaller one that both show."""
    shift_y_px: float
    """Rows from the first's upper edge down to the second's."""
    shift_x_px: float
    """Columns from the first's left edge to the second's."""
    z: float
    """How far their correlation stands above chance."""


@dataclass(frozen=True)
class _Known:
    """What was found before."""

    compared: tuple[tuple[str, ...], ...]
    """Micrographs that were compared with one another."""
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class _Call:
    """Some micrographs to be compared with all that follow them in their group."""

    members: tuple[str, ...]
    rows: tuple[int, ...]
    known: int
    """How many of the first members were compared with one another before."""
    factor: int
    """Pixels of a micrograph in one of its thumbnail."""


def register(
    micrographs: pd.DataFrame,
    out: Path,
    client: distributed.Client,
    *,
    resources: Mapping[str, int],
    on_progress: OnProgress = silent,
) -> list[Pair]:
    """Compare the measured micrographs of each sample that were not compared before, and keep what was found.

    Micrographs of one sample and pixel size are compared if they are reduced alike. Ones that cannot be, as when a worker
    is lost, are tried again by the next run.

    Parameters
    ----------
    micrographs : DataFrame
        The index.
    out : Path
        Folder of the results.
    client : distributed.Client
    resources : mapping
        What a task asks of its worker.
    on_progress : callable
        Told how far the stage is.

    Returns
    -------
    list of Pair
        All pairs of micrographs that are in the index, in its order.
    """
    known = _read(out)
    groups = _groups(micrographs)
    calls = [call for members, factor in groups for call in _calls(members, factor, known)]
    compared = {members for members, _ in groups}
    pairs = list(known.pairs)
    submit = partial(_submit, client, out, resources)
    sizes = [len(call.rows) for call in calls]
    for number, result in spread(client, submit, calls, stage="register", on_progress=on_progress, sizes=sizes):
        if isinstance(result, Failure):
            _log.warning("micrographs of a sample were not compared with each other: %s", result.reason)
            compared -= {members for members in compared if set(calls[number].members) == set(members)}
        else:
            pairs += result
    order = {str(identity): place for place, identity in enumerate(micrographs["micrograph"])}
    group = {member: number for number, (members, _) in enumerate(groups) for member in members}
    # Of a group of which a part was lost, pairs are found again.
    unique = {
        frozenset((pair.first, pair.second)): _in_order(pair, order)
        for pair in pairs
        if group.get(pair.first, -1) == group.get(pair.second)
    }
    there = sorted(unique.values(), key=lambda pair: (order[pair.first], order[pair.second]))
    _write(out, _Known(tuple(sorted(compared)), tuple(there)))
    return there


def known_pairs(out: Path) -> Sequence[Pair]:
    """Give the pairs that were found in the micrographs of a run."""
    return _read(out).pairs


def with_overlaps(micrographs: pd.DataFrame, pairs: Iterable[Pair]) -> pd.DataFrame:
    """Fill the columns of the index that say which other micrograph shows most of the same place.

    Parameters
    ----------
    micrographs : DataFrame
        The index.
    pairs : iterable of Pair
        From `register`.
    """
    largest: dict[str, tuple[str, float, float, float]] = {}
    for pair in pairs:
        for one, other, sign in ((pair.first, pair.second, 1), (pair.second, pair.first, -1)):
            if one not in largest or pair.share > largest[one][1]:
                largest[one] = (other, pair.share, sign * pair.shift_y_px + 0.0, sign * pair.shift_x_px + 0.0)
    names = dict(zip(micrographs["micrograph"], micrographs["name"], strict=True))
    found = [largest.get(str(identity)) for identity in micrographs["micrograph"]]
    filled = {
        "overlap_with": pd.Series([each and names[each[0]] for each in found], index=micrographs.index, dtype=object)
    }
    for place, column in enumerate(("overlap_share", "overlap_shift_y_px", "overlap_shift_x_px"), start=1):
        values = [float("nan") if each is None else each[place] for each in found]
        filled[column] = pd.Series(values, index=micrographs.index, dtype=float)
    return micrographs.assign(**filled)


def _groups(micrographs: pd.DataFrame) -> list[tuple[tuple[str, ...], int]]:
    """Give the micrographs that are to be compared with one another, in order, and by how much they are reduced."""
    done = micrographs[micrographs["status"] == "done"]
    factors = [reduction((int(height), int(width))) for height, width in zip(done["height_px"], done["width_px"],
                                                                             strict=True)]  # fmt: skip
    keys = [done["sample"], done["pixel_size_nm"], pd.Series(factors, index=done.index, dtype=int)]
    return [
        (tuple(map(str, members)), int(str(factor)))
        for (_, _, factor), members in done.groupby(keys, sort=False)["micrograph"]
        if len(members) > 1
    ]


def _calls(members: tuple[str, ...], factor: int, known: _Known) -> list[_Call]:
    """Cut the comparisons that are left of a group: what was compared before comes first."""
    before = max(known.compared, key=lambda old: len(set(old) & set(members)), default=())
    old = [each for each in members if each in before]
    ordered = (*old, *(each for each in members if each not in before))
    calls: list[_Call] = []
    rows: list[int] = []
    pairs = 0
    for row in range(len(ordered) - 1):
        left = len(ordered) - max(row + 1, len(old) if row < len(old) else 0)
        if left:
            rows.append(row)
            pairs += left
        if rows and (pairs >= _PAIRS_AT_ONCE or row == len(ordered) - 2):
            calls.append(_Call(ordered, tuple(rows), len(old), factor))
            rows, pairs = [], 0
    return calls


def _submit(
    client: distributed.Client, out: Path, resources: Mapping[str, int], call: _Call
) -> "distributed.Future[list[Pair]]":
    # Not pure: by default equal arguments would give back a cached failure of an earlier run.
    return client.submit(_compare, out, call, resources=resources, pure=False)


def _compare(out: Path, call: _Call) -> list[Pair]:
    thumbnails = []
    for micrograph in call.members:
        kept = read_thumbnail(out, micrograph)
        if kept is None:
            kept = thumbnail(read_pixels(out / STORE_FOLDER, micrograph))
            write_thumbnail(out, micrograph, kept)
        thumbnails.append(kept)
    return [
        Pair(
            call.members[found.first],
            call.members[found.second],
            round(found.share, 4),
            round(found.shift[0] * call.factor, 1) + 0.0,
            round(found.shift[1] * call.factor, 1) + 0.0,
            round(found.z, 2),
        )
        for found in find_overlaps(thumbnails, call.rows, call.known)
    ]


def _in_order(pair: Pair, order: Mapping[str, int]) -> Pair:
    if order[pair.first] < order[pair.second]:
        return pair
    return Pair(pair.second, pair.first, pair.share, -pair.shift_y_px, -pair.shift_x_px, pair.z)


def _read(out: Path) -> _Known:
    """Give what was found before; nothing if that is damaged or of another version."""
    try:
        kept: Mapping[str, Any] = json.loads((out / OVERLAPS_FILE).read_text(encoding="utf-8"))
        if kept["version"] != _VERSION:
            return _Known((), ())
        compared: Sequence[Sequence[str]] = kept["compared"]
        return _Known(tuple(tuple(map(str, each)) for each in compared), tuple(Pair(**each) for each in kept["pairs"]))
    except (OSError, ValueError, KeyError, TypeError):
        return _Known((), ())


def _write(out: Path, known: _Known) -> None:
    text = json.dumps({"version": _VERSION, **asdict(known)}, indent=1) + "\n"
    commit_bytes(out / OVERLAPS_FILE, text.encode())
