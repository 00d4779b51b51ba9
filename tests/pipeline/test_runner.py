from nanocensus.pipeline.run.runner import _remove_superseded
from nanocensus.store.commit import partial_path
from nanocensus.store.particles.tables import PARTICLES_FOLDER


def test_a_run_removes_what_killed_writers_left_and_what_its_index_does_not_name(tmp_path):
    kept = [tmp_path / PARTICLES_FOLDER / "part-b.parquet", tmp_path / "simulated/A/0000.tif"]
    written = [*kept, tmp_path / PARTICLES_FOLDER / "part-a.parquet"]
    places = [tmp_path / name for name in ("run.json", "tables/a.csv", "simulated/truth.csv", "simulated/A/0001.tif")]
    for path in (*written, *map(partial_path, places)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    _remove_superseded(tmp_path, {"part-b.parquet"})
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
