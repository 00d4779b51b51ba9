"""What a check of the scale says, in sentences."""

from nanocensus.pipeline.run.scale import SessionScale


def scale_in_words(found: SessionScale) -> str:
    """Say whether the pixel size in use agrees with a session's lattice, or that none was seen.

    Examples
    --------
    >>> scale_in_words(SessionScale("Co3O4", "monday", 8, 0.086, 0.086, None, None))
    'Scale of session monday: no lattice of Co3O4 is seen, so that 0.086 nm is not checked.'
    """
    where = f"Scale of session {found.session}" if found.session else "Scale"
    if found.found is None or found.difference is None or found.uncertainty is None:
        return f"{where}: no lattice of {found.lattice} is seen, so that {found.used_nm:.5g} nm is not checked."
    used = f"{found.used_nm:.5g} nm in use"
    if found.used_nm != found.stated_nm:
        used += f" instead of the stated {found.stated_nm:.5g} nm"
    told = (
        f"{found.lattice} fringes give {found.found.pixel_size_nm:.5g} nm a pixel with a relative standard uncertainty of "
        f"{100 * found.uncertainty:.2f} %, {_percent(found.difference)} from the {used}"
    )
    if not found.disagrees:
        return f"{where}: {told}: the two agree."
    more = (
        f"If the particles are {found.lattice}, every length is off by as much: find out why, or use what was found "
        "(`nanocensus scale` with --recalibrate). Another crystal fits with another size."
    )
    return f"{where}: the pixel size disagrees with the lattice. {told}. {more}"


def _percent(share: float) -> str:
    text = f"{100 * share:+.2f} %"
    return "0.00 %" if text[1:] == "0.00 %" else text.replace("-", "−")
