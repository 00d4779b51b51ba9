"""What the report says of onset sizes: a sentence each, the figures' data, and every sample's own in a table."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from nanocensus.pipeline.onset_results import FoundOnsets
from nanocensus.show.content import OnsetContent, ReportTable
from nanocensus.show.numbers import with_interval
from nanocensus.show.theme import quantity_name, unit_sign
from nanocensus.statistics.onset_samples import SIZE


def onset_content(found: FoundOnsets, *, assumed: bool) -> OnsetContent:
    """Give the section of the report.

    Parameters
    ----------
    found : FoundOnsets
    assumed : bool
        Whether a pixel size was made up.
    """
    sign = unit_sign(SIZE, assumed=assumed)
    sentences = [_capital(sentence.replace(" nm", f" {sign}")) for sentence in found.sentences]
    return OnsetContent(found.table, found.curves, sentences, list(_tables(found, sign)))


def _tables(found: FoundOnsets, sign: str) -> Iterator[ReportTable]:
    for of, rows in found.table.groupby("descriptor", sort=False):
        excess = "the excess of " if rows["excess"].any() else ""
        yield ReportTable(
            f"Where {excess}{quantity_name(str(of))} changes its course [{100 * found.level:g} % interval]",
            pd.DataFrame([_printed(row, sign) for row in rows.to_dict("records")]),
            "Half width: 0 is a kink; it is only roughly known. p: the chance of so clear a bend if the descriptor followed "
            "smooth curves. The paper's readings carry the width of a bin and no interval: they are there to compare, not to "
            "believe. onsets.csv holds all digits, onset_curves.csv what was fitted.",
        )


def _printed(row: Mapping[Hashable, Any], sign: str) -> dict[str, object]:
    place = with_interval(row["estimate_nm"], row["lower_nm"], row["upper_nm"])
    return {
        "bend": row["bend"],
        "sample": row["sample"],
        f"edge length ({sign})": "none given" if row["refusal"] else place,
        f"half width ({sign})": row["half_width_nm"],
        "p": row["existence_p"],
        "particles": row["n"],
        "clusters": row["n_clusters"],
        "how, or why there is none": row["refusal"] or row["method"] + _differ(row),
    }


def _differ(row: Mapping[Hashable, Any]) -> str:
    """Say whether samples bend at different sizes, where they were compared."""
    return "" if pd.isna(row["q_p"]) else f"; samples differ with p = {row['q_p']:.2g}"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
