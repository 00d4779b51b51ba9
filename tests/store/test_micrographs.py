import contextlib
import json
import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.errors import DamageError, FormatVersionError, StoreError
from nanocensus.store.formats.planes import RECORDED_DTYPES
from nanocensus.store.images import micrographs as module
from nanocensus.store.images.micrographs import (
    content_digest,
    create_store,
    describe_micrograph,
    read_labels,
    read_pixels,
    read_probability,
    read_window,
    write_labels,
    write_micrograph,
    write_probability,
)

PIXELS = np.random.default_rng(1).integers(0, 4000, (70, 1100), dtype=np.uint16)
NAME = content_digest(PIXELS)[:16]


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "out" / "micrographs.zarr"
    create_store(path)
    write_micrograph(path, NAME, PIXELS, name="A/1.tif", pixel_size_nm=0.086)
    return path


def all_three(store):
    probability = (PIXELS >> 4).astype(np.uint8)
    labels = (PIXELS // 1000).astype(np.int32)
    write_probability(store, NAME, probability, segment_digest="abc")
    write_labels(store, NAME, labels, name="truth")
    write_labels(store, NAME, labels + 1)
    return probability, labels


@settings(max_examples=40)
@given(data=st.data())
def test_drawn_types_and_shapes_come_back_bit_by_bit(data, tmp_path_factory):
    dtype = data.draw(st.sampled_from(RECORDED_DTYPES))
    shape = data.draw(st.tuples(st.integers(1, 40), st.sampled_from([1, 7, 1024, 1025, 2050])))
    pixels = data.draw(
        hnp.arrays(dtype, shape, elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False), fill=st.just(0))
    )
    path = tmp_path_factory.mktemp("drawn") / "micrographs.zarr"
    create_store(path)
    name = content_digest(pixels)[:16]
    write_micrograph(path, name, pixels, name="x", pixel_size_nm=1.0)
    read = read_pixels(path, name)
    assert read.dtype == pixels.dtype
    assert read.tobytes() == pixels.tobytes()


def test_the_digest_depends_on_values_type_and_shape_and_not_on_memory_layout():
    assert content_digest(np.asfortranarray(PIXELS)) == content_digest(PIXELS)
    assert content_digest(PIXELS.astype(">u2")) == content_digest(PIXELS)
    zeros = np.zeros((4, 6), np.uint8)
    others = [zeros.reshape(6, 4), zeros.astype(np.int8), zeros.reshape(3, 8), zeros.view(np.uint16)]
    assert len({content_digest(array) for array in [zeros, *others]}) == 5


def assert_is_ngff_image(group, pixel_size_nm, name, levels=3):
    """Hold a group against what OME-NGFF 0.5 asks of a multiscale image, and its copies against where they lie."""
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    assert multiscale["name"] == name
    assert multiscale["axes"] == [
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "nanometer"},
    ]
    assert [dataset["path"] for dataset in multiscale["datasets"]] == [str(level) for level in range(levels)]
    assert sorted(group.array_keys()) == [dataset["path"] for dataset in multiscale["datasets"]]
    labels = "image-label" in ome
    assert multiscale.get("type") == (None if levels == 1 else "nearest" if labels else "mean")
    height, width = group["0"].shape
    for level, dataset in enumerate(multiscale["datasets"]):
        array, (scale, *translation) = group[dataset["path"]], dataset["coordinateTransformations"]
        assert scale == {"type": "scale", "scale": [pixel_size_nm * 2**level] * 2}
        moved = [pixel_size_nm * (2**level - 1) / 2] * 2
        assert translation == (
            [{"type": "translation", "translation": pytest.approx(moved)}] if level and not labels else []
        )
        assert array.shape == (height // 2**level, width // 2**level)
        assert array.dtype == group["0"].dtype
        assert array.metadata.dimension_names == ("y", "x")
        assert array.shards is not None


def test_metadata_are_those_of_the_ngff_specification(store):
    all_three(store)
    image = zarr.open_group(store / NAME, mode="r")
    assert image.metadata.zarr_format == 3
    assert_is_ngff_image(image, 0.086, "A/1.tif")
    assert_is_ngff_image(image["probability"], 0.086, "probability")
    assert image["labels"].attrs["ome"] == {"version": "0.5", "labels": ["particles", "truth"]}
    for name in ("particles", "truth"):
        label = image[f"labels/{name}"]
        assert_is_ngff_image(label, 0.086, name)
        assert label.attrs["ome"]["image-label"] == {"source": {"image": "../../"}}
        assert np.issubdtype(label["0"].dtype, np.integer)
        assert label["0"].shape == image["0"].shape
    for array in (image["0"], image["probability/0"], image["labels/truth/0"]):
        assert array.metadata.dimension_names == ("y", "x")


def test_metadata_pass_a_validator_of_the_specification(store):
    v05 = pytest.importorskip("ome_zarr_models.v05", reason="ome-zarr-models needs Python 3.12")
    all_three(store)
    v05.Image.from_zarr(zarr.open_group(store / NAME, mode="r"))
    v05.Image.from_zarr(zarr.open_group(store / NAME / "probability", mode="r"))
    v05.Labels.from_zarr(zarr.open_group(store / NAME / "labels", mode="r"))
    for name in ("truth", "particles"):
        v05.ImageLabel.from_zarr(zarr.open_group(store / NAME / "labels" / name, mode="r"))


def test_each_array_is_one_shard_of_chunks_up_to_1024_checked_by_crc(store):
    all_three(store)
    for path in ("0", "probability/0", "labels/truth/0"):
        folder = store / NAME / path
        array = zarr.open_array(folder, mode="r")
        assert array.chunks == (70, 1024)
        assert array.shards == (70, 2048)
        (sharding,) = json.loads((folder / "zarr.json").read_text())["codecs"]
        blosc = sharding["configuration"]["codecs"][1]["configuration"]
        assert [codec["name"] for codec in sharding["configuration"]["codecs"]] == ["bytes", "blosc", "crc32c"]
        shuffle = "bitshuffle" if path == "0" else "shuffle"
        assert (blosc["cname"], blosc["shuffle"], blosc["typesize"]) == ("lz4", shuffle, array.dtype.itemsize)
        assert [file.name for file in folder.rglob("*") if file.is_file()].count("0") == 1
        for copy in ("1", "2"):
            assert (folder.parent / copy / "c" / "0" / "0").stat().st_size > 0
    assert not list(store.rglob("*.partial"))
    assert "consolidated_metadata" not in json.loads((store / "zarr.json").read_text())


def test_probability_and_labels_come_back_and_are_replaced(store):
    assert read_probability(store, NAME) is None
    assert read_labels(store, NAME) is None
    probability, labels = all_three(store)
    read, digest = read_probability(store, NAME)
    assert digest == "abc"
    np.testing.assert_array_equal(read, probability)
    np.testing.assert_array_equal(read_labels(store, NAME, name="truth"), labels)
    np.testing.assert_array_equal(read_labels(store, NAME), labels + 1)
    write_probability(store, NAME, probability[::-1].copy(), segment_digest="def")
    read, digest = read_probability(store, NAME)
    assert digest == "def"
    np.testing.assert_array_equal(read, probability[::-1])
    assert {path.name for path in store.parent.iterdir()} == {"micrographs.zarr"}


def test_empty_labels_and_maps_are_data_not_absence(store):
    write_labels(store, NAME, np.zeros((70, 1100), np.int32))
    write_probability(store, NAME, np.zeros((70, 1100), np.uint8), segment_digest="z")
    assert not read_labels(store, NAME).any()
    assert not read_probability(store, NAME)[0].any()


class Crash(BaseException):
    pass


def test_a_crash_before_the_commit_mark_leaves_no_probability_and_an_earlier_one_whole(store, monkeypatch):
    probability = (PIXELS >> 4).astype(np.uint8)

    def crash(*_, **__):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(module, "commit_tree", crash)
        with pytest.raises(Crash):
            write_probability(store, NAME, probability, segment_digest="abc")
    assert read_probability(store, NAME) is None
    write_probability(store, NAME, probability, segment_digest="abc")
    with monkeypatch.context() as patch:
        patch.setattr(module, "commit_tree", crash)
        with pytest.raises(Crash):
            write_probability(store, NAME, np.zeros_like(probability), segment_digest="def")
    read, digest = read_probability(store, NAME)
    assert digest == "abc"
    np.testing.assert_array_equal(read, probability)


def test_data_without_the_mark_are_no_probability(store):
    all_three(store)
    attributes = zarr.open_group(store / NAME / "probability", mode="r+").attrs
    attributes["nanocensus"] = {"format_version": "1.1"}
    assert read_probability(store, NAME) is None


def readers(store):
    return {
        "0": lambda: read_pixels(store, NAME),
        "probability/0": lambda: read_probability(store, NAME),
        "labels/truth/0": lambda: read_labels(store, NAME, name="truth"),
    }


@pytest.mark.parametrize("path", ["0", "probability/0", "labels/truth/0"])
def test_a_flipped_byte_anywhere_in_the_data_is_damage_that_names_the_micrograph(store, path):
    all_three(store)
    shard = store / NAME / path / "c" / "0" / "0"
    whole = shard.read_bytes()
    for where in (0, len(whole) // 3, len(whole) - 30, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[where] ^= 0x10
        shard.write_bytes(flipped)
        with pytest.raises(DamageError, match=NAME):
            readers(store)[path]()
    for damaged in (whole[:-9], whole[: len(whole) // 2], b""):
        shard.write_bytes(damaged)
        with pytest.raises(DamageError, match=NAME):
            readers(store)[path]()
    shard.unlink()
    with pytest.raises(DamageError, match="absent"):
        readers(store)[path]()


def test_damaged_metadata_never_surface_as_foreign_errors_nor_as_other_pixels(store):
    for file in (store / NAME / "zarr.json", store / NAME / "0" / "zarr.json"):
        whole = file.read_bytes()
        for where in range(0, len(whole), 11):
            flipped = bytearray(whole)
            flipped[where] ^= 0x01
            file.write_bytes(flipped)
            with contextlib.suppress(DamageError, FormatVersionError):
                np.testing.assert_array_equal(read_pixels(store, NAME), PIXELS)
        file.write_bytes(whole)


def test_a_micrograph_that_is_not_there_is_damage_for_readers_and_writers(store):
    with pytest.raises(DamageError, match="ffff"):
        read_pixels(store, "f" * 16)
    with pytest.raises(DamageError, match="ffff"):
        write_probability(store, "f" * 16, PIXELS.astype(np.uint8), segment_digest="abc")


def test_a_wrong_name_is_refused_and_a_damaged_micrograph_is_healed_by_writing_it_again(store):
    with pytest.raises(StoreError, match=NAME):
        write_micrograph(store, "f" * 16, PIXELS, name="x", pixel_size_nm=0.1)
    shard = store / NAME / "0" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    write_micrograph(store, NAME, PIXELS, name="A/1.tif", pixel_size_nm=0.086)
    np.testing.assert_array_equal(read_pixels(store, NAME), PIXELS)


def test_a_newer_format_is_refused(store):
    zarr.open_group(store / NAME, mode="r+").attrs["nanocensus"] = {"format_version": "2.0"}
    with pytest.raises(FormatVersionError):
        read_pixels(store, NAME)
    zarr.open_group(store, mode="r+").attrs["nanocensus"] = {"format_version": "2.0"}
    with pytest.raises(FormatVersionError):
        create_store(store)


def test_another_pixel_size_reaches_every_image_and_keeps_the_data(store):
    probability, _ = all_three(store)
    write_probability(store, NAME, probability, segment_digest="def", sibling="fold0")
    describe_micrograph(store, NAME, name="B/2.tif", pixel_size_nm=0.1)
    image = zarr.open_group(store / NAME, mode="r")
    assert_is_ngff_image(image, 0.1, "B/2.tif")
    assert_is_ngff_image(image["probability"], 0.1, "probability")
    assert_is_ngff_image(image["probability_fold0"], 0.1, "probability_fold0")
    assert_is_ngff_image(image["labels/truth"], 0.1, "truth")
    assert "image-label" in image["labels/truth"].attrs["ome"]
    read, digest = read_probability(store, NAME)
    assert digest == "abc"
    np.testing.assert_array_equal(read, probability)


def test_the_whole_image_has_the_same_bytes_with_and_without_copies(tmp_path):
    found = {}
    for pyramid in (True, False):
        path = tmp_path / str(pyramid) / "micrographs.zarr"
        create_store(path, pyramid=pyramid)
        write_micrograph(path, NAME, PIXELS, name="A/1.tif", pixel_size_nm=0.086)
        all_three(path)
        image = zarr.open_group(path / NAME, mode="r")
        for group, name in (
            (image, "A/1.tif"),
            (image["probability"], "probability"),
            (image["labels/truth"], "truth"),
        ):
            assert_is_ngff_image(group, 0.086, name, levels=3 if pyramid else 1)
        places = ("0", "probability/0", "labels/truth/0")
        found[pyramid] = [
            file.read_bytes() for place in places for file in sorted((path / NAME / place).rglob("*")) if file.is_file()
        ]
    assert found[True] == found[False]


def test_a_store_of_an_earlier_version_opens_and_goes_on_with_or_without_copies_as_asked(store):
    zarr.open_group(store, mode="r+").attrs["nanocensus"] = {"kind": "micrographs", "format_version": "1.1"}
    all_three(store)
    image = zarr.open_group(store / NAME, mode="r")
    assert_is_ngff_image(image["probability"], 0.086, "probability", levels=1)
    describe_micrograph(store, NAME, name="B/2.tif", pixel_size_nm=0.1)
    image = zarr.open_group(store / NAME, mode="r")
    assert_is_ngff_image(image, 0.1, "B/2.tif")  # it has copies, and keeps them
    assert_is_ngff_image(image["probability"], 0.1, "probability", levels=1)
    create_store(store)
    all_three(store)
    assert_is_ngff_image(zarr.open_group(store / NAME / "probability", mode="r"), 0.1, "probability")
    create_store(store, pyramid=False)
    all_three(store)
    assert_is_ngff_image(zarr.open_group(store / NAME / "probability", mode="r"), 0.1, "probability", levels=1)


def test_many_writers_at_once_of_different_and_of_equal_micrographs_lose_nothing(tmp_path):
    path = tmp_path / "micrographs.zarr"
    create_store(path)
    images = [np.roll(PIXELS, i % 6) for i in range(24)]
    names = [content_digest(image)[:16] for image in images]

    def write(i):
        write_micrograph(path, names[i], images[i], name=str(i), pixel_size_nm=0.1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert len(set(names)) == 6
    for name, image in zip(names, images, strict=True):
        np.testing.assert_array_equal(read_pixels(path, name), image)
    assert [p.name for p in tmp_path.iterdir()] == ["micrographs.zarr"]


def test_an_equal_micrograph_that_another_writer_made_meanwhile_stays(tmp_path, monkeypatch):
    path, name = tmp_path / "micrographs.zarr", content_digest(PIXELS)[:16]
    create_store(path)
    alone, made = module.write_image, []

    def overtaken(*arguments, **options):
        monkeypatch.setattr(module, "write_image", alone)
        write_micrograph(path, name, PIXELS, name="the other's", pixel_size_nm=0.1)
        made.append((path / name).stat().st_ino)
        alone(*arguments, **options)

    monkeypatch.setattr(module, "write_image", overtaken)
    write_micrograph(path, name, PIXELS, name="ours", pixel_size_nm=0.1)
    assert made == [(path / name).stat().st_ino]
    np.testing.assert_array_equal(read_pixels(path, name), PIXELS)
    assert [each.name for each in tmp_path.iterdir()] == ["micrographs.zarr"]


def test_a_place_that_cannot_be_written_is_our_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="can be written"):
        create_store(tmp_path / "file" / "micrographs.zarr")


def test_writing_and_reading_take_a_few_times_the_image_at_most(tmp_path):
    pixels = np.random.default_rng(2).normal(1000, 50, (4096, 4096)).astype(np.uint16)
    path = tmp_path / "micrographs.zarr"
    create_store(path)
    name = content_digest(pixels)[:16]
    tracemalloc.start()
    try:
        write_micrograph(path, name, pixels, name="x", pixel_size_nm=0.1)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        read_pixels(path, name)
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert written < 3 * pixels.nbytes
    assert read < 4 * pixels.nbytes
    shutil.rmtree(path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(top=st.integers(0, 69), left=st.integers(0, 1099), height=st.integers(1, 90), width=st.integers(1, 1200))
def test_a_window_is_what_the_whole_image_holds_there(store, top, left, height, width):
    if not (store / NAME / "probability").exists():
        all_three(store)
    rows, columns = slice(top, top + height), slice(left, left + width)
    whole = {
        "pixels": read_pixels(store, NAME),
        "probability": read_probability(store, NAME)[0],
        "labels/particles": read_labels(store, NAME),
        "labels/truth": read_labels(store, NAME, name="truth"),
    }
    for of, image in whole.items():
        window = read_window(store, NAME, rows, columns, of=of)
        assert window.dtype == image.dtype
        np.testing.assert_array_equal(window, image[rows, columns])


def test_a_window_needs_no_other_chunk_than_its_own(store):
    shard = store / NAME / "0" / "c" / "0" / "0"
    damaged = bytearray(shard.read_bytes())
    damaged[10] ^= 1  # in the first chunk: columns 0 to 1023
    shard.write_bytes(damaged)

    np.testing.assert_array_equal(read_window(store, NAME, slice(3, 9), slice(1030, 1099)), PIXELS[3:9, 1030:1099])
    with pytest.raises(DamageError, match=NAME):
        read_window(store, NAME, slice(3, 9), slice(1000, 1099))


@pytest.mark.parametrize("of", ["probability", "labels/particles"])
def test_a_window_of_an_image_that_is_not_there_is_refused_by_name(store, of):
    with pytest.raises(DamageError, match=f"{of} of micrograph {NAME}"):
        read_window(store, NAME, slice(0, 1), slice(0, 1), of=of)
    with pytest.raises(DamageError, match="nowhere"):
        read_window(store, "nowhere", slice(0, 1), slice(0, 1))
