"""The table for people, from what the JSON file keeps."""

OURS, PEER = "JAX float32", "OpenVINO float32"
PAPER, FAST = "paper (ResNet-18)", ("fast, base 8", "fast, base 12")
AT_MOST, AT_LEAST = 1.35, 3.0

HEAD = """# The networks on a CPU, and the same in OpenVINO

Written by `benchmarks/segment/compare.py`; every round is in segment.json.

{machine}; commit {commit}; {versions}. The run took {took_s} s; the load of the machine before it was {load_before}.

- One image, {side}² px, standardised noise, to probabilities. Candidates take turns, in rounds of random order, in a
  process held to one core, then in one held to two. First calls compile, and are not counted.
- All have the same random weights, BatchNorm folded. OpenVINO gets the plain graph; ours takes cheaper forms of the same
  (an up-sampling and its convolution in one, the head as one matrix product). So a ratio compares what a user gets, not
  engines. OpenVINO's bfloat16 is on the instruction set of this processor.
- "cpu" is the processor time of all threads: what to trust where others kept the machine busy.
- "departs" is the largest difference of probabilities from ours in float32.
"""


def row_of(run, network, engine):
    return next(row for row in run["rows"] if (row["network"], row["engine"]) == (network, engine))


def bars(runs):
    """Give what is asked, and what was found by medians and by the least of all rounds."""
    found = []
    for run in runs:
        ours = row_of(run, PAPER, OURS)
        pairs = [(f"{PAPER}: {OURS} over {PEER}", ours, row_of(run, PAPER, PEER), f"at most {AT_MOST}")]
        pairs += [
            (f"{PAPER} over {network}, both {OURS}", ours, row_of(run, network, OURS), f"at least {AT_LEAST:g}")
            for network in FAST
        ]
        for what, over, under, asked in pairs:
            ratios = {
                f"{clock}_{kind}": round(over[f"{clock}_{kind}_ms"] / under[f"{clock}_{kind}_ms"], 3)
                for clock in ("wall", "cpu")
                for kind in ("median", "least")
            }
            met = ratios["wall_median"] <= AT_MOST if "most" in asked else ratios["wall_median"] >= AT_LEAST
            found.append({"cores": run["cores"], "what": what, "asked": asked, **ratios, "met": met})
    return found


def table(head, body):
    """Lay out a table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def markdown(result):
    """Give the whole report."""
    machine = result["machine"]
    clocks = ("wall_median", "wall_least", "cpu_median", "cpu_least")
    parts = [
        HEAD.format(
            machine=f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['system']}",
            commit=result["commit"],
            versions=", ".join(f"{name} {version}" for name, version in result["versions"].items()),
            side=result["runs"][0]["side_px"],
            took_s=result["took_s"],
            load_before=result["load_before"],
        ),
        "## What is asked\n",
        table(
            ["cores", "ratio", "asked", "wall: medians", "least", "cpu: medians", "least", "met"],
            [
                [
                    bar["cores"],
                    bar["what"],
                    bar["asked"],
                    *(f"{bar[clock]:.2f}" for clock in clocks),
                    "yes" if bar["met"] else "no",
                ]
                for bar in result["bars"]
            ],
        ),
    ]
    for run in result["runs"]:
        body = [
            [row["network"], row["engine"], *(f"{row[f'{clock}_ms']:.1f}" for clock in clocks),
             f"{row['wall_median_ms'] / row_of(run, row['network'], PEER)['wall_median_ms']:.2f}", f"{row['difference']:.1e}"]
            for row in run["rows"]
        ]  # fmt: skip
        heads = ["network", "engine", "wall ms: median", "least", "cpu ms: median", "least", f"× {PEER}", "departs"]
        parts += [f"## {run['cores']} core{'s' * (run['cores'] > 1)}\n", table(heads, body)]
    return "\n".join(parts)
