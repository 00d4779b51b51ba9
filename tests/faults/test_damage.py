"""Every flipped bit of the store, the parts and the index is found and named, and never analysed."""

import shutil

import numpy as np
import pytest

import nanocensus as nc
from nanocensus.errors import DamageError
from nanocensus.pipeline.run.inspection import find_troubles, verify
from nanocensus.pipeline.run.record import job_of_run


@pytest.fixture(scope="module")
def small(run, plan, job_of, tmp_path_factory, raw):
    """Two micrographs with everything that a run keeps of them: maps, labels, truth, copies, outlines."""
    plan()
    listed = (raw / "micrographs.csv").read_text().splitlines()[:3]
    table = tmp_path_factory.mktemp("two") / "micrographs.csv"
    table.write_text("\n".join(listed) + "\n")
    out = tmp_path_factory.mktemp("small")
    told = {"folder": str(raw), "table": str(table)}
    run(job_of(out, input=told, measure={"outlines": True}))
    return out


def files_of(out):
    """Give every file of the store, the parts and the index."""
    folders = [path for name in ("micrographs.zarr", "particles", "outlines") for path in (out / name).rglob("*")]
    return sorted(path for path in [*folders, *out.glob("*.parquet")] if path.is_file())


def flipped(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def named(out, path):
    """Say whether doctor names what was damaged: the file, or the micrograph whose it is."""
    words = {path.name, *path.relative_to(out).parts[1:2]} - {"zarr.json"} or {path.parent.name}
    try:
        troubles = find_troubles(out)
    except DamageError as error:
        return any(word in str(error) for word in words)
    return any(word in trouble for trouble in troubles for word in words)


def unfound(out, flips, seed):
    """Give the flips that doctor does not find; half of them by bytes, half by files, so that small files count too."""
    rng = np.random.default_rng(seed)
    files = files_of(out)
    sizes = np.array([path.stat().st_size for path in files])
    missed = []
    for flip in range(flips):
        chances = sizes / sizes.sum() if flip % 2 else np.full(len(files), 1 / len(files))
        path = files[rng.choice(len(files), p=chances)]
        bit = int(rng.integers(8 * path.stat().st_size))
        whole = path.read_bytes()
        flipped(path, bit)
        if not named(out, path):
            missed.append((path.relative_to(out), bit))
        path.write_bytes(whole)
    return missed


def test_flipped_bits_are_found_and_named(small):
    assert find_troubles(small) == []
    assert unfound(small, 60, seed=0) == []
    assert find_troubles(small) == []


@pytest.mark.slow
def test_each_of_400_flipped_bits_is_found_and_named(small):
    assert unfound(small, 400, seed=1) == []


@pytest.mark.parametrize("name", ["particles", "micrographs.parquet"])
def test_a_flipped_bit_is_not_analysed(small, tmp_path, name):
    out = shutil.copytree(small, tmp_path / "out")
    path = out / name if name.endswith("parquet") else next((out / name).iterdir())
    size = path.stat().st_size
    for bit in np.random.default_rng(2).integers(8 * (size - 400), 8 * size, 20):  # in the footer, where pages end
        flipped(path, int(bit))
        with pytest.raises(DamageError):
            nc.read_particles(out).compute(scheduler="sync")
        flipped(path, int(bit))


def test_what_doctor_finds_broken_the_same_command_makes_again(small, run, tmp_path):
    out = shutil.copytree(small, tmp_path / "out")
    told = nc.read_manifest(out)
    micrograph = told.rows()[0]["micrograph"]
    job = job_of_run(out)
    places = ("0/zarr.json", "probability/zarr.json", "labels/truth/0/c/0/0", "labels/zarr.json")
    for place in places:
        flipped(out / "micrographs.zarr" / micrograph / place, 99)
    flipped(out / "micrographs.zarr" / "zarr.json", 99)
    troubles = verify(out)
    assert len(troubles) == len(places) + 1
    run(job)
    assert verify(out) == []
    assert nc.read_micrographs(out).equals(told.micrographs)
