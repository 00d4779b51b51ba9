"""What other tools call the columns of their particle tables, and how ours follow from one another.

A column is taken over only where it is the same quantity; where the tool measures it otherwise (another perimeter, another
hull), `Tool.differs` says so. The names were looked up in ImageJ's user guide, scikit-image 0.26 (and what 0.18 called
them), ParticleSpy's `particle_analysis.py` and CellProfiler's MeasureObjectSizeShape.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanocensus.errors import TableError, did_you_mean
from nanocensus.schema import PARTICLES


@dataclass(frozen=True)
class Tool:
    """A program that writes tables of particles."""

    name: str
    """As its users write it."""
    columns: Mapping[str, tuple[str, ...]]
    """Our name of a column: theirs, the preferred first; only the first that is there is taken."""
    image: str
    """Column with the name of the image, or ""."""
    frame: str
    """Column with the number of the image in its stack or series, or ""."""
    unit: str | None
    """Unit of its lengths, where the tool knows no other; None where a table does not tell."""
    differs: Mapping[str, str] = field(default_factory=dict)
    """Our name of a column: what is not as it is here."""
    roi_after: str = ""
    """What parts the name of an image from that of a particle, where `image` holds both."""
    summaries: tuple[str, ...] = ()
    """What `image` holds in rows that are no particles, but sums over all of them."""


_COUNTED = "pixels are counted, and holes left out"
_OF_PIXELS = "4-neighbour perimeter of pixels, those of holes too: a disc has a circularity of 0.90 to 0.95"

IMAGEJ = Tool(
    "ImageJ",
    {
        "label": (" ",),
        "area_nm2": ("Area",),
        "perimeter_nm": ("Perim.",),
        "major_axis_nm": ("Major",),
        "minor_axis_nm": ("Minor",),
        "circularity": ("Circ.",),
        "feret_max_nm": ("Feret",),
        "feret_min_nm": ("MinFeret",),
        "solidity": ("Solidity",),
    },
    image="Label",
    frame="Slice",
    unit=None,
    differs={
        "area_nm2": "pixels are counted; holes are left out unless Analyze Particles includes them",
        "perimeter_nm": "length of the traced pixel edges, with corners cut",
        "circularity": "from that perimeter, and set to 1 where it is larger",
        "major_axis_nm": "of the ellipse of equal area",
        "minor_axis_nm": "of the ellipse of equal area",
        "feret_max_nm": "between the corners of pixels",
        "feret_min_nm": "between the corners of pixels",
        "solidity": "hull of the traced pixel edges",
    },
    roi_after=":",
    summaries=("Mean", "SD", "Min", "Max"),
)
SCIKIT_IMAGE = Tool(
    "scikit-image",
    {
        "label": ("label",),
        "pixel_count": ("num_pixels",),
        "area_nm2": ("area_filled", "filled_area", "area"),
        "perimeter_nm": ("perimeter", "perimeter_crofton"),
        "hull_area_nm2": ("area_convex", "convex_area"),
        "equivalent_diameter_nm": ("equivalent_diameter_area", "equivalent_diameter"),
        "major_axis_nm": ("axis_major_length", "major_axis_length"),
        "minor_axis_nm": ("axis_minor_length", "minor_axis_length"),
        "feret_max_nm": ("feret_diameter_max",),
        "eccentricity": ("eccentricity",),
        "solidity": ("solidity",),
        "extent": ("extent",),
    },
    image="",
    frame="",
    unit="px",
    differs={
        "area_nm2": f"{_COUNTED} in `area`",
        "perimeter_nm": _OF_PIXELS,
        "circularity": "made here from its area and perimeter",
        "hull_area_nm2": "pixels of the hull are counted",
        "feret_max_nm": "between the edges of pixels",
        "solidity": _COUNTED,
        "extent": _COUNTED,
    },
)
PARTICLESPY = Tool(
    "ParticleSpy",
    {
        "area_nm2": ("area",),
        "major_axis_nm": ("major axis length",),
        "minor_axis_nm": ("minor axis length",),
        "circularity": ("circularity",),
        "eccentricity": ("eccentricity",),
        "solidity": ("solidity",),
    },
    image="",
    frame="frame",
    unit=None,
    differs={
        "area_nm2": _COUNTED,
        "circularity": _OF_PIXELS,
        "solidity": _COUNTED,
        "equivalent_diameter_nm": "made here from the area: some versions give 2 sqrt(area) / pi, which is 1.77 times too small",
    },
)
CELLPROFILER = Tool(
    "CellProfiler",
    {
        "label": ("ObjectNumber",),
        "area_nm2": ("AreaShape_Area",),
        "perimeter_nm": ("AreaShape_Perimeter",),
        "hull_area_nm2": ("AreaShape_ConvexArea",),
        "equivalent_diameter_nm": ("AreaShape_EquivalentDiameter",),
        "major_axis_nm": ("AreaShape_MajorAxisLength",),
        "minor_axis_nm": ("AreaShape_MinorAxisLength",),
        "feret_max_nm": ("AreaShape_MaxFeretDiameter",),
        "feret_min_nm": ("AreaShape_MinFeretDiameter",),
        "circularity": ("AreaShape_FormFactor",),
        "eccentricity": ("AreaShape_Eccentricity",),
        "solidity": ("AreaShape_Solidity",),
        "extent": ("AreaShape_Extent",),
    },
    image="",
    frame="ImageNumber",
    unit="px",
    differs={
        "area_nm2": _COUNTED,
        "perimeter_nm": _OF_PIXELS,
        "circularity": "from that perimeter",
        "hull_area_nm2": "pixels of the hull are counted",
        "feret_max_nm": "between the centres of pixels, about one pixel less",
        "feret_min_nm": "between the centres of pixels, about one pixel less",
        "solidity": _COUNTED,
        "extent": _COUNTED,
    },
)
TOOLS: Mapping[str, Tool] = {tool.name.casefold(): tool for tool in (IMAGEJ, SCIKIT_IMAGE, PARTICLESPY, CELLPROFILER)}

Formula = Callable[..., pd.Series]
DERIVED: Mapping[str, tuple[tuple[tuple[str, ...], Formula], ...]] = {
    "area_nm2": ((("edge_length_nm",), lambda length: length**2),
                 (("equivalent_diameter_nm",), lambda diameter: np.pi / 4 * diameter**2)),
    "edge_length_nm": ((("area_nm2",), np.sqrt),
                       (("equivalent_diameter_nm",), lambda diameter: np.sqrt(np.pi) / 2 * diameter)),
    "equivalent_diameter_nm": ((("area_nm2",), lambda area: np.sqrt(4 * area / np.pi)),),
    "circularity": ((("area_nm2", "perimeter_nm"), lambda area, perimeter: 4 * np.pi * area / perimeter**2),
                    (("iso_circularity",), lambda ratio: ratio**2)),
    "iso_circularity": ((("circularity",), np.sqrt),),
    "solidity": ((("area_nm2", "hull_area_nm2"), lambda area, hull: area / hull),),
    "convexity": ((("hull_perimeter_nm", "perimeter_nm"), lambda hull, perimeter: hull / perimeter),),
    "eccentricity": ((("major_axis_nm", "minor_axis_nm"), lambda major, minor: np.sqrt(1 - (minor / major) ** 2)),),
    "aspect_ratio": ((("feret_min_nm", "feret_max_nm"), lambda least, most: least / most),),
    "roundness": ((("area_nm2", "feret_max_nm"), lambda area, feret: 4 * area / (np.pi * feret**2)),),
    "compactness": ((("area_nm2", "feret_max_nm"), lambda area, feret: np.sqrt(4 * area / np.pi) / feret),),
}  # fmt: skip
"""Columns that follow from others: of what, and how. The first whose columns are all in the table is taken."""


def tool_named(name: str) -> Tool:
    """Give a tool by its name, in any case.

    Raises
    ------
    TableError
        If no such tool is known.

    Examples
    --------
    >>> tool_named("ImageJ").columns["circularity"]
    ('Circ.',)
    """
    found = TOOLS.get(name.casefold())
    if found is None:
        raise TableError(
            "tool", expected="one of " + ", ".join(TOOLS), got=repr(name),
            remedy=did_you_mean(name.casefold(), TOOLS) or "Name the columns yourself (columns).",
        )  # fmt: skip
    return found


def derivable(there: Iterable[str]) -> dict[str, tuple[tuple[str, ...], Formula]]:
    """Give the columns that follow from those that are there, and how.

    Examples
    --------
    >>> list(derivable(["area_nm2", "feret_max_nm"]))
    ['edge_length_nm', 'equivalent_diameter_nm', 'roundness', 'compactness']
    """
    known = set(there)
    made = {}
    for name, ways in DERIVED.items():
        way = next((way for way in ways if known.issuperset(way[0])), None)
        if name not in known and way is not None:
            made[name] = way
            known.add(name)
    return made


def power_of_length(column: str) -> int:
    """Say how a column of ours scales with lengths: 1 for nm, 2 for nm2, 0 for ratios and what has no unit."""
    return {"nm": 1, "nm2": 2}.get(PARTICLES[column].unit, 0) if column in PARTICLES else 0


def likely_tool(names: Iterable[str]) -> Tool | None:
    """Guess whose table has columns of these names: the tool that knows most of them, and at least two."""
    there = set(names)
    known = {key: len(there & {name for each in tool.columns.values() for name in each}) for key, tool in TOOLS.items()}
    best = max(known, key=lambda key: known[key])
    return TOOLS[best] if known[best] >= 2 else None
