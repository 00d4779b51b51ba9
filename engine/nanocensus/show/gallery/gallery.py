"""The gallery of criteria: one HTML file that shows, on both sides of each bound, what it decides about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nanocensus.show.figures.criteria import criterion
from nanocensus.show.figures.theme import ACCEPTED_COLOUR, REJECTED_COLOUR, quantity_name, unit_sign
from nanocensus.show.figures.tiles import Tile, tiles
from nanocensus.show.gallery.content import CriterionView, GalleryContent, SampleGallery
from nanocensus.show.numbers import count, counted
from nanocensus.show.page import Figure, figure_in_page, render_page
from nanocensus.show.report.tables import HtmlTable


@dataclass(frozen=True)
class _Strip:
    heading: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class _Criterion:
    heading: str
    target: str
    sentence: str
    figure: Figure | None
    strips: Sequence[_Strip]


@dataclass(frozen=True)
class _Sample:
    name: str
    target: str
    table: HtmlTable
    examples: Sequence[Tile]
    on: Sequence[_Criterion]
    off: Sequence[_Criterion]


def render_gallery(content: GalleryContent) -> str:
    """Write the gallery as one HTML file.

    The page asks nobody for anything (see `page.render_page`). Equal contents give equal bytes.

    Parameters
    ----------
    content : GalleryContent
        What it shows.

    Returns
    -------
    str
        The text of the file, to be written as UTF-8.

    Examples
    --------
    >>> render_gallery(GalleryContent("Nothing yet", [], [], "Nobody's."))[:15]
    '<!doctype html>'
    """
    return render_page(
        "criteria.html",
        css=("report.css", "tiles.css", "criteria.css"),
        content=content,
        headline=_headline(content),
        overview=_overview(content.samples),
        colours={"accepted": ACCEPTED_COLOUR, "rejected": REJECTED_COLOUR},
        samples=[_sample(sample, f"sample-{i}", content.assumed) for i, sample in enumerate(content.samples)],
    )


def _headline(content: GalleryContent) -> str:
    detected = sum(sample.detected for sample in content.samples)
    accepted = sum(sample.accepted for sample in content.samples)
    return (
        f"{count(accepted)} of {counted(detected, 'particle')} accepted, in {counted(len(content.samples), 'sample')}"
    )


def _overview(samples: Sequence[SampleGallery]) -> HtmlTable:
    reasons = list(dict.fromkeys(view.reason for sample in samples for view in sample.views))
    rows = []
    for sample in samples:
        failed = {view.reason: "off" if view.bound is None else _outcome(view, sample)[0] for view in sample.views}
        cells = [sample.name, count(sample.detected), _share(sample.accepted, sample.detected)]
        rows.append(cells + [failed[reason] for reason in reasons])
    header = ["sample", "detected", "accepted", *(reason.replace("_", " ") for reason in reasons)]
    note = "A particle that fails two criteria counts under both. off: the criterion rejects nothing."
    return HtmlTable(
        "Particles accepted, and rejected by each criterion", header, rows, note, [False] + [True] * (len(header) - 1)
    )


def _share(number: int, of: int) -> str:
    return f"{count(number)} ({100 * number / of:.1f} %)" if of else count(number)


def _sample(sample: SampleGallery, target: str, assumed: bool) -> _Sample:
    views = {view.reason: _criterion(view, sample, f"{target}-{view.reason}", assumed) for view in sample.views}
    return _Sample(
        name=sample.name,
        target=target,
        table=_reasons(sample),
        examples=tiles(sample.examples, nm_per_tile=sample.nm_per_tile, assumed=assumed),
        on=[views[view.reason] for view in sample.views if view.bound is not None],
        off=[views[view.reason] for view in sample.views if view.bound is None],
    )


def _reasons(sample: SampleGallery) -> HtmlTable:
    rows = [
        [view.reason.replace("_", " "), view.words, *_outcome(view, sample)]
        for view in sample.views
        if view.bound is not None
    ]
    header = ["reason", "asked for", "rejected", "by this alone"]
    caption = f"{sample.name}: {_share(sample.accepted, sample.detected)} of {count(sample.detected)} accepted"
    return HtmlTable(caption, header, rows, numeric=[False, False, True, True])


def _outcome(view: CriterionView, sample: SampleGallery) -> tuple[str, str]:
    return _share(int(view.rejected.sum()), sample.detected), _share(view.n_alone, sample.detected)


def _criterion(view: CriterionView, sample: SampleGallery, target: str, assumed: bool) -> _Criterion:
    quantity = quantity_name(view.column)
    sign = unit_sign(view.column, assumed=assumed)
    strips = [
        _Strip(f"{heading} ({quantity}{f', {sign}' if sign else ''})" if view.values is not None else heading, made)
        for heading, crops in zip(_headings(view), (view.inside, view.outside), strict=True)
        if (made := tiles(crops, nm_per_tile=sample.nm_per_tile, assumed=assumed, quantity=quantity))
    ]
    return _Criterion(
        view.words[0].upper() + view.words[1:],
        target,
        _sentence(view, sample),
        _figure(view, sample, target, assumed),
        strips,
    )


def _headings(view: CriterionView) -> tuple[str, str]:
    if view.bound is None and view.values is None:
        return "Would be rejected", ""
    if view.bound is None:
        return f"{'Lowest' if view.lower else 'Highest'} values, which a bound would reject first", ""
    if view.values is None:
        return "Just accepted, nearest to the border first", "Rejected, drawn at random"
    return "Just accepted, nearest to the bound first", "Just rejected, nearest to the bound first"


def _sentence(view: CriterionView, sample: SampleGallery) -> str:
    if view.bound is None:
        return "Off: nothing is rejected by it."
    all_, alone = _outcome(view, sample)
    if not view.rejected.any():
        return "No particle is rejected by it."
    return f"Rejected: {all_}. By nothing else, so that they would be accepted without it: {alone}."


def _figure(view: CriterionView, sample: SampleGallery, target: str, assumed: bool) -> Figure | None:
    if view.values is None:
        return None
    quantity = quantity_name(view.column)
    element = criterion(
        view.values, view.column, accepted=view.accepted, rejected=view.rejected, bound=view.bound, assumed=assumed
    )
    missing = int(np.isnan(view.values).sum())
    caption = f"{quantity.capitalize()} of the detected particles of {sample.name}."
    caption += f" {counted(missing, 'particle has', 'particles have')} none." if missing else ""
    return figure_in_page(target, element, caption, f"Histogram of {quantity}; the counts are in the table above.")
