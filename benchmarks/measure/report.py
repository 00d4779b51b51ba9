"""The table for people, from what the JSON file keeps."""

from features import OURS
from labelling import OUR_LABELS
from scenes import STANDARD
from timing import LONG_MS
from truth import POSES, QUANTITIES, READERS, RELATIVE, SHAPES, SIZES_PX

HEAD = """# nanocensus and its peers

Written by `benchmarks/measure/compare.py`; every round is in measure.json.

{machine}; commit {commit}; {versions}. The run took {took_s} s; others kept {others} cores busy.

- One thread, one core: the process is held to one core, and every package told to use one thread (SimpleITK's filters
  start two whatever they are told; the core is what holds them). Candidates take turns, in rounds of random order.
- Two threads take turns with one over eight micrographs or more, on all cores; a core that others keep busy is not there for the second.
- All start from what a user has: a boolean mask, or the uint8 map it comes from. Turning it into a package's own image,
  and a package's result into arrays, is outside of the clock, and so are labels for those that cannot label (nyxus,
  cp_measure). Peers compute those of their features that nanocensus has too; nanocensus always computes all of its own.
- First calls warm up and are not counted, save those of more than {long_s:g} s. Compiling the kernels of nanocensus took
  {compile_s:.1f} s before.
- "× floor" is the time over that of reading the mask and writing an int32 image, in memory that is already there.
- "× ours" is over `{labels}` or over `{paper}`. It is given only if the particles
  are as many as those of scikit-image, and whatever "equal" names has its values: counts exactly, lengths, centroids
  and eccentricity to 1e-9.
"""
TRUTH = """## Is it true?

Discs and squares at {poses} random sub-pixel poses each; bias and, in brackets, standard deviation in thousandths, of
areas and perimeters relative to the truth. Everyone gets the best mask there is, of pixels that the outline covers by
more than half, save the first row: it gets the probability map that a good network gives, blurred by 1 px, which takes
σ²/R² from a disc's area (5.0, 1.3, 0.4 thousandths). Circularity is 4π area / perimeter² by the tool's own two. The
polygon of OpenCV runs through the centres of the outermost pixels. SimpleITK has no hull.
"""


def table(head, body):
    """Lay out a table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def milliseconds(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def factor(value):
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def standard_table(result):
    """Give everything about the standard scene."""
    rows = {row["candidate"]: row for row in scene_named(result, STANDARD)["rows"]}
    body = []
    for each in result["candidates"]:
        if not each["installed"]:
            body.append([each["candidate"], each["gives"], "not installed", *[""] * 6])
            continue
        row = rows[each["candidate"]]
        equal = row["departs"] or ", ".join(compact(row["equal_to_scikit_image"]))
        body.append(
            [
                each["candidate"],
                each["gives"],
                milliseconds(row["median_ms"]),
                f"{milliseconds(row['least_ms'])}, {'–'.join(map(milliseconds, row['quartiles_ms']))}",
                len(row["rounds_ms"]),
                factor(row["us_per_particle"]),
                factor(row["over_floor"]),
                factor(row["ratio"]),
                equal,
            ]
        )
    head = ["who", "what", "ms", "least, quartiles", "rounds", "µs a particle", "× floor", "× ours", "equal"]
    return table(head, body)


def compact(names):
    """Write bbox-0 to bbox-3 as bbox."""
    return list(dict.fromkeys(name.rsplit("-", 1)[0] for name in names))


def scene_named(result, name):
    return next(scene for scene in result["scenes"] if scene["scene"] == name)


def scene_title(scene):
    """Give the side, the number of particles, and the coverage."""
    return f"{scene['side_px']}² px, {scene['particles']}, {100 * scene['coverage']:.0f} %"


def scenes_table(result):
    """Give median times, and ratios in brackets, on all scenes, and what keeps a ratio from being given."""
    body, notes = [], []
    for each in result["candidates"]:
        cells = []
        for scene in result["scenes"]:
            row = next((row for row in scene["rows"] if row["candidate"] == each["candidate"]), None)
            if row is None:
                cells.append("not installed")
                continue
            ratio = f" ({factor(row['ratio'])})" if row["ratio"] is not None else ""
            if row["departs"]:
                notes.append(f"- {each['candidate']}, {scene['scene']}: {row['departs']}")
                ratio = " (departs)"
            cells.append(milliseconds(row["median_ms"]) + ratio)
        body.append([each["candidate"], *cells])
    return (
        table(["ms (× ours)", *map(scene_title, result["scenes"])], body) + "\n".join(["", *notes]) + "\n" * bool(notes)
    )


def bars_table(result):
    """Give what is asked, what was found, and both figures for threads, whose bursts medians show and the least hides."""
    said = {True: "yes", False: "no", None: "not installed, or not comparable"}
    body = [
        [bar["what"], bar["asked"], factor(bar["ratio"]), factor(bar["ratio_of_least"]), said[bar["met"]]]
        for bar in result["bars"]
    ]
    return table([scene_title(scene_named(result, STANDARD)), "asked", "medians", "least of all rounds", "met"], body)


def truth_table(result, quantity):
    """Give bias [standard deviation] in thousandths; "none" where a tool has no such thing."""
    found = {
        (row["reader"], row["shape"], row["edge_length_px"]): row
        for row in result["truth"]
        if row["quantity"] == quantity
    }
    body = []
    for reader, package, *_ in READERS:
        absent = "not installed" if result["versions"].get(package) == "not installed" else "none"
        cells = []
        for shape in SHAPES:
            for size in SIZES_PX:
                row = found.get((reader, shape, size))
                cells.append(absent if row is None else f"{1e3 * row['bias']:+.1f} [{1e3 * row['sd']:.1f}]")
        body.append([reader, *cells])
    kind = "relative" if quantity in RELATIVE else "absolute"
    return table([f"{quantity}, {kind}", *(f"{shape} {size:g} px" for shape in SHAPES for size in SIZES_PX)], body)


def heading(result):
    """Say how all of it was made."""
    machine = result["machine"]
    others = [scene["others_cores"] for scene in result["scenes"]]
    return HEAD.format(
        machine=f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['system']}",
        commit=result["commit"],
        versions=", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        took_s=result["took_s"],
        others=f"{min(others):g} to {max(others):g}",
        compile_s=result["compile_s"],
        long_s=LONG_MS / 1e3,
        labels=OUR_LABELS,
        paper=OURS,
    )


def markdown(result):
    """Give the whole report."""
    standard = scene_named(result, STANDARD)
    parts = [
        heading(result),
        "## What is asked\n",
        bars_table(result),
        f"## The standard scene: {scene_title(standard)}\n",
        standard_table(result),
        "## From ten particles to a frame of specks of noise\n\nSide, particles, coverage.\n",
        scenes_table(result),
        TRUTH.format(poses=POSES),
        *(truth_table(result, quantity) for quantity in QUANTITIES),
    ]
    return "\n".join(parts)
