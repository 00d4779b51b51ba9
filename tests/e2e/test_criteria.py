"""Criteria from the job file to the page: what it says is what the tables hold."""

import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import nanocensus as nc
from nanocensus import cli
from nanocensus.errors import DamageError, InputError, StoreError
from nanocensus.measure.acceptance import REASONS

OWN = {
    "min_area_nm2": 1.0,
    "min_mean_probability": 0.9,
    "samples": {"Co0.8": {"max_area_nm2": 9.0, "min_solidity": False}},
}


def slow_failures(out, criteria=OWN):
    """The reasons of every particle, worked out one by one from the table; no code of the package's."""
    common = {"min_area_nm2": 6.0, "max_area_nm2": False, "max_eccentricity": 0.85, "min_solidity": 0.9,
              "min_convexity": False, "exclude_border": True, "min_pixels": 200, "min_mean_probability": False}  # fmt: skip
    particles = nc.read_particles(out).compute()
    reasons = []
    for row in particles.to_dict("records"):
        bounds = common | {key: value for key, value in criteria.items() if key != "samples"}
        bounds |= criteria.get("samples", {}).get(row["sample"], {})
        met = {
            "border": not (bounds["exclude_border"] and row["touches_border"]),
            "too_few_pixels": bounds["min_pixels"] is False or row["pixel_count"] >= bounds["min_pixels"],
            "area_too_small": bounds["min_area_nm2"] is False or row["area_nm2"] >= bounds["min_area_nm2"],
            "area_too_large": bounds["max_area_nm2"] is False or row["area_nm2"] <= bounds["max_area_nm2"],
            "eccentricity": bounds["max_eccentricity"] is False or row["eccentricity"] < bounds["max_eccentricity"],
            "solidity": bounds["min_solidity"] is False or row["solidity"] > bounds["min_solidity"],
            "convexity": bounds["min_convexity"] is False or row["convexity"] > bounds["min_convexity"],
            "mean_probability": bounds["min_mean_probability"] is False
            or row["mean_probability"] >= bounds["min_mean_probability"],
        }
        reasons.append({name for name, is_met in met.items() if not is_met})
    return particles.assign(reasons=reasons)


class Tables(HTMLParser):
    """The rows of every table by its caption, as text; the counts of what is drawn."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.svgs, self.titles, self._into, self._open = {}, 0, [], None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "caption":
            self._open, self._caption = "caption", ""
        elif tag == "tr" and self._open:
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        self.svgs += tag == "svg"
        if tag == "title" and self.svgs:
            self.titles.append("")
        self._into = tag

    def handle_data(self, text):
        if self._into == "caption":
            self._caption += text
            self._rows = self.tables.setdefault(self._caption, [])
        elif self._into in ("td", "th"):
            self._rows[-1][-1] += text
        elif self._into == "title" and self.titles:
            self.titles[-1] += text

    def handle_endtag(self, tag):
        self._into = None


def number(cell):
    return int(re.match(r"[\d\u202f]+", cell).group().replace("\u202f", ""))


@pytest.fixture(scope="module")
def gallery(finished, tmp_path_factory):
    """The page of criteria of their own for one sample, on trial, with what it was made of."""
    out = shutil.copytree(finished[0], tmp_path_factory.mktemp("gallery") / "out")
    own = OWN | {"samples": {name: nc.SampleCriteria(**own) for name, own in OWN["samples"].items()}}
    path = nc.criteria_gallery(out, criteria=nc.Criteria(**own))
    return out, path, Tables(path.read_text(encoding="utf-8"))


def test_the_counts_on_the_page_are_those_of_the_particle_table(gallery):
    out, path, page = gallery
    assert path == out / "criteria.html"
    slow = slow_failures(out)
    header, *rows = page.tables["Particles accepted, and rejected by each criterion"]
    assert header[3:] == [reason.replace("_", " ") for reason in REASONS]
    assert [row[0] for row in rows] == ["Co0.2", "Co0.8"]
    for row in rows:
        own = slow[slow["sample"] == row[0]]
        assert number(row[1]) == len(own) > 20
        assert number(row[2]) == sum(not reasons for reasons in own["reasons"])
        for reason, cell in zip(REASONS, row[3:], strict=True):
            count = sum(reason in reasons for reasons in own["reasons"])
            if cell == "off":
                assert count == 0
            else:
                assert number(cell) == count
    cells = dict(zip(header, rows[1], strict=True))
    assert (cells["solidity"], cells["convexity"]) == ("off", "off")  # only in that sample
    assert rows[0][header.index("area too large")] == "off"
    assert number(cells["area too large"]) > 0
    assert number(cells["mean probability"]) > 0


def test_each_samples_table_counts_what_one_criterion_alone_rejects(gallery):
    out, _, page = gallery
    slow = slow_failures(out)
    for sample in ("Co0.2", "Co0.8"):
        own = slow[slow["sample"] == sample]["reasons"]
        caption = next(caption for caption in page.tables if caption.startswith(f"{sample}: "))
        for reason, _, rejected, alone in page.tables[caption][1:]:
            name = reason.replace(" ", "_")
            assert number(rejected) == sum(name in reasons for reasons in own)
            assert number(alone) == sum(reasons == {name} for reasons in own)


def test_the_particles_nearest_to_a_bound_are_shown_with_their_values(gallery):
    out, path, _ = gallery
    slow = slow_failures(out)
    own = slow[(slow["sample"] == "Co0.8")]
    text = path.read_text(encoding="utf-8")
    names = nc.read_micrographs(out).set_index("micrograph")["name"]
    section = text.split("Area of at most 9 nm²</h3>")[1].split("<h3")[0]
    inside, outside = section.split("Just rejected")
    for part, accepted in ((inside, True), (outside, False)):
        shown = [(int(label), name) for label, name in re.findall(r"<title>particle #(\d+), ([^;]+); area", part)]
        side = own[[("area_too_large" in reasons) != accepted for reasons in own["reasons"]]]
        side = side.assign(
            others=[len(reasons - {"area_too_large"}) for reasons in side["reasons"]],
            near=(side["area_nm2"] - 9.0).abs(),
            name=side["micrograph"].map(names),
        )
        expected = side.sort_values(["others", "near"]).head(8).sort_values("near")
        assert shown == list(zip(expected["label"], expected["name"], strict=True))
        assert len(shown) == 8


def test_random_examples_are_accepted_ones_and_every_tile_says_what_it_is(gallery):
    out, path, page = gallery
    slow = slow_failures(out)
    names = nc.read_micrographs(out).set_index("micrograph")["name"]
    reasons = {
        (row.label, names[row.micrograph]): ", ".join(r.replace("_", " ") for r in REASONS if r in row.reasons)
        for row in slow.itertuples()
    }
    assert page.svgs == len(page.titles) > 50
    for title in page.titles:
        label, name, outcome = re.match(
            r"particle #(\d+), ([^;]+);.*?(accepted|rejected.*?)(?:; larger.*)?$", title
        ).groups()
        why = reasons[int(label), name]
        assert outcome == (f"rejected: {why}" if why else "accepted")
    first = path.read_text(encoding="utf-8").split("Accepted, drawn at random</h3>")[1].split("<section")[0]
    assert first.count("<title>") == min(24, sum(not own for own in slow[slow["sample"] == "Co0.2"]["reasons"]))
    assert "rejected" not in first


def times(out):
    """When each file of the results was written."""
    return {
        path.relative_to(out): path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and path.name not in ("criteria.html", ".lock")
    }


@pytest.mark.slow
def test_the_same_results_give_the_same_page_and_nothing_else_changes(copied):
    before = times(copied)
    first, second = (nc.criteria_gallery(copied, samples=["Co0.8"], crops=1).read_bytes() for _ in range(2))
    assert first == second
    assert times(copied) == before


def test_the_runs_own_criteria_are_shown_unless_others_are_given(copied):
    text = nc.criteria_gallery(copied, samples=["Co0.8"], crops=2).read_text(encoding="utf-8")
    assert "The criteria of the run" in text
    assert "Not shown: Co0.2." in text
    counts = pd.read_csv(copied / "tables/counts.csv").set_index("sample").loc["Co0.8"]
    rows = Tables(text).tables["Particles accepted, and rejected by each criterion"]
    assert [number(cell) for cell in rows[1][1:6]] == counts.iloc[:5].tolist()
    assert len(rows) == 2


def test_criteria_that_reject_everything_still_show_what_they_reject(copied):
    path = nc.criteria_gallery(copied, criteria=nc.Criteria(min_area_nm2=1e5), samples=["Co0.8"], crops=2)
    text = path.read_text(encoding="utf-8")
    page = Tables(text)
    (row,) = page.tables["Particles accepted, and rejected by each criterion"][1:]
    assert number(row[2]) == 0
    assert number(row[1]) == number(row[5]) > 20  # detected, and too small
    assert "No particle of this sample is accepted." in text
    section = text.split("Area of at least 100000 nm²</h3>")[1].split("<h3")[0]
    assert section.count("<title>") == 2
    assert "Just accepted" not in section


def test_without_criteria_everything_is_accepted(copied):
    off = nc.Criteria(
        min_area_nm2=False, max_eccentricity=False, min_solidity=False, exclude_border=False, min_pixels=False
    )
    path = nc.criteria_gallery(copied, criteria=off, samples=["Co0.8"], crops=1)
    text = path.read_text(encoding="utf-8")
    (row,) = Tables(text).tables["Particles accepted, and rejected by each criterion"][1:]
    assert number(row[1]) == number(row[2])
    assert set(row[3:]) == {"off"}
    assert "nothing: every detected particle is accepted" in text
    assert text.count("which a bound would reject first") == len(REASONS) - 1
    assert text.count(">Would be rejected<") == 1  # particles on the border have no more or less of it


def test_a_sample_without_particles_has_its_place(copied):
    store = nc.read_manifest(copied)
    gone = store.micrographs["sample"] == "Co0.2"
    index = store.micrographs.assign(
        n_detected=store.micrographs["n_detected"].mask(gone, 0),
        part=store.micrographs["part"].mask(gone),
        part_digest=store.micrographs["part_digest"].mask(gone),
    )
    from nanocensus.store.manifest import write_manifest

    write_manifest(copied, dataclasses.replace(store, micrographs=index))
    text = nc.criteria_gallery(copied, samples=["Co0.2"]).read_text(encoding="utf-8")
    row = Tables(text).tables["Particles accepted, and rejected by each criterion"][1]
    assert row[:4] == ["Co0.2", "0", "0", "0"]


def test_what_cannot_be_shown_is_refused_in_words(copied, tmp_path):
    with pytest.raises(StoreError, match="finished run"):
        nc.criteria_gallery(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(InputError, match=r"Co0.2, Co0.8, got 'Co08'. Did you mean 'Co0.8'"):
        nc.criteria_gallery(copied, samples=["Co08"])
    with pytest.raises(InputError, match=r"samples.\"Co02\".*Did you mean 'Co0.2'"):
        nc.criteria_gallery(copied, criteria=nc.Criteria(samples={"Co02": nc.SampleCriteria()}))
    with pytest.raises(InputError, match="1 to 48, got 0"):
        nc.criteria_gallery(copied, crops=0)
    first = nc.read_micrographs(copied)["micrograph"].iloc[0]
    shutil.rmtree(copied / "micrographs.zarr" / first / "labels" / "particles")
    with pytest.raises(DamageError, match=first):
        nc.criteria_gallery(copied)
    (copied / "run.json").unlink()
    with pytest.raises(StoreError, match="finished run"):
        nc.criteria_gallery(copied)


def test_the_command_tries_the_criteria_of_another_job(copied, job_of, tmp_path, monkeypatch, capsys):
    job = tmp_path / "trial.toml"
    job.write_text('out = "elsewhere"\n[input]\nfolder = "raw"\n[criteria]\nmin_area_nm2 = 9.0\n')
    command = ["nanocensus", "criteria", str(copied), "--job", str(job), "--sample", "Co0.8", "--crops", "3"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code
    assert str(copied / "criteria.html") in capsys.readouterr().out
    text = (copied / "criteria.html").read_text(encoding="utf-8")
    assert "Criteria on trial" in text
    assert "Area of at least 9 nm²" in text


@pytest.mark.slow
def test_a_run_follows_the_criteria_of_each_sample(copied, job_of, client):
    job = job_of(copied, criteria=OWN)
    assert nc.run(job, client).n_reused == 8
    slow = slow_failures(copied)
    counts = pd.read_csv(copied / "tables/counts.csv").set_index("sample")
    for sample, rows in slow.groupby("sample"):
        assert counts.loc[sample, "accepted"] == sum(not reasons for reasons in rows["reasons"])
        assert [counts.loc[sample, name] for name in REASONS] == [
            sum(name in reasons for reasons in rows["reasons"]) for name in REASONS
        ]
    recorded = json.loads((copied / "run.json").read_text())["job"]["criteria"]
    assert recorded["samples"]["Co0.8"]["min_solidity"] is False
    assert nc.analyse(copied).counts["accepted"].tolist() == counts["accepted"].tolist()
    assert "in Co0.8: area of at most 9 nm², any solidity" in (copied / "report.html").read_text()
    by_sample = nc.sample_statistics(
        pd.DataFrame(slow[[not reasons for reasons in slow["reasons"]]]).drop(columns="reasons"),
        nc.read_micrographs(copied), of=["circularity"], weight="border_weight",
    )  # fmt: skip
    saved = pd.read_csv(copied / "tables/by_sample.csv").query("descriptor == 'circularity' and statistic == 'mean'")
    expected = by_sample["estimate"].sel(descriptor="circularity", statistic="mean").to_series()
    np.testing.assert_allclose(saved.set_index("sample")["estimate"], expected[saved["sample"]], rtol=1e-12)


def test_criteria_of_a_sample_that_no_micrograph_has_stop_the_run_before_it_works(job_of, client, tmp_path):
    job = job_of(tmp_path / "out", criteria={"samples": {"Co0.80": {"min_pixels": 10}}})
    with pytest.raises(InputError, match=r'\[criteria.samples."Co0.80"\].*Did you mean \'Co0.8\''):
        nc.run(job, client)
    assert not (tmp_path / "out" / "micrographs.parquet").exists()
