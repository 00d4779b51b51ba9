"""What a job names and is not there is answered with the line of its file, before anything starts."""

import unicodedata

import pytest

import nanocensus as nc
from nanocensus.errors import JobError
from nanocensus.pipeline.job.paths import job_to_run
from nanocensus.pipeline.run.intake import find_micrographs

TLS = 'out = "o"\n[simulate]\n[cluster]\nscheduler = "tls://h:1"\ntls_ca = "raw/cut.pem"\ntls_cert = "raw/cut.pem"\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "raw").mkdir()
    for name in ("micrographs.csv", "mine.safetensors", "au.cif", "cut.pem"):
        (tmp_path / "raw" / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('out = "o"\n[input]\nfolder = "rwa"\n', 3, "[input] folder", "Did you mean 'raw'"),
        (
            'out = "o"\n[input]\nfolder = "raw/au.cif"\n',
            3,
            "[input] folder",
            "a folder of micrographs, got .*is a file",
        ),
        ('out = "o"\n[input]\nfolder = "raw"\ntable = "micrographs.csv"\n', 4, "[input] table", "job file's folder"),
        ('out = "o"\n[input]\nfolder = "raw"\ntable = "raw"\n', 4, "[input] table", "which is a folder"),
        ('out = "o"\n[simulate]\n[segment]\nmodel = "raw/mien.safetensors"\n', 4, "[segment] model", "mean 'mine.safe"),
        ('out = "o"\n[simulate]\n[segment]\n\nmodel = "defualt"\n', 5, "[segment] model", "Did you mean 'default'"),
        (
            'out = "o"\n[simulate]\n[segment]\nsiblings = ["default-fold0", "x.safetensors"]\n',
            4,
            "[segment] siblings",
            "x.safetensors, where there is nothing",
        ),
        (TLS + 'tls_key = "key.pem"\n', 7, "[cluster] tls_key", "where there is nothing"),
        (
            (
                'out = "o"\n[simulate]\n[onsets]\nconstant_shape = "disc"\nconstant_run = "raws"\n'
                "[onsets.descriptors.circularity]\nbetween_nm = [2.6, 7.6]\n"
            ),
            5,
            "[onsets] constant_run",
            "Did you mean 'raw'",
        ),
        ('out = "o"\n[simulate]\n[scale]\nlattice = "ag.cif"\n', 4, "[scale] lattice", "ag.cif: No such file"),
        ('out = "o"\n[simulate]\n[scale]\nlattice = "Unobtainium"\n', 4, "[scale] lattice", "one of Co3O4"),
    ],
)
def test_what_is_not_there_is_named_with_its_line_and_nothing_starts(folder, text, line, key, words):
    path = folder / "job.toml"
    path.write_text(text)
    with pytest.raises(JobError, match=words) as raised:
        nc.run(path)
    assert raised.value.subject == f"job.toml, line {line}: {key}"
    assert not (folder / "o").exists()


def test_a_mapping_has_no_lines_but_keys(tmp_path):
    with pytest.raises(JobError, match="where there is nothing") as raised:
        nc.run({"out": str(tmp_path / "o"), "input": {"folder": str(tmp_path / "raw")}})
    assert raised.value.subject == "[input] folder"
    assert not (tmp_path / "o").exists()


def test_paths_are_relative_to_the_job_file_those_of_networks_too(folder):
    path = folder / "job.toml"
    path.write_text(
        'out = "o"\n[input]\nfolder = "raw"\ntable = "raw/micrographs.csv"\n'
        '[segment]\nmodel = "raw/mine.safetensors"\nsiblings = ["default-fold0", "raw/mine.safetensors"]\n'
    )
    job = job_to_run(path)
    mine = str(folder / "raw" / "mine.safetensors")
    assert (job.input.folder, job.segment.model) == (folder / "raw", mine)
    assert job.segment.siblings == ("default-fold0", mine)
    assert job_to_run(job) is job


def test_criteria_of_a_sample_are_found_however_its_letters_are_composed(tmp_path):
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "Größe")
        simulate = {"sample": name, "micrographs": 1, "micrograph": {"shape": [256, 256], "mean_particles": 2.0}}
        out = str(tmp_path / form)
        made = job_to_run({"out": out, "simulate": simulate, "criteria": {"samples": {name: {"min_pixels": 9}}}})
        assert list(made.criteria.samples) == ["Größe"]
        assert {source.sample for source in find_micrographs(made)} == {"Größe"}
