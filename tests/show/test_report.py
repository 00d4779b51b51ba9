"""The report is one file that says everything, asks nobody for anything, and trusts no text."""

import dataclasses
import hashlib
import json
import pickle
import re
import subprocess
import sys
from base64 import b64encode
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nanocensus.schema import MICROGRAPHS
from nanocensus.show.crops import Crop
from nanocensus.show.figures.theme import ACCEPTED_COLOUR, PALETTE
from nanocensus.show.numbers import with_interval, with_reach
from nanocensus.show.report.content import Picture, PopulationsContent, ReportContent, ReportTable, Representatives
from nanocensus.show.report.report import render_report
from nanocensus.statistics.estimation.reductions import cv, mean, median

EVIL = "<script>alert(1)</script>"
SAMPLES = ("Co0.2", EVIL, "nothing found")


def circle(y, x, radius):
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.column_stack([y + radius * np.sin(angle), x + radius * np.cos(angle)])


def estimates(samples=SAMPLES[:2], bins=None, refused=False):
    keys = {"sample": list(samples)} | ({"size_bin": bins + 0.1} if bins is not None else {})
    dims = (*keys, "descriptor", "statistic")
    shape = (*(len(values) for values in keys.values()), 2, 2)
    value = np.broadcast_to(np.array([[5.31842, 0.2], [0.9012, 0.03]]), shape)
    reason = "7 particles in 2 clusters: an interval needs 20 in 4" if refused else ""
    width = np.nan if refused else 0.0123
    made = xr.Dataset(
        {"estimate": (dims, value)}
        | {
            name: (tuple(keys), np.full(shape[:-2], n))
            for name, n in (("n", 1234), ("n_micrographs", 8), ("n_clusters", 5))
        },
        coords=keys
        | {
            "descriptor": ["edge_length_nm", "circularity"],
            "statistic": ["mean", "cv"],
            "lower": (dims, value - width),
            "upper": (dims, value + width),
            "refusal": (dims, np.full(shape, reason, object)),
        },
        attrs={
            "level": 0.9,
            "cluster": "group",
            "weight": "border_weight",
            "fewest_particles": 20,
            "fewest_clusters": 4,
        },
    )
    if bins is not None:
        made = made.assign_coords(size_left=("size_bin", bins), size_right=("size_bin", bins + 0.2))
    return made


def density(samples=SAMPLES[:2]):
    edges = np.linspace(0.7, 1.0, 121)
    x = (edges[1:] + edges[:-1]) / 2
    curve = np.exp(-(((x - 0.9) / 0.03) ** 2))
    marks = {
        "mean": 0.9, "median": 0.9, "mode": 0.9, "lower_quartile": 0.88, "upper_quartile": 0.92, "range_lower": 0.86,
        "range_upper": 0.94, "n": 100,
    }  # fmt: skip
    whole = np.tile(curve, (len(samples), 1))
    return xr.Dataset(
        {"density": (("sample", "x"), whole), "weight": (("sample", "x"), whole)}
        | {name: ("sample", np.full(len(samples), mark)) for name, mark in marks.items()},
        coords={"sample": list(samples), "x": x, "x_left": ("x", edges[:-1]), "x_right": ("x", edges[1:])},
        attrs={"weighting": "border_weight"},
    )


def index():
    rows = {name: [None] * 4 for name in MICROGRAPHS.names}
    rows |= {
        "micrograph": list("abcd"),
        "name": ["1.tif", f"{EVIL}.tif", "3.tif", "4.tif"],
        "sample": [SAMPLES[0], SAMPLES[1], SAMPLES[2], SAMPLES[0]],
        "pixel_size_nm": [0.086] * 4,
        "pixel_size_source": ["assumed"] * 4,
        "status": ["done", "done", "done", "failed"],
        "reason": [None, None, None, f"not enough {EVIL} memory"],
        "n_detected": [30.0, 20.0, 0.0, np.nan],
        "condition_Co_mmol": [0.2, 0.4, 0.6, 0.2],
    }
    return pd.DataFrame(rows)


def full_content(**changes):
    pixels = np.random.default_rng(0).integers(90, 110, (128, 128)).astype(np.uint8)
    pixels[30:60, 30:60] = 40
    facts = {
        "title": f"Cobalt {EVIL} series",
        "samples": SAMPLES,
        "assumed": True,
        "micrographs": index(),
        "refusals": pd.DataFrame({"name": ["x.tif"], "sample": ["Co0.2"], "reason": [f"got {EVIL} 3 channels"]}),
        "accepted": {SAMPLES[0]: 25, SAMPLES[1]: 15},
        "rejected": pd.DataFrame({"sample": SAMPLES[:2], "reason": [EVIL, "too small"], "particles": [5, 6]}),
        "criteria": [f"area of at least 6 nm² {EVIL}"],
        "estimates": estimates(),
        "size_resolved": estimates(bins=4 + 0.2 * np.arange(4)),
        "densities": {"circularity": density()},
        "pictures": [
            Picture(
                f"{EVIL}.tif",
                EVIL,
                pixels,
                0.086,
                [circle(45, 45, 20)],
                [circle(90, 90, 9)],
                [EVIL],
                [circle(45, 45, 21)],
            )
        ],
        "agreement": pd.DataFrame(
            {"sample": [EVIL], "name": [EVIL], "group": [None], "n_true": [9], "n_detected": [8], "dice": [0.91]}
        ),
        "dice_asked_for": 0.9,
        "tables": [ReportTable(f"Onsets {EVIL}", pd.DataFrame({EVIL: [EVIL], "onset (nm)": [4.31]}), EVIL)],
        "warnings": [f"Beware {EVIL}"],
        "provenance": {"seed": 1, "versions": {"numpy": EVIL}, "job": f"[input]\npath = '{EVIL}'\n"},
    }
    return ReportContent(**(facts | changes))


@pytest.fixture(scope="module")
def page():
    return render_report(full_content())


class Document(HTMLParser):
    """What a browser would run, fetch and read."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.attributes, self.tags, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_data(self, data):
        if self.tags[-1:] and self.tags[-1][0] == "script" and self.scripts[-1][1] == "":
            self.scripts[-1][1] = data
        else:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_a_flattened_micrograph_stands_beside_the_recorded_one_and_says_how_uneven_it_was():
    (picture,) = full_content().pictures
    flat = dataclasses.replace(picture, prepared=picture.pixels / 7, unevenness=0.348)
    document = Document(render_report(full_content(pictures=[flat])))
    figures = [json.loads(text) for facts, text in document.scripts if facts.get("type") == "application/json"]
    assert [figure["target_id"] for figure in figures][:3] == ["micrograph-0", "prepared-0", "histogram-0"]
    assert "35 % darker at its darkest" in document.text


def test_no_element_refers_to_anything_outside_the_page(page):
    for tag, attributes in Document(page).tags:
        for name in ("src", "href", "action", "data", "poster", "srcset", "background"):
            assert name not in attributes, f"<{tag} {name}={attributes[name]!r}>"
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    assert "url(" not in css
    assert "@import" not in css


def test_the_policy_allows_exactly_the_scripts_of_the_page_and_no_fetching(page):
    document = Document(page)
    policies = [
        facts["content"] for tag, facts in document.tags if facts.get("http-equiv") == "Content-Security-Policy"
    ]
    (policy,) = policies
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    run = [text for facts, text in document.scripts if facts.get("type") != "application/json"]
    digests = ["'sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'" for text in run]
    assert len(run) == 2
    assert rules["script-src"].split() == digests


def test_texts_of_the_user_are_never_markup(page):
    # Nothing that the user wrote begins a tag, neither in the page nor in the JSON of a figure.
    assert EVIL not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert "\\u003cscript\\u003ealert(1)" in page


def test_the_figures_are_json_that_reads_back(page):
    figures = [json.loads(text) for facts, text in Document(page).scripts if facts.get("type") == "application/json"]
    names = [figure["target_id"] for figure in figures]
    assert names == [
        "micrograph-0", "histogram-0", "violins-0", "by-size-circularity-0", "rejections", "agreement-counts",
        "agreement-dice",
    ]  # fmt: skip
    assert len(set(names)) == len(names)


def test_equal_contents_give_equal_bytes_in_any_process_and_at_any_time(page, tmp_path):
    # Another order of sets, and identities that were already given to other figures.
    content = tmp_path / "content.pickle"
    content.write_bytes(pickle.dumps(full_content()))
    code = (
        "import pickle, sys\n"
        "from nanocensus.show import embedding\n"
        "from nanocensus.show.figures import figures\n"
        "from nanocensus.show.report import report\n"
        "content = pickle.load(open(sys.argv[1], 'rb'))\n"
        "embedding.figure_json(figures.rejections(content.rejected), 'other')\n"
        "sys.stdout.buffer.write(report.render_report(content).encode())"
    )
    made = subprocess.run([sys.executable, "-c", code, str(content)], capture_output=True, check=True).stdout
    assert made.decode() == page


def test_numbers_are_printed_with_their_intervals_and_units(page):
    text = Document(page).text
    assert "5.318 [5.306, 5.331]" in text
    assert "mean edge length (nm, assumed scale)" in text
    assert "90 % confidence interval" in text
    assert "40 particles accepted out of 50 detected, on 3 micrographs of 3 samples" in text
    assert "0.086 nm (assumed, not measured, 4 micrographs)" in text


def test_everything_that_was_left_out_is_told(page):
    text = Document(page).text
    assert "1 file was refused and 1 micrograph failed" in text
    assert f"got {EVIL} 3 channels" in text
    assert f"not enough {EVIL} memory" in text
    assert f"area of at least 6 nm² {EVIL}" in text


def test_a_scale_that_was_given_is_not_called_assumed():
    micrographs = index().assign(pixel_size_source="given", pixel_size_uncertainty=0.01)
    small = {"pictures": (), "densities": {}, "size_resolved": None, "agreement": None, "criteria": (), "warnings": ()}
    text = Document(render_report(full_content(assumed=False, micrographs=micrographs, **small))).text
    assert "assumed" not in text
    assert "0.086 nm (given by the user, relative standard uncertainty 1 %, 4 micrographs)" in text


def test_pixel_sizes_are_told_one_by_one_with_the_files_that_state_them():
    sizes, sources = [0.1, 0.086, 0.08600000001, 0.086], ["MRC", "DigitalMicrograph", "DigitalMicrograph", "EMD"]
    micrographs = index().assign(pixel_size_nm=sizes, pixel_size_source=sources, pixel_size_uncertainty=np.nan)
    text = Document(render_report(ReportContent("t", SAMPLES, micrographs=micrographs))).text
    assert (
        "0.086 nm (from the files: DigitalMicrograph, 2 micrographs; from the files: EMD, 1 micrograph); "
        "0.1 nm (from the files: MRC, 1 micrograph)"
    ) in text


def test_a_sample_without_particles_has_no_empty_figure_by_size():
    ds = estimates(bins=4 + 0.2 * np.arange(4))
    ds = ds.assign(estimate=ds["estimate"].where(ds["sample"] != SAMPLES[1]))
    page = render_report(ReportContent("t", SAMPLES[:2], size_resolved=ds, assumed=False))
    assert f"by size: {SAMPLES[0]}. Bars are" in Document(page).text


def test_a_figure_without_intervals_or_of_one_sample_is_not_said_to_have_more():
    ds = estimates(SAMPLES[:1], bins=4 + 0.2 * np.arange(4), refused=True)
    text = Document(render_report(ReportContent("t", SAMPLES[:1], size_resolved=ds))).text
    assert "as all were here" in text
    assert "Bars are" not in text
    assert "side by side" not in text
    both = Document(
        render_report(ReportContent("t", SAMPLES[:2], size_resolved=estimates(bins=4 + 0.2 * np.arange(4))))
    ).text
    assert "Bars are 90 % intervals" in both
    assert "Samples stand side by side within a bin." in both


def test_small_numbers_keep_their_digits_and_those_of_rounding_are_not_shown():
    assert with_interval(3.01e-9, 2.9e-9, 3.1e-9) == "0.00000000301 [0.00000000290, 0.00000000310]"
    assert with_interval(0.0, -2.5e-8, 2.5e-8) == "0.000000000 [−0.000000025, 0.000000025]"
    assert with_interval(0.5, 0.5 - 1e-12, 0.5 + 1e-12) == "0.5000000 [0.5000000, 0.5000000]"
    assert with_interval(-12.3456, -13.0, -11.7) == "−12.35 [−13.00, −11.70]"
    assert with_reach(3e-9, 2e-10) == "0.00000000300 ± 0.00000000020"


@pytest.mark.parametrize(("assumed", "unit"), [(True, "nm, assumed scale"), (False, "nm")])
def test_the_sizes_of_representative_particles_and_on_hover_say_whose_scale_they_have(assumed, unit):
    outline = np.array([[2.0, 2.0], [2.0, 8.0], [8.0, 8.0], [8.0, 2.0]])
    crop = Crop(np.eye(10), (0, 0), outline, 10, 0.1, accepted=True, label=1, micrograph="a.tif", value=4.31)
    shown = PopulationsContent([], pd.DataFrame({"descriptor": []}), (), [Representatives(SAMPLES[0], 1.0, [crop])])
    ds = estimates(bins=4 + 0.2 * np.arange(4)).assign_attrs(level=0.9)
    page = render_report(ReportContent("t", SAMPLES[:2], assumed=assumed, populations=shown, size_resolved=ds))
    assert f"<h3>{SAMPLES[0]}: representative particles by edge length ({unit})</h3>" in page
    assert f'@{{size_left}}{{0.00}} to @{{size_right}}{{0.00}} {unit}"' in page


def test_what_is_shown_on_hover_is_named_in_full(page):
    """HoloViews puts the names of columns in braces; one that begins with another's name was cut short there."""
    texts = re.findall(r'"([^"]*@[^"]*)"', page.split("<script>")[0])
    assert len(texts) > 20
    assert not [text for text in texts if re.search(r"@\{\w+\}\w", text)]


def test_provenance_of_several_files_is_told_file_by_file():
    facts = {"table": {"files": [{"name": "a.csv", "rows": 3}, {"name": "b.csv", "rows": 4}], "kept": ["Round", "AR"]}}
    page = render_report(ReportContent("t", SAMPLES[:1], provenance=facts))
    assert "<dt>files.2.name</dt><dd>b.csv</dd>" in page
    assert "<dt>kept</dt><dd>Round, AR</dd>" in page


def test_lengths_are_printed_with_the_share_of_the_scale_and_an_unknown_one_is_said_to_be():
    ds = estimates().assign_coords(unit=("descriptor", ["nm", "1"]))
    reach = np.array([[0.12, 0.1], [0.01, 0.1]])
    ds = ds.assign(expanded_uncertainty=(ds["estimate"].dims, np.stack([reach, np.full((2, 2), np.nan)])))
    page = render_report(ReportContent("t", SAMPLES[:2], estimates=ds))
    rows = re.findall(r"<td class=\"number\">5\.32 ± 0\.12</td>|<td class=\"number\">unknown</td>", page)
    assert len(rows) == 2
    text = Document(page).text
    assert text.count("mean ± with the scale's share") == 1  # ratios have none
    assert "expanded uncertainty (90 %) of sampling and pixel size together" in text


def test_refused_intervals_say_why():
    content = ReportContent("t", SAMPLES[:1], estimates=estimates(SAMPLES[:1], refused=True))
    text = Document(render_report(content)).text
    assert "5.318 [refused a]" in text
    assert "Interval refused: 7 particles in 2 clusters: an interval needs 20 in 4" in text
    assert "needs at least 20 particles on 4 clusters" in text


def test_a_sample_without_particles_is_in_every_table_by_sample(page):
    rows = re.findall(r"<tr><th scope=\"row\">nothing found</th>(.*?)</tr>", page)
    assert len(rows) == 4  # key numbers, what was measured, and one a descriptor
    assert all("–" in row or "0" in row for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        ReportContent("No sample", []),
        ReportContent("No micrograph", ["a"]),
        ReportContent("All failed", ["a"], micrographs=index().assign(sample="a", status="failed", n_detected=np.nan)),
        ReportContent("No bin", ["a"], size_resolved=estimates(["a"], bins=np.empty(0))),
        ReportContent("All refused", ["a"], size_resolved=estimates(["a"], bins=np.array([4.0]), refused=True)),
    ],
    ids=lambda content: content.title,
)
def test_a_study_with_nothing_to_show_still_has_a_report(content):
    document = Document(render_report(content))
    assert content.title in document.text
    assert "No particle was rejected." in document.text


def test_tables_and_figures_can_be_read_without_seeing_them(page):
    document = Document(page)
    tags = [tag for tag, _ in document.tags]
    assert tags.count("caption") == tags.count("table")
    drawings = [facts for _, facts in document.tags if "data-figure" in facts]
    assert all(facts["role"] == "img" and len(facts["aria-label"]) > 20 for facts in drawings)
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert max(np.diff(levels)) <= 1
    assert dict(document.tags)["html"]["lang"] == "en"


def test_twelve_large_micrographs_fit_in_five_megabytes():
    rng = np.random.default_rng(3)
    pixels = rng.normal(1000, 120, (1024, 1024)).clip(0).astype(np.uint16)
    outlines = [circle(*place, 12) for place in rng.uniform(20, 1000, (300, 2))]
    picture = Picture("1.tif", "Co0.2", pixels, 0.1, outlines[:270], outlines[270:], ["touches border"] * 30)
    one = len(render_report(ReportContent("t", ["Co0.2"], pictures=[picture])))
    none = len(render_report(ReportContent("t", ["Co0.2"])))
    assert none < 1.4e6
    assert none + 12 * (one - none) < 5e6


@pytest.fixture(scope="module")
def browsed(page, browse):
    """The page in a browser."""
    return browse(page)


def test_a_browser_draws_every_figure_under_the_policy(browsed):
    dom, complaints, _ = browsed
    assert 'data-figures-drawn="7 of 7"' in dom
    assert complaints == []


@pytest.mark.parametrize("colour", [PALETTE[0], PALETTE[1], ACCEPTED_COLOUR])
def test_the_colours_of_samples_and_outlines_are_on_the_screen(browsed, colour):
    _, _, picture = browsed
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.int16)
    assert (np.abs(picture.astype(np.int16) - rgb).max(axis=-1) < 12).sum() > 40


def test_no_text_of_the_user_runs_in_a_browser(browsed):
    dom, _, _ = browsed
    assert dom.count("<script") == 2 + 7  # the two of the page, and the data of its figures


def test_what_is_said_of_intervals_is_how_they_are_made(page):
    assert ("CR2" in mean.method, "jackknife" in cv.method, "Woodruff" in median.method) == (True, True, True)
    assert re.search(r"<strong>Means</strong>[^<]*CR2", page)
    assert re.search(r"<strong>Standard deviations and coefficients of variation</strong>[^<]*jackknife", page)
    assert re.search(r"<strong>Medians and other quantiles</strong>[^<]*Woodruff", page)


@pytest.mark.parametrize(("number", "said"), [(1, "1 micrograph was flagged"), (2, "2 micrographs were flagged")])
def test_flagged_micrographs_are_counted_in_a_sentence(number, said):
    flags = [*["blurred"] * number, *[None] * (4 - number)]
    table = ReportTable("Flagged", pd.DataFrame({"micrograph": ["1.tif"]}))
    text = render_report(full_content(micrographs=index().assign(flags=flags), quality=[table]))
    assert f"{said} by the rules of the job. None is left out for it" in text
