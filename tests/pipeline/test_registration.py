import json

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from nanocensus.measure.registration import thumbnail
from nanocensus.pipeline.run import registration
from nanocensus.pipeline.run.registration import Pair, known_pairs, register, with_overlaps
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import content_digest, create_store, write_micrograph
from nanocensus.store.images.thumbnails import read_thumbnail, write_thumbnail


@pytest.fixture
def places():
    """Five windows of one film: 0 and 3 share 69 %, 1 and 4 half, 2 is alone."""
    rng = np.random.default_rng(0)
    wide = ndimage.gaussian_filter(rng.normal(size=(256, 2600)), 2.0)
    return [wide[:, left : left + 256] + 0.01 * rng.normal(size=(256, 256)) for left in (0, 600, 1200, 80, 728)]


def written(out, places):
    create_store(out / STORE_FOLDER)
    rows = []
    for number, image in enumerate(places):
        pixels = np.clip(1000 + 900 * image, 0, 65535).astype(np.uint16)
        micrograph = content_digest(pixels)[:16]
        write_micrograph(out / STORE_FOLDER, micrograph, pixels, name=f"{number}.tif", pixel_size_nm=0.1)
        rows.append({"micrograph": micrograph, "name": f"{number}.tif", "sample": "A", "pixel_size_nm": 0.1,
                     "height_px": 256, "width_px": 256, "status": "done"})  # fmt: skip
    return pd.DataFrame(rows)


def named(pairs, index):
    names = dict(zip(index["micrograph"], index["name"], strict=True))
    return {(names[pair.first][0], names[pair.second][0]) for pair in pairs}


def test_pairs_of_a_sample_are_found_and_shift_and_share_are_of_pixels(tmp_path, places, client):
    index = written(tmp_path, places)
    pairs = register(index, tmp_path, client, resources={})
    assert named(pairs, index) == {("0", "3"), ("1", "4")}
    assert [(pair.shift_y_px, pair.shift_x_px) for pair in pairs] == [
        (pytest.approx(0, abs=1), pytest.approx(80, abs=1)), (pytest.approx(0, abs=1), pytest.approx(128, abs=1))
    ]  # fmt: skip
    assert pairs[0].share == pytest.approx(176 / 256, abs=0.01)
    filled = with_overlaps(index, pairs)
    assert filled["overlap_with"].tolist() == ["3.tif", "4.tif", None, "0.tif", "1.tif"]
    assert filled["overlap_shift_x_px"].tolist()[3:] == [-pair.shift_x_px for pair in pairs]
    assert register(index.assign(sample=list("ABABA")), tmp_path, client, resources={}) == []
    assert register(index.assign(status=["failed"] * 3 + ["done"] * 2), tmp_path, client, resources={}) == []


def test_what_was_compared_is_not_compared_again_and_what_is_new_is(tmp_path, places, client, monkeypatch):
    index = written(tmp_path, places)
    asked = []
    calls = registration._calls
    monkeypatch.setattr(registration, "_calls", lambda *given: asked.append(calls(*given)) or asked[-1])
    some = index.iloc[[0, 1, 2]]
    assert register(some, tmp_path, client, resources={}) == []
    assert named(register(index, tmp_path, client, resources={}), index) == {("0", "3"), ("1", "4")}
    before = (tmp_path / registration.OVERLAPS_FILE).read_bytes()
    register(index, tmp_path, client, resources={})
    assert (tmp_path / registration.OVERLAPS_FILE).read_bytes() == before
    assert [len(each) for each in asked] == [1, 1, 0]
    assert asked[1][0].known == 3
    assert known_pairs(tmp_path) == tuple(register(index, tmp_path, client, resources={}))
    # One that is gone takes its pair along.
    assert named(register(index.iloc[:4], tmp_path, client, resources={}), index) == {("0", "3")}


def test_the_order_of_the_index_decides_which_comes_first(tmp_path, places, client):
    index = written(tmp_path, places)
    register(index.iloc[:3], tmp_path, client, resources={})
    turned = register(index[::-1], tmp_path, client, resources={})
    assert named(turned, index) == {("3", "0"), ("4", "1")}
    assert turned[0].shift_x_px == pytest.approx(-128, abs=1)


@pytest.mark.parametrize(
    "bytes_", [b"", b"{", b"[1]", b'{"version": 0}', b'{"version": 1, "compared": [], "pairs": [1]}']
)
def test_a_damaged_file_is_made_again(tmp_path, places, client, bytes_):
    index = written(tmp_path, places)
    found = register(index, tmp_path, client, resources={})
    (tmp_path / registration.OVERLAPS_FILE).write_bytes(bytes_)
    assert register(index, tmp_path, client, resources={}) == found
    assert json.loads((tmp_path / registration.OVERLAPS_FILE).read_text())["version"] == 1


def test_a_thumbnail_that_is_lost_or_damaged_is_made_again(tmp_path, places, client):
    index = written(tmp_path, places)
    kept = thumbnail(places[0])
    write_thumbnail(tmp_path, index["micrograph"][0], kept)
    assert np.array_equal(read_thumbnail(tmp_path, index["micrograph"][0]), kept)
    (path,) = (tmp_path / "thumbnails").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert read_thumbnail(tmp_path, index["micrograph"][0]) is None
    assert len(register(index, tmp_path, client, resources={})) == 2
    assert len(list((tmp_path / "thumbnails").iterdir())) == 5


def test_a_group_that_a_worker_lost_is_tried_again(tmp_path, places, client):
    index = written(tmp_path, places)
    lost = index.assign(micrograph=[*index["micrograph"][:4], "0" * 16])  # its pixels are nowhere
    assert register(lost, tmp_path, client, resources={}) == []
    assert json.loads((tmp_path / registration.OVERLAPS_FILE).read_text())["compared"] == []
    assert len(register(index, tmp_path, client, resources={})) == 2


def test_pairs_that_are_found_again_are_not_doubled(tmp_path, places, client):
    index = written(tmp_path, places)
    found = register(index, tmp_path, client, resources={})
    path = tmp_path / registration.OVERLAPS_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"compared": []}))
    assert register(index, tmp_path, client, resources={}) == found


def test_of_several_the_largest_overlap_is_named():
    index = pd.DataFrame({"micrograph": list("abc"), "name": ["a.tif", "b.tif", "c.tif"]})
    pairs = [Pair("a", "b", 0.2, 1.0, 2.0, 20.0), Pair("a", "c", 0.6, 3.0, 4.0, 20.0)]
    filled = with_overlaps(index, pairs)
    assert filled["overlap_with"].tolist() == ["c.tif", "a.tif", "a.tif"]
    assert filled["overlap_shift_y_px"].tolist() == [3.0, -1.0, -3.0]


def test_a_large_sample_is_cut_into_several_tasks_that_miss_no_pair(monkeypatch):
    monkeypatch.setattr(registration, "_PAIRS_AT_ONCE", 10)
    members = tuple(map(str, range(12)))
    for old in ((), members[3:9], members):
        calls = registration._calls(members, 2, registration._Known((old,), ()))
        compared = {
            frozenset((call.members[row], call.members[other]))
            for call in calls
            for row in call.rows
            for other in range(max(row + 1, call.known if row < call.known else 0), 12)
        }
        wanted = {frozenset((a, b)) for a in members for b in members if a != b and not {a, b} <= set(old)}
        assert compared == wanted
        assert len(calls) > 3 or not wanted
