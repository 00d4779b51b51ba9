import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.errors import ImageError
from nanocensus.schema import MICROGRAPHS
from nanocensus.store.formats.readers import read_image
from nanocensus.store.images.ingest import STORE_FOLDER, ingest
from nanocensus.store.images.micrographs import content_digest, read_labels, read_pixels, write_probability
from nanocensus.store.images.stamps import forget
from nanocensus.store.manifest import Manifest, read_manifest, write_manifest
from nanocensus.store.masks.masks import in_raster_order, read_truth
from nanocensus.store.studies.sources import find_sources


def image(seed: int, shape=(24, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, shape, dtype=np.uint16)


def save(path: Path, pixels: np.ndarray, nm: float | None = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if nm is None:
        tifffile.imwrite(path, pixels, metadata=None)
    else:
        tifffile.imwrite(path, pixels, imagej=True, metadata={"unit": "nm"}, resolution=(1 / nm, 1 / nm))
    return path


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "raw"
    save(root / "A/1.tif", image(1))
    save(root / "A/2.tif", image(2))
    save(root / "A/10.tif", image(1))  # the pixels of 1
    save(root / "B/1.tif", image(4), nm=None)
    save(root / "B/2.tif", image(5), nm=1e5)
    save(root / "B/3.tif", np.stack([image(6)] * 3))
    save(root / "B/4.tif", image(7))
    (root / "B/5.dm4").write_bytes(b"abc")
    return root


def table(raw: Path, text: str) -> Path:
    (raw.parent / "micrographs.csv").write_text(text)
    return raw.parent / "micrographs.csv"


def without_stages(manifest: Manifest) -> pd.DataFrame:
    return manifest.micrographs.drop(columns=["status"])


def test_every_source_becomes_a_row_or_a_refusal_with_its_reason(raw, tmp_path):
    sources = find_sources(raw)
    manifest = ingest(sources, tmp_path / "out")
    assert len(sources) == len(manifest.micrographs) + len(manifest.refusals) == 8
    assert list(manifest.micrographs["name"]) == ["A/1.tif", "A/2.tif", "B/4.tif"]
    reasons = dict(zip(manifest.refusals["name"], manifest.refusals["reason"], strict=True))
    assert set(reasons) | set(manifest.micrographs["name"]) == {source.name for source in sources}
    assert "the same pixels as A/1.tif" in reasons["A/10.tif"]
    for way_out in ("job file", "micrographs.csv", "calibrated TIFF"):
        assert way_out in reasons["B/1.tif"]
    assert "100000 nm" in reasons["B/2.tif"]
    assert "stack of 3 frames" in reasons["B/3.tif"]
    assert "a readable .dm4 file" in reasons["B/5.dm4"]
    row = manifest.rows()[0]
    digest = content_digest(image(1))
    assert row == dict.fromkeys(MICROGRAPHS.names) | {
        "micrograph": digest[:16], "name": "A/1.tif", "sample": "A", "order": 0, "height_px": 24, "width_px": 30,
        "recorded_dtype": "uint16", "pixel_size_nm": pytest.approx(0.1), "pixel_size_source": "ImageJ",
        "content_digest": digest, "status": "ingested",
    }  # fmt: skip
    np.testing.assert_array_equal(read_pixels(tmp_path / "out" / STORE_FOLDER, digest[:16]), image(1))
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "out").micrographs, manifest.micrographs)
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "out").refusals, manifest.refusals)


def test_the_result_does_not_depend_on_who_runs_the_tasks(raw, tmp_path):
    sources = find_sources(raw)
    plain = ingest(sources, tmp_path / "plain")
    with ThreadPoolExecutor(4) as threads:
        threaded = ingest(sources, tmp_path / "threads", map=threads.map)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        spawned = ingest(sources, tmp_path / "processes", map=processes.map)

    def backwards(function, tasks):
        return reversed([function(task) for task in reversed(tasks)])

    reverse = ingest(sources, tmp_path / "backwards", map=backwards)
    files = ["micrographs.parquet", "refusals.parquet"]
    for other, folder in ((threaded, "threads"), (spawned, "processes"), (reverse, "backwards")):
        pd.testing.assert_frame_equal(other.micrographs, plain.micrographs)
        for file in files:
            assert (tmp_path / folder / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
        for row in other.rows():  # viewers are told the name of the one that stayed
            group = zarr.open_group(tmp_path / folder / STORE_FOLDER / row["micrograph"], mode="r")
            assert group.attrs["ome"]["multiscales"][0]["name"] == row["name"]


def measured(out: Path) -> None:
    manifest = read_manifest(out)
    done = {
        "segment_digest": "s",
        "measure_digest": "m",
        "status": "done",
        "n_detected": 7,
        "part": "p",
        "part_digest": "d",
    }
    write_manifest(out, Manifest.from_rows([row | done for row in manifest.rows()], []))


def test_a_second_call_keeps_what_was_done_and_adds_what_is_new(raw, tmp_path):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    measured(out)
    before = read_manifest(out).micrographs
    shards = {p: p.stat().st_mtime_ns for p in (out / STORE_FOLDER).rglob("*/c/0/0")}
    save(raw / "A/3.tif", image(33))
    after = ingest(find_sources(raw), out)
    assert list(after.micrographs["name"]) == ["A/1.tif", "A/2.tif", "A/3.tif", "B/4.tif"]
    assert len(after.refusals) == 5
    kept = after.micrographs[after.micrographs["name"] != "A/3.tif"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)
    assert after.rows()[2]["status"] == "ingested"
    assert after.rows()[2]["n_detected"] is None
    assert {p: p.stat().st_mtime_ns for p in shards} == shards
    again = {name: (out / name).stat().st_mtime_ns for name in ("micrographs.parquet", "refusals.parquet")}
    ingest(find_sources(raw), out)
    assert {name: (out / name).stat().st_mtime_ns for name in again} == again


def test_a_copy_that_sorts_before_does_not_displace_what_is_there(raw, tmp_path):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    save(raw / "A/0.tif", image(2))
    after = ingest(find_sources(raw), out)
    assert list(after.micrographs["name"]) == ["A/1.tif", "A/2.tif", "B/4.tif"]
    assert "the same pixels as A/2.tif" in after.refusals.set_index("name").loc["A/0.tif", "reason"]


def test_sources_that_are_not_named_again_stay(raw, tmp_path):
    out = tmp_path / "out"
    first = ingest(find_sources(raw), out)
    after = ingest([s for s in find_sources(raw) if s.sample == "A"], out)
    pd.testing.assert_frame_equal(after.micrographs, first.micrographs)
    pd.testing.assert_frame_equal(after.refusals, first.refusals)


def test_changed_pixels_under_a_name_make_a_new_micrograph_and_the_old_is_reported(raw, tmp_path, caplog):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    measured(out)
    save(raw / "A/2.tif", image(22))
    after = ingest(find_sources(raw), out).micrographs.set_index("name")
    assert after.loc["A/2.tif", "content_digest"] == content_digest(image(22))
    assert after.loc["A/2.tif", "status"] == "ingested"
    assert after.loc["A/1.tif", "status"] == "done"
    assert content_digest(image(2))[:16] in caplog.text
    assert content_digest(image(2))[:16] not in set(after["micrograph"])


def test_files_that_swap_their_pixels_are_two_new_micrographs(raw, tmp_path):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    save(raw / "A/2.tif", image(7))
    save(raw / "B/4.tif", image(2))
    after = ingest(find_sources(raw), out).micrographs.set_index("name")
    assert after.loc["A/2.tif", "content_digest"] == content_digest(image(7))
    assert after.loc["B/4.tif", "content_digest"] == content_digest(image(2))


def test_a_file_that_was_mended_leaves_the_refusals_and_one_that_broke_joins_them(raw, tmp_path, caplog):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    save(raw / "B/1.tif", image(4))
    (raw / "A/1.tif").write_bytes(b"")
    after = ingest(find_sources(raw), out)
    assert list(after.micrographs["name"]) == ["A/2.tif", "A/10.tif", "B/1.tif", "B/4.tif"]
    assert "0 bytes" in after.refusals.set_index("name").loc["A/1.tif", "reason"]
    assert "A/1.tif is refused now: micrograph" in caplog.text
    assert "other pixels" not in caplog.text


def test_another_sample_or_pixel_size_means_measuring_again_and_another_condition_does_not(raw, tmp_path):
    out = tmp_path / "out"
    first = "file,sample,group,Co_mmol\nA/1.tif,A,g1,0.4\nA/2.tif,A,g1,0.4\nB/4.tif,B,g1,0.5\n"
    ingest(find_sources(raw, table=table(raw, first)), out)
    measured(out)
    second = "file,sample,group,Co_mmol,pixel_size_nm\nA/1.tif,C,g1,0.4,\nA/2.tif,A,g2,0.45,\nB/4.tif,B,g1,0.5,0.2\n"
    after = ingest(find_sources(raw, table=table(raw, second)), out).micrographs.set_index("name")
    assert dict(after["status"]) == {"A/1.tif": "ingested", "A/2.tif": "done", "B/4.tif": "ingested"}
    assert list(after["segment_digest"]) == ["s"] * 3
    for column in ("measure_digest", "part", "part_digest", "n_detected"):
        assert list(after[column].isna()) == [status == "ingested" for status in after["status"]]
    assert after.loc["A/2.tif", "group"] == "g2"
    assert after.loc["A/2.tif", "condition_Co_mmol"] == 0.45
    assert after.loc["B/4.tif", "pixel_size_source"] == "given"
    group = zarr.open_group(out / STORE_FOLDER / after.loc["B/4.tif", "micrograph"], mode="r")
    scale = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [0.2, 0.2]


def test_a_given_pixel_size_goes_before_the_files_and_disagreement_is_logged(raw, tmp_path, caplog):
    manifest = ingest(find_sources(raw, pixel_size_nm=0.1005), tmp_path / "close")
    assert [record.getMessage().split(":")[0] for record in caplog.records if "file says" in record.message] == [
        "B/2.tif"
    ]
    sizes = manifest.micrographs.set_index("name")
    assert set(sizes["pixel_size_nm"]) == {0.1005}
    assert {"B/1.tif", "B/2.tif"} <= set(sizes.index)
    caplog.clear()
    ingest(find_sources(raw, pixel_size_nm=0.12, assumed=True), tmp_path / "far")
    assert "A/1.tif: the pixel size assumed is 0.12 nm, but ImageJ in the file says 0.1 nm" in caplog.text
    assert set(read_manifest(tmp_path / "far").micrographs["pixel_size_source"]) == {"assumed"}


def test_nearly_square_pixels_are_taken_as_square_and_others_refused(tmp_path, caplog):
    for name, ratio in (("near", 1.0005), ("far", 1.01)):
        path = tmp_path / "raw/A" / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = image(len(name))
        tifffile.imwrite(path, pixels, imagej=True, metadata={"unit": "nm"}, resolution=(10.0, 10.0 * ratio))
    manifest = ingest(find_sources(tmp_path / "raw"), tmp_path / "out")
    assert list(manifest.micrographs["name"]) == ["A/near.tif"]
    assert manifest.micrographs["pixel_size_nm"].iloc[0] == pytest.approx(0.1 / 1.0005**0.5)
    assert "taken as square" in caplog.text
    assert "square pixels" in manifest.refusals["reason"].iloc[0]


def test_conditions_are_numbers_only_where_all_rows_have_numbers(raw, tmp_path):
    text = "file,Co_mmol,note\nA/1.tif,0.4,7\nA/2.tif,,8\nB/4.tif,0.5,old\n"
    micrographs = ingest(find_sources(raw, table=table(raw, text)), tmp_path / "out").micrographs
    assert micrographs["condition_Co_mmol"].dtype == np.float64
    np.testing.assert_array_equal(micrographs["condition_Co_mmol"], [0.4, np.nan, 0.5])
    assert list(micrographs["condition_note"]) == ["7", "8", "old"]
    only = "file,Co_mmol,note\nB/4.tif,many,9\n"
    micrographs = ingest(find_sources(raw, table=table(raw, only)), tmp_path / "out").micrographs
    assert list(micrographs["condition_Co_mmol"].fillna("")) == ["0.4", "", "many"]
    assert micrographs["condition_note"].dtype == np.float64


def test_masks_become_truth_labels_and_their_name_a_column(raw, tmp_path):
    mask = np.zeros((24, 30), np.uint8)
    mask[3:6, 3:6] = mask[6, 6] = mask[10:12, 20:] = 255
    labels = np.zeros((24, 30), np.uint16)
    labels[5:9, 5:9], labels[1:3, 1:9], labels[9:11, 5:9] = 4, 9, 7
    save(raw.parent / "raw/masks/1.tif", mask)
    np.save(raw / "masks/2.npy", labels)
    save(raw / "masks/4.tif", mask[:20])
    text = "file,mask\nA/1.tif,masks/1.tif\nA/2.tif,masks/2.npy\nB/4.tif,masks/4.tif\nB/1.tif,\n"
    sources = find_sources(raw, table=table(raw, text), pixel_size_nm=0.1)
    manifest = ingest(sources, tmp_path / "out")
    first, second, third = manifest.rows()
    assert [first["truth"], second["truth"], third["truth"]] == ["1.tif", "2.npy", None]
    store = tmp_path / "out" / STORE_FOLDER
    truth = read_labels(store, first["micrograph"], name="truth")
    assert truth.max() == 2
    assert truth[6, 6] == truth[3, 3] == 1  # corners connect
    np.testing.assert_array_equal(truth > 0, mask > 0)
    expected = np.select([labels == 9, labels == 4, labels == 7], [1, 2, 3]).astype(np.int32)
    np.testing.assert_array_equal(read_labels(store, second["micrograph"], name="truth"), expected)
    assert read_labels(store, third["micrograph"], name="truth") is None
    (refusal,) = manifest.refusals.to_dict("records")
    assert refusal["name"] == "B/4.tif"
    assert "24 x 30" in refusal["reason"]
    assert "20 x 30" in refusal["reason"]


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.array([[1, 2], [2, 1]]), "0 for background"),
        (np.array([[-1, 0], [2, 1]]), "0 for background"),
        (np.array([[0.5, 0], [1, 1]]), "whole numbers"),
        (np.array([[0, np.nan], [1, 1]]), "whole numbers"),
        (np.array([[0, 1j], [1, 1]]), "whole numbers"),
        (np.array([[0, np.inf], [1, 2]]), "inf as the highest value"),
        (np.array([[0, 2**63], [1, 2]], np.uint64), "9223372036854775808 as the highest value"),
    ],
)
def test_masks_that_say_nothing_clear_are_refused(tmp_path, mask, reason):
    np.save(tmp_path / "mask.npy", mask)
    with pytest.raises(ImageError, match=reason):
        read_truth(tmp_path / "mask.npy", (2, 2))


def flood(mask):
    """Label 8-connected components one by one, in raster order."""
    labels, n = np.zeros(mask.shape, np.int32), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if not labels[start]:
            n += 1
            stack = [start]
            while stack:
                y, x = stack.pop()
                if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x] and not labels[y, x]:
                    labels[y, x] = n
                    stack += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return labels


@pytest.mark.parametrize("kept", [">u2", ">i8", ">f4", "f2"])
@pytest.mark.parametrize("top", [1, 2])
def test_masks_and_labels_of_any_type_and_byte_order_are_read(tmp_path, kept, top):
    numbers = np.array([[0, 1, 0], [0, 0, 0], [0, top, 0]])
    np.save(tmp_path / "mask.npy", np.asfortranarray(numbers.astype(kept)))
    np.testing.assert_array_equal(read_truth(tmp_path / "mask.npy", (3, 3)), [[0, 1, 0], [0, 0, 0], [0, 2, 0]])


@settings(max_examples=100)
@given(mask=hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_binary_masks_are_labelled_in_raster_order(mask, tmp_path_factory):
    path = tmp_path_factory.mktemp("mask") / "mask.npy"
    np.save(path, mask)
    if mask.all():
        with pytest.raises(ImageError):
            read_truth(path, mask.shape)
    else:
        np.testing.assert_array_equal(read_truth(path, mask.shape), flood(mask))


@given(labels=hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 5)))
@settings(max_examples=50)
@pytest.mark.parametrize("stride", [1, 2**40])
def test_labels_are_renumbered_by_their_first_pixels(stride, labels):
    labels = labels * stride
    expected, seen = np.zeros(labels.shape, np.int32), {}
    for where in np.ndindex(labels.shape):
        if labels[where]:
            expected[where] = seen.setdefault(labels[where], len(seen) + 1)
    np.testing.assert_array_equal(in_raster_order(labels), expected)


def test_two_files_of_one_name_are_not_confused(raw, tmp_path):
    first, *_ = sources = find_sources(raw)
    other = replace(first, path=save(tmp_path / "other/1.tif", image(99)))
    manifest = ingest([*sources, other], tmp_path / "out")
    assert len(manifest.micrographs) + len(manifest.refusals) == len(sources) + 1
    assert manifest.refusals["reason"].str.contains("a name of its own").sum() == 1


def test_a_damaged_micrograph_is_healed_by_ingesting_again(raw, tmp_path):
    out = tmp_path / "out"
    micrograph = ingest(find_sources(raw), out).rows()[0]["micrograph"]
    write_probability(out / STORE_FOLDER, micrograph, np.zeros((24, 30), np.uint8), segment_digest="s")
    shard = out / STORE_FOLDER / micrograph / "0/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-3])
    ingest(find_sources(raw), out)
    np.testing.assert_array_equal(read_pixels(out / STORE_FOLDER, micrograph), image(1))


def test_links_that_lead_in_a_circle_are_refused_by_name(raw, tmp_path):
    (raw / "A/3.tif").symlink_to("4.tif")
    (raw / "A/4.tif").symlink_to("3.tif")
    refusals = ingest(find_sources(raw), tmp_path / "out").refusals
    assert {"A/3.tif", "A/4.tif"} < set(refusals["name"])


def test_refusals_are_logged(raw, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        ingest(find_sources(raw), tmp_path / "out")
    assert caplog.text.count("refused: ") == 5


def test_a_file_that_did_not_change_is_not_read_again(raw, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = ingest(find_sources(raw), out)
    read = []
    monkeypatch.setattr(
        "nanocensus.store.images.ingest.read_image", lambda path, image: read.append(path) or read_image(path, image)
    )
    again = ingest(find_sources(raw), out)
    pd.testing.assert_frame_equal(again.micrographs, first.micrographs)
    kept = {row["name"] for row in first.rows()}
    assert not kept & {path.relative_to(raw).as_posix() for path in read}
    save(raw / "A/1.tif", image(77))
    changed = ingest(find_sources(raw), out)
    assert raw / "A/1.tif" in read
    assert changed.rows()[0]["content_digest"] == content_digest(image(77))


def test_what_is_forgotten_is_read_again(raw, tmp_path, monkeypatch):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    forget(out, ["A/1.tif"])
    read = []
    monkeypatch.setattr(
        "nanocensus.store.images.ingest.read_image", lambda path, image: read.append(path) or read_image(path, image)
    )
    ingest(find_sources(raw), out)
    assert raw / "A/1.tif" in read
    assert raw / "A/2.tif" not in read


def test_of_a_complete_list_what_is_not_on_it_leaves_the_index(raw, tmp_path):
    out = tmp_path / "out"
    ingest(find_sources(raw), out)
    (raw / "A/1.tif").rename(raw / "A/renamed.tif")
    (raw / "A/2.tif").unlink()
    (raw / "B/3.tif").unlink()
    sources = find_sources(raw)
    manifest = ingest(sources, out, complete=True)
    assert len(sources) == len(manifest.micrographs) + len(manifest.refusals)
    names = set(manifest.micrographs["name"]) | set(manifest.refusals["name"])
    assert names == {source.name for source in sources}


def test_smaller_copies_are_made_unless_they_are_not_wanted(tmp_path):
    save(tmp_path / "raw" / "A" / "1.tif", image(1, (520, 600)))
    for pyramid, paths in ((True, ["0", "1"]), (False, ["0"])):
        out = tmp_path / f"out-{pyramid}"
        manifest = ingest(find_sources(tmp_path / "raw"), out, pyramid=pyramid)
        group = zarr.open_group(out / STORE_FOLDER / manifest.micrographs["micrograph"][0], mode="r")
        assert [each["path"] for each in group.attrs["ome"]["multiscales"][0]["datasets"]] == paths
