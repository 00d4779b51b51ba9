"""`nanocensus init`: what a folder tells by itself."""

import csv

import imageio.v3
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from nanocensus.cli import app
from nanocensus.errors import JobError
from nanocensus.pipeline.job.spec import read_job
from nanocensus.pipeline.run.first_job import begin
from nanocensus.store.images.ingest import ingest
from nanocensus.store.studies.sources import find_sources
from nanocensus.store.survey import conditions_in, survey
from nanocensus.testing import InstrumentImage, write_dm, write_velox

RNG = np.random.default_rng(4)


def pixels(shape=(40, 40)):
    return RNG.integers(0, 999, shape).astype(np.uint16)


def recorded(day, unit="nm", title="HAADF"):
    tags = {"DataBar": {"Acquisition Date": f"1/{day}/2024", "Acquisition Time": "10:11:12 AM"}}
    return InstrumentImage(pixels(), unit=unit, title=title, tags=tags)


@pytest.fixture
def mixed(tmp_path):
    """Two samples, four formats, one file that is no image, one that holds two, one without a size."""
    raw = tmp_path / "raw"
    one, other = raw / "Co0.4_DW0.43", raw / "Co0.8_DW0.43"
    one.mkdir(parents=True)
    other.mkdir()
    for number, day in enumerate((9, 8, 7)):
        write_dm(one / f"a_{number}.dm3", [recorded(day)])
    write_dm(one / "diffraction.dm3", [recorded(1, unit="1/nm")])
    write_dm(one / "two.dm4", [recorded(2), recorded(2, title="BF")], version=4)
    write_velox(other / "v.emd", [InstrumentImage(pixels(), (0.086e-9, 0.086e-9), "m", "BF")])
    tifffile.imwrite(other / "plain.tif", pixels())
    (other / "notes.txt").write_text("nothing to see")
    return raw


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_of_mixed_files_becomes_a_job_that_runs_as_it_is(mixed, tmp_path):
    first = begin(mixed)
    job = read_job(first.job)
    sources = find_sources(job.input.folder, table=job.input.table)
    assert [source.name for source in sources if source.sample == "Co0.4_DW0.43"][:3] == [
        "Co0.4_DW0.43/a_2.dm3", "Co0.4_DW0.43/a_1.dm3", "Co0.4_DW0.43/a_0.dm3",
    ]  # fmt: skip
    assert {source.sample: dict(source.conditions) for source in sources} == {
        "Co0.4_DW0.43": {"Co": 0.4}, "Co0.8_DW0.43": {"Co": 0.8},
    }  # fmt: skip
    assert [source.session for source in sources[:3]] == ["2024-01-07", "2024-01-08", "2024-01-09"]
    manifest = ingest(sources, tmp_path / "out")
    assert len(manifest.micrographs) == 4
    reasons = dict(zip(manifest.refusals["name"], manifest.refusals["reason"], strict=True))
    told = {each.name: each.problem for each in first.survey.files if each.problem}
    assert set(reasons) == {*told, "Co0.8_DW0.43/plain.tif"}
    assert first.survey.uncalibrated == ["Co0.8_DW0.43/plain.tif"]


def test_each_header_that_was_read_is_told(mixed):
    told = []
    begin(mixed, on_progress=told.append)
    assert [(each.stage, each.done, each.total) for each in told] == [("headers", i, 7) for i in range(1, 8)]


def test_what_no_file_contains_has_a_cell_to_fill(mixed):
    table = begin(mixed).table
    header = list(rows(table)[0])
    assert header == ["file", "image", "sample", "session", "pixel_size_nm", "Co"]
    text = table.read_text()
    table.write_text(
        text.replace("two.dm4,,", "two.dm4,BF,").replace("plain.tif,,Co0.8_DW0.43,,,", "plain.tif,,Co0.8_DW0.43,,0.1,")
    )
    manifest = ingest(find_sources(mixed, table=table), mixed.parent / "out")
    assert list(manifest.refusals["name"]) == ["Co0.4_DW0.43/diffraction.dm3"]


def test_what_may_have_been_edited_is_not_replaced_unasked(mixed):
    begin(mixed)
    with pytest.raises(JobError, match="--replace"):
        begin(mixed)
    begin(mixed, replace=True)


def test_the_command_says_what_will_be_refused_and_what_is_missing(mixed):
    said = CliRunner().invoke(app, ["init", str(mixed)])
    assert said.exit_code == 0
    text = " ".join(said.output.split())
    assert "Co0.4_DW0.43 │ 5 │ 0.086 │ Co 0.4" in text
    assert "will be refused Co0.4_DW0.43/diffraction.dm3" in text
    assert "1 'HAADF', 2 'BF'" in text
    assert "not stated by Co0.8_DW0.43/plain.tif (1 in all)" in text


def test_images_that_are_coloured_or_stacks_are_said_to_be_refused(tmp_path):
    grey = RNG.integers(0, 255, (40, 40, 1)).astype(np.uint8)
    for name, image in (
        ("grey.png", np.repeat(grey, 3, 2)),
        ("overlay.png", np.concatenate([grey, grey, 255 - grey], 2)),
        ("overlay.tif", np.concatenate([grey, grey, 255 - grey], 2)),
    ):
        imageio.v3.imwrite(tmp_path / name, image)
    np.save(tmp_path / "series.npy", np.zeros((6, 40, 40), np.uint16))
    problems = {each.name: each.problem for each in survey(tmp_path).files}
    ingested = ingest(find_sources(tmp_path, pixel_size_nm=0.1), tmp_path.parent / "out").refusals
    assert set(ingested["name"]) == {name for name, problem in problems.items() if problem}
    assert problems["grey.png"] == ""
    assert all("3 channels that differ" in problems[f"overlay.{suffix}"] for suffix in ("png", "tif"))
    assert "6 frames" in problems["series.npy"]
    said = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert "".join(said.output.split()).count("willberefused") == 3


def save(folder, *names, shape=(40, 40), size=0.086):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, pixels(shape), imagej=True, metadata={"unit": "nm"}, resolution=(1 / size, 1 / size))


def placed(folder):
    return {each.name: (each.sample, each.group, each.mask) for each in survey(folder).files}


def test_names_of_loose_files_are_samples_up_to_their_counter(tmp_path):
    save(tmp_path, "Co0.4_0001.tif", "Co0.4_0002.tif", "Co0.8_0001.tif")
    assert {sample for sample, _, _ in placed(tmp_path).values()} == {"Co0.4", "Co0.8"}


def test_loose_files_with_names_of_their_own_are_one_sample(tmp_path):
    save(tmp_path, "alpha.tif", "beta.tif")
    assert {sample for sample, _, _ in placed(tmp_path).values()} == {tmp_path.name}


def test_folders_of_images_and_masks_are_no_samples(tmp_path):
    save(tmp_path, "images/A/f1/1.tif", "images/A/f2/2.tif", "masks/1.tif", "masks/9.tif")
    assert placed(tmp_path) == {
        "images/A/f1/1.tif": ("A", "f1", "masks/1.tif"),
        "images/A/f2/2.tif": ("A", "f2", None),
    }
    assert "Masks without a micrograph of their name: 1 (masks/9.tif)." in survey(tmp_path).remarks
    assert read_job(begin(tmp_path).job).statistics.cluster == "group"


def test_masks_of_equal_names_stay_with_their_folders(tmp_path):
    save(tmp_path, "A/images/1.tif", "B/images/1.tif", "A/masks/1.tif", "B/masks/1.tif", "C/1.tif")
    assert {name: mask for name, (_, _, mask) in placed(tmp_path).items()} == {
        "A/images/1.tif": "A/masks/1.tif",
        "B/images/1.tif": "B/masks/1.tif",
        "C/1.tif": None,
    }


def test_what_does_not_fit_together_is_remarked(tmp_path):
    save(tmp_path, "A/1.tif")
    save(tmp_path, "A/2.tif", size=0.1, shape=(40, 50))
    save(tmp_path, "B/1.tif", size=0.1)
    remarks = survey(tmp_path).remarks
    assert len(remarks) == 2
    assert "pixels of A are of different sizes (0.086, 0.1 nm)" in remarks[0]
    assert "different shapes (40 x 40, 40 x 50)" in remarks[1]


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (["Co0.4", "Co0.8"], {"Co"}),
        (["Co0.4-DW0.43 run2", "Co0.8-DW0.5 run1"], {"Co", "DW"}),
        (["Co0.4", "Mn0.8"], set()),
        (["run1", "run2"], set()),
        (["order1", "order2"], set()),
        (["250C_Co4", "300C_Co5"], {"Co"}),
        (["Co0.4"], set()),
    ],
)
def test_conditions_are_words_with_numbers_that_differ(samples, words):
    found = conditions_in(samples)
    assert all(set(each) == words for each in found.values())


def test_a_folder_whose_name_holds_no_condition_hides_none(tmp_path):
    save(tmp_path, "Co0.4_DW0.4/1.tif", "Co0.8_DW0.8/1.tif", "others/1.tif")
    first = begin(tmp_path)
    assert first.survey.conditions == {"Co0.4_DW0.4": {"Co": 0.4, "DW": 0.4}, "Co0.8_DW0.8": {"Co": 0.8, "DW": 0.8}, "others": {}}  # fmt: skip
    assert [line.split(",")[-2:] for line in first.table.read_text().splitlines()] == [
        ["Co", "DW"],
        ["0.4", "0.4"],
        ["0.8", "0.8"],
        ["", ""],
    ]
    assert "The names of others say nothing of Co, DW" in first.survey.remarks[0]


def test_a_folder_without_micrographs_is_refused(tmp_path):
    with pytest.raises(JobError, match="expected micrographs"):
        survey(tmp_path)


@pytest.mark.parametrize("name", ['a "b"', "a\\new", "Co₃O₄"])
def test_any_name_of_a_folder_becomes_a_title(tmp_path, name):
    raw = tmp_path / name / "A"
    raw.mkdir(parents=True)
    tifffile.imwrite(raw / "plain.tif", pixels())
    assert read_job(begin(tmp_path / name).job).title == name


def test_the_command_names_each_file_and_writes_conditions_with_all_their_digits(tmp_path):
    given = {"lot20240102": "nm", "lot20240103": "mm"}
    for sample, unit in given.items():
        (tmp_path / sample).mkdir()
        tifffile.imwrite(
            tmp_path / sample / "a.tif", pixels(), imagej=True, resolution=(10, 10), metadata={"unit": unit}
        )
    text = " ".join(CliRunner().invoke(app, ["init", str(tmp_path)]).output.split())
    assert "lot 20240102" in text
    assert "will be refused lot20240103/a.tif: pixel size (ImageJ): expected 0.001 to 1000 nm" in text


def test_the_command_prints_conditions_in_digits_of_other_scripts(tmp_path):
    for sample in ("Co٤", "Co٥"):
        (tmp_path / sample).mkdir()
        tifffile.imwrite(tmp_path / sample / "a.tif", pixels())
    said = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert said.exit_code == 0
    assert "Co ٤" in said.output
