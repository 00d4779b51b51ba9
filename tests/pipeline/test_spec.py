from pathlib import Path

import jsonschema
import pytest

from nanocensus.errors import InputError, JobError
from nanocensus.pipeline.contracts import job_contract
from nanocensus.pipeline.job.spec import Job, parse_job, read_job
from nanocensus.schema import PARTICLES
from nanocensus.sections import parse_section, plain

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.toml"))
RUN_JOBS = [path for path in JOBS if not path.name.startswith("train")]


@pytest.mark.parametrize("path", RUN_JOBS, ids=lambda path: path.name)
def test_every_job_file_is_a_job_and_fits_the_published_contract(path):
    import tomllib

    assert isinstance(read_job(path), Job)
    jsonschema.validate(tomllib.loads(path.read_text()), job_contract())


def test_paths_are_relative_to_the_job_file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text('out = "results"\n[input]\nfolder = "raw"\n')
    job = read_job(path)
    assert job.input.folder == tmp_path / "raw"
    assert job.out == tmp_path / "results"


def test_the_record_of_a_job_is_the_job():
    job = parse_job({"out": "results", "input": {"folder": "raw"}, "criteria": {"min_solidity": 0.8}})
    assert parse_section(Job, plain(job), section="job") == job


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("out = ", "expected TOML"),
        ('out = "r"\n', r"\[input\]"),
        ("[input]\nfolder = 'raw'\n", "the key 'out'"),
        ('out = "r"\n[inptu]\nfolder = "x"\n', "Did you mean 'input'"),
        ('out = "r"\n[input]\nfolder = "x"\npixel_size = 0.1\n', "Did you mean 'pixel_size_nm'"),
        ('out = "r"\n[input]\nfolder = "x"\n[statistics]\nbin_width_nm = 0.2\nbin_quantiles = 5\n', "one rule"),
        ('out = "r"\n[input]\nfolder = "x"\n[measure]\nthreshold = 1.5\n', "between 0 and 1"),
        ('out = "r"\n[input]\nfolder = "x"\n[segment]\nprecision = "bfloat16"\n', "Change one of the two"),
        ('out = "r"\n[input]\nfolder = "x"\n[segment]\nsiblings = ["default"]\n', "at least two different networks"),
        ('out = "r"\n[input]\nfolder = "x"\n[measure]\nestimator = "papre"\n', "'outline', 'paper', 'crofton'"),
        ('out = "r"\n[input]\nfolder = "x"\n[blocks]\nmicrographs = 0\n', "at least 1"),
        ('out = "r"\n[input]\nfolder = "x"\n[statistics]\nbin_width_nm = 0.0\n', "width"),
        ('out = "r"\n[input]\nfolder = "x"\n[statistics]\nbin_edges_nm = [3.0, 2.0]\n', "edges"),
        ('out = "r"\n[input]\nfolder = "x"\n[statistics]\ndescriptors = ["roundnes"]\n', "got roundnes"),
        ('out = "r"\n[input]\nfolder = "x"\n[statistics]\ndescriptors = []\n', "got none"),
        (
            'out = "r"\n[input]\nfolder = "x"\n[statistics]\ndescriptors = ["gap_nm"]\n',
            r"gap_nm.*no value of.*nc\.cells",
        ),
        ('out = "r"\n[input]\nfolder = "x"\n[criteria]\nexclude_border = false\n', "weight"),
        ('out = "r"\n[input]\nfolder = "x"\npixel_size_assumed = true\n', "no pixel_size_nm"),
        ('out = "r"\nseed = -1\n[simulate]\n', "at least 0"),
        ('out = "r"\n[simulate]\nmicrographs = 0\n', "at least 1"),
        ('out = "r"\n[input]\nfolder = "x"\n[cluster]\nworkers = 0\n', "at least 1"),
        ('out = "r"\n[simulate]\n[simulate.micrograph]\ncontrast = 7\n', "contrast"),
        ('out = "r"\n[simulate]\n[quality]\nmax_blur_nm = inf\n', r"\[quality\] max_blur_nm: expected a finite number"),
        ('out = "r"\n[simulate]\n[synthesis.unseen.x]\nCo = inf\n', r"unseen.x.Co: expected a finite number, got inf"),
        ('out = "r"\n[simulate]\n[onsets]\n', "the key 'descriptors'"),
        ('out = "r"\n[simulate]\n[onsets.descriptors]\n', "got none"),
        ('out = "r"\n[simulate]\n[onsets.descriptors.circularity]\n', "the key 'between_nm'"),
        ('out = "r"\n[simulate]\n[onsets.descriptors.circularity]\nbetween_nm = [4.0, 4.3]\n', "nm apart"),
        ('out = "r"\n[simulate]\n[onsets.descriptors.circularity]\nbetween_nm = [2.6, 5, 7.6]\n', "two edge lengths"),
        ('out = "r"\n[simulate]\n[onsets.descriptors.roundnes]\nbetween_nm = [2.6, 7.6]\n', "got roundnes"),
        ('out = "r"\n[simulate]\n[onsets.descriptors.edge_length_nm]\nbetween_nm = [2.6, 7.6]\n', "of shape"),
        (
            'out = "r"\n[simulate]\n[onsets]\nreplicates = 9\n[onsets.descriptors.solidity]\nbetween_nm = [2.6, 7.6]\n',
            "99",
        ),
    ],
)
def test_a_mistake_is_answered_with_what_was_expected(tmp_path, text, words):
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(JobError, match=words):
        read_job(path)


@pytest.mark.parametrize("column", [c for c in PARTICLES.columns if c.quantum], ids=lambda column: column.name)
def test_a_descriptor_has_a_value_in_every_row_or_is_refused(column):
    job = {"out": "r", "simulate": {}, "statistics": {"descriptors": ["solidity", column.name]}}
    if column.nullable and column.name not in ("extent", "mean_probability", "min_probability"):
        with pytest.raises(JobError, match=f"a value for every particle, got {column.name},"):
            parse_job(job)
    else:
        assert parse_job(job).statistics.descriptors == ("solidity", column.name)


def test_border_weights_are_off_where_the_paper_is_followed_unless_asked_for():
    job = {"out": "r", "input": {"folder": "x"}}
    assert parse_job(job).weight_column == "border_weight"
    assert parse_job(job | {"measure": {"estimator": "paper"}}).weight_column is None
    asked = {"measure": {"estimator": "paper"}, "statistics": {"weight": "border_weight"}}
    assert parse_job(job | asked).weight_column == "border_weight"
    assert parse_job(job | {"statistics": {"weight": "none"}}).weight_column is None


def test_a_missing_job_file_is_named():
    with pytest.raises(JobError, match=r"nowhere\.toml"):
        read_job("nowhere.toml")


def test_a_lattice_is_known_before_any_work_starts(tmp_path):
    job = {"out": "x", "simulate": {}}
    assert parse_job(job | {"scale": {"lattice": "4.08 F"}}).scale.lattice == "4.08 F"
    with pytest.raises(InputError, match="one of Co3O4"):
        parse_job(job | {"scale": {"lattice": "Unobtainium"}})
    with pytest.raises(InputError, match=r"au\.cif"):
        parse_job(job | {"scale": {"lattice": "au.cif"}}, base=tmp_path)
    (tmp_path / "au.cif").write_text("data_x\n_cell_length_a 4.08\n_cell_length_b 4.08\n_cell_length_c 4.08\n")
    assert parse_job(job | {"scale": {"lattice": "au.cif"}}, base=tmp_path).scale.lattice == str(tmp_path / "au.cif")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('out = "o"\n\n[input]\nfodler = "raw"\n', 4, "Did you mean 'folder'"),
        ('out = "o"\nseed = "one"\n[simulate]\n', 2, "a whole number"),
        ('out = "o"\n[simulate]\n[criteria.samples."Co0.8"]\nmin_area_nm2 = "x"\n', 4, "a number"),
        ('out = "o"\n# more\n[input] # where\npattern = "{sample}"\n', 3, "the key 'folder'"),
        ('out = "o"\n[simulate]\n[clutser]\nworkers = 1\n', 3, "Did you mean 'cluster'"),
        ('out = "o"\n[simulate]\n[cluster]\nkind = "inline"\nworkers = 2\n', 3, "one worker, this process"),
        ('out = "o"\n[simulate]\n[measure]\nthreshold = 7.0\n', 4, "between 0 and 1"),
    ],
)
def test_a_mistake_in_the_file_is_answered_with_its_line_and_the_way_out(tmp_path, text, line, words):
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(JobError, match=rf"job\.toml, line {line}: .*{words}"):
        read_job(path)
    assert not (tmp_path / "o").exists()
