import logging
import os
import unicodedata
from pathlib import Path

import pytest

from nanocensus.errors import CalibrationError, ImageError, JobError, TableError
from nanocensus.store.masks.masks import truth_beside
from nanocensus.store.ordering import natural_key
from nanocensus.store.studies.sources import find_sources
from nanocensus.store.survey import survey


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def listing(root: Path, text: str, name: str = "micrographs.csv", encoding: str = "utf-8") -> Path:
    (root / name).write_bytes(text.encode(encoding))
    return root / name


def told(sources):
    return [(s.name, s.sample, s.order) for s in sources]


def test_first_folders_are_samples_and_names_sort_as_people_number_them(tmp_path):
    root = tree(tmp_path / "raw", "B/img10.tif", "B/img2.tif", "A/grid/x1.png", "A/x0.npy", "loose.tif")
    assert told(find_sources(root)) == [
        ("A/grid/x1.png", "A", 0),
        ("A/x0.npy", "A", 1),
        ("B/img2.tif", "B", 0),
        ("B/img10.tif", "B", 1),
        ("loose.tif", "raw", 0),
    ]


def test_natural_order_knows_digits_of_any_script_apart():
    assert sorted(["x²", "x10", "x9", "x"], key=natural_key) == ["x", "x9", "x10", "x²"]


def test_hidden_files_stores_and_other_kinds_are_passed_over_but_image_like_ones_are_kept_for_refusal(tmp_path, caplog):
    names = ["A/1.tif", "A/._1.tif", ".trash/2.tif", "out/micrographs.zarr/0.tif", "A/notes.txt", "A/3.dm4", "A/4.JPG"]
    with caplog.at_level(logging.INFO):
        sources = find_sources(tree(tmp_path / "raw", *names))
    assert [s.name for s in sources] == ["A/1.tif", "A/3.dm4", "A/4.JPG"]
    assert "1 files" in caplog.text


@pytest.mark.parametrize("sign", [".lock", "micrographs.parquet"])
def test_results_that_lie_among_the_micrographs_are_passed_over(tmp_path, sign):
    root = tree(tmp_path / "raw", "A/1.tif", "results/thumbnails/1.npy", f"results/{sign}", "notes/1.npy")
    assert [s.name for s in find_sources(root)] == ["A/1.tif", "notes/1.npy"]


def test_a_folder_without_micrographs_or_no_folder_is_refused(tmp_path):
    with pytest.raises(JobError, match="got none"):
        find_sources(tree(tmp_path, "A/notes.txt"))
    with pytest.raises(JobError, match="no folder there"):
        find_sources(tmp_path / "absent")


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path, monkeypatch):
    root, listed = tree(tmp_path / "raw", "A/1.tif", "B/1.tif"), os.scandir

    def scandir(path):
        if Path(path).name == "B":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(JobError, match="B: expected a folder that can be listed, got Permission denied"):
        find_sources(root)


def test_a_name_that_is_no_utf8_is_refused_in_words_that_can_be_written(tmp_path):
    tree(tmp_path, os.fsdecode(b"A/Gr\xf6\xdfe.tif"))
    with pytest.raises(ImageError, match=r"A/Gr\\xf6\\xdfe\.tif: expected a name in UTF-8") as refused:
        find_sources(tmp_path)
    str(refused.value).encode()


def test_links_inside_the_folder_are_followed_and_links_out_of_it_refused(tmp_path):
    root = tree(tmp_path / "raw", "A/1.tif")
    tree(tmp_path, "elsewhere/2.tif")
    (root / "A/2.tif").symlink_to(root / "A/1.tif")
    (root / "B").symlink_to(root / "A")
    assert [s.name for s in find_sources(root)] == ["A/1.tif", "A/2.tif"]
    (root / "A/3.tif").symlink_to(tmp_path / "elsewhere/2.tif")
    with pytest.raises(ImageError, match="inside"):
        find_sources(root)
    (root / "A/3.tif").unlink()
    (root / "C").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImageError, match="inside"):
        find_sources(root)
    (root / "C").unlink()
    with pytest.raises(ImageError, match="inside"):
        find_sources(root, table=listing(root, "file\n../elsewhere/2.tif\n"))


def test_a_pattern_names_fields_and_its_other_fields_are_conditions(tmp_path, caplog):
    root = tree(tmp_path, "Co0.4/g1/007.tif", "Co0.4/g2/010.tif", "Co0.5/g1/x.tif")
    sources = find_sources(root, pattern="Co{Co_mmol}/{group}/{order}.tif")
    assert [(s.name, s.sample, s.group, s.order, s.conditions) for s in sources] == [
        ("Co0.4/g1/007.tif", "Co0.4", "g1", 7, {"Co_mmol": 0.4}),
        ("Co0.4/g2/010.tif", "Co0.4", "g2", 10, {"Co_mmol": 0.4}),
    ]
    assert "1 files do not match" in caplog.text
    root = tree(tmp_path / "flat", "a_mon_1.png", "a_tue_2.png", "deep/er/b_mon_3.png")
    sources = find_sources(root, pattern="**/{sample}_{session}_*.png")
    assert [(s.name, s.sample, s.session, s.order) for s in sources] == [
        ("a_mon_1.png", "a", "mon", 0),
        ("a_tue_2.png", "a", "tue", 1),
        ("deep/er/b_mon_3.png", "b", "mon", 0),
    ]


@pytest.mark.parametrize(
    "pattern", ["{sample}/{sample}.tif", "{sample", "{mask}.tif", "{a-b}.tif", "nothing/like/it.tif", "{sample}(.tif"]
)
def test_patterns_that_cannot_be_used_are_refused(tmp_path, pattern):
    with pytest.raises(JobError, match="pattern"):
        find_sources(tree(tmp_path, "A/1.tif"), pattern=pattern)


def test_a_table_of_micrographs_gives_everything_and_the_rest_is_ignored_by_count(tmp_path, caplog):
    root = tree(tmp_path, "A/1.tif", "A/2.tif", "A/3.tif", "masks/2.png")
    text = (
        "file,sample,group,session,order,pixel_size_nm,mask,model,Co_mmol,note\n"
        '"A/2.tif",Co0.4,g1,s1,5,0.086,masks/2.png,fine,0.4,"a, b"\n\nA/1.tif,Co0.4,,,3,,,,0.4,7\n'
    )
    with caplog.at_level(logging.INFO):
        first, second = find_sources(root, table=listing(root, text), pixel_size_nm=0.1)
    assert (first.name, first.order, first.pixel_size_nm, first.mask, first.model, first.group) == (
        "A/1.tif", 3, 0.1, None, None, None,
    )  # fmt: skip
    assert (second.name, second.order, second.pixel_size_nm, second.mask) == ("A/2.tif", 5, 0.086, root / "masks/2.png")
    assert (second.model, second.group, second.session) == ("fine", "g1", "s1")
    assert first.conditions == {"Co_mmol": 0.4, "note": "7"}
    assert second.conditions == {"Co_mmol": 0.4, "note": "a, b"}
    assert {first.pixel_size_source, second.pixel_size_source} == {"given"}
    assert "2 image files" in caplog.text


def test_only_line_ends_end_rows_of_a_listing(tmp_path):
    root = tree(tmp_path, "A/1.tif", "A/2.tif")
    text = "file,note\r\nA/1.tif,first\x0bsecond\r\nA/2.tif,\u2028\x85third\r\n"
    assert [s.conditions["note"] for s in find_sources(root, table=listing(root, text))] == ["first\x0bsecond", "third"]


def test_rows_in_their_order_need_no_numbers(tmp_path):
    root = tree(tmp_path, "A/1.tif", "A/2.tif", "B/1.tif")
    sources = find_sources(root, table=listing(root, "\ufefffile\nA/2.tif\nB/1.tif\nA/1.tif\n"))
    assert told(sources) == [("A/2.tif", "A", 0), ("A/1.tif", "A", 1), ("B/1.tif", "B", 0)]


def test_a_table_of_samples_describes_folders_and_finds_masks_by_stem(tmp_path, caplog):
    root = tree(tmp_path, "A/1.tif", "A/in/2.tif", "B/1.tif", "C/1.tif", "masks/1.png", "masks/other.png")
    text = "sample,session,mask,Co_mmol\nB,mon,,0.5\nA,tue,masks,0.4\n"
    with caplog.at_level(logging.INFO):
        sources = find_sources(root, table=listing(root, text, "samples.csv"))
    assert told(sources) == [("A/1.tif", "A", 0), ("A/in/2.tif", "A", 1), ("B/1.tif", "B", 0)]
    assert [s.mask for s in sources] == [root / "masks/1.png", None, None]
    assert [s.conditions["Co_mmol"] for s in sources] == [0.4, 0.4, 0.5]
    assert [s.session for s in sources] == ["tue", "tue", "mon"]
    assert "1 micrographs of A have no mask" in caplog.text
    assert "does not list are ignored: C (1)\n" in caplog.text


@pytest.mark.parametrize("pattern", [None, "{sample}/**/*.png"])
def test_masks_in_the_folder_of_their_sample_are_no_micrographs(tmp_path, pattern):
    root = tree(tmp_path / "raw", "A/1.png", "A/2.png", "A/masks/1.png", "A/masks/2.png")
    sources = find_sources(root, pattern=pattern, table=listing(root, "sample,mask\nA,A/masks\n", "samples.csv"))
    assert [(s.name, s.mask) for s in sources] == [(f"A/{i}.png", root / f"A/masks/{i}.png") for i in (1, 2)]


def test_masks_may_lie_beside_their_micrographs(tmp_path):
    root = tree(tmp_path / "raw", "A/1.tif", "A/1.roi")
    (source,) = find_sources(root, table=listing(root, "sample,mask\nA,A\n", "samples.csv"))
    assert (source.name, source.mask) == ("A/1.tif", root / "A/1.roi")


@pytest.mark.parametrize(
    "names", [["A/1.tif", "masks/1.png", "masks/1.npy"], ["A/a/1.tif", "A/b/1.tif", "masks/1.png"]]
)
def test_a_mask_that_stands_for_none_or_for_two_is_refused(tmp_path, names):
    root = tree(tmp_path / "raw", *names)
    with pytest.raises(TableError, match="line 2: expected one micrograph and one mask called '1'"):
        find_sources(root, table=listing(root, "sample,mask\nA,masks\n", "samples.csv"))


def test_a_table_of_samples_adds_to_what_a_pattern_says(tmp_path):
    root = tree(tmp_path, "a_1.tif", "b_2.tif")
    table = listing(root, "sample,Co_mmol\na,0.4\nb,0.5\n", "samples.csv")
    sources = find_sources(root, pattern="{sample}_{order}.tif", table=table)
    assert [(s.sample, s.order, s.conditions) for s in sources] == [
        ("a", 1, {"Co_mmol": 0.4}),
        ("b", 2, {"Co_mmol": 0.5}),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "an empty file"),
        ("file\n", "at least one row"),
        ("file;sample\nA/1.tif;A\n", "semicolons"),
        ("file\tsample\nA/1.tif\tA\n", "tabs"),
        ("Co_mmol\n0.4\n", "column `file` or `sample`"),
        ("file,file\nA/1.tif,A/1.tif\n", "file again"),
        ("file,Pixel_Size\nA/1.tif,1\n", "Did you mean 'pixel_size_nm'"),
        ("File\nA/1.tif\n", "Did you mean 'file'"),
        ("file,sample\nA/1.tif\n", "line 2: expected 2 cells"),
        ("file,sample\nA/1.tif,A\nA/1.tif,A\n", "line 3.*line 2 too"),
        ("file,sample\nA/1.tif,A\nA/../A/1.tif,A\n", "line 3.*line 2 too"),
        ("file,sample\nA/1.tif,A\n,A\n", "line 3.*empty cell"),
        ("file\nA/1.tif\nA/9.tif\n", "got A/9.tif"),
        ("file,mask\nA/1.tif,m.png\n", "got m.png"),
        ("file,pixel_size_nm\nA/1.tif,0.1 nm\n", "line 2: expected a number"),
        ("file,order\nA/1.tif,1.5\n", "whole number"),
        ("file,order\nA/1.tif,-1\n", "whole number"),
        ("file,order\nA/1.tif,1\nA/2.tif,\n", "Number all"),
        ('file\n"A/1.tif\n', "quotes"),
        ("sample,Co\nA,1\nA,2\n", "'A' again"),
        ("sample,Co\nZ,1\n", "got Z"),
        ("sample,order\nA,1\n", "an order"),
        ("sample,Co\nA,1\nA/in,2\n", "not both"),
        ("sample,mask\nA,nowhere\n", "folders of masks"),
    ],
)
def test_listings_that_cannot_be_used_say_where_and_why(tmp_path, text, reason):
    root = tree(tmp_path, "A/1.tif", "A/2.tif", "A/in/3.tif")
    with pytest.raises(TableError, match=reason):
        find_sources(root, table=listing(root, text))


def test_listings_in_other_encodings_absent_or_with_a_pattern_are_refused(tmp_path):
    root = tree(tmp_path, "A/1.tif")
    with pytest.raises(TableError, match="UTF-8"):
        find_sources(root, table=listing(root, "file,água\nA/1.tif,ç\n", encoding="latin-1"))
    with pytest.raises(TableError, match="nothing there"):
        find_sources(root, table=root / "absent.csv")
    with pytest.raises(JobError, match="both"):
        find_sources(root, table=listing(root, "file\nA/1.tif\n"), pattern="{sample}/*")


def test_absolute_paths_inside_the_folder_are_the_same_files(tmp_path):
    root = tree(tmp_path, "A/1.tif")
    (source,) = find_sources(root, table=listing(root, f"file\n{root / 'A/1.tif'}\n"))
    assert source.name == "A/1.tif"


def test_assumed_pixel_sizes_are_marked_and_impossible_ones_refused(tmp_path):
    root = tree(tmp_path, "A/1.tif")
    (source,) = find_sources(root, pixel_size_nm=0.1, assumed=True)
    assert (source.pixel_size_nm, source.pixel_size_source) == (0.1, "assumed")
    assert find_sources(root, assumed=True)[0].pixel_size_source is None
    for size in (0.0, -1.0, float("nan"), 1e5):
        with pytest.raises(CalibrationError, match=r"A/1\.tif"):
            find_sources(root, pixel_size_nm=size)


def test_a_listing_that_lies_there_unused_is_pointed_out(tmp_path, caplog):
    root = tree(tmp_path, "A/1.tif")
    listing(root, "sample\nA\n", "samples.csv")
    find_sources(root)
    assert "not used" in caplog.text


@pytest.mark.parametrize("way", ["raw", "other/../raw", "./raw"])
def test_listed_files_are_found_whatever_the_way_to_the_folder(tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    listing(tree(tmp_path / "raw", "a/1.tif"), "file,sample\na/1.tif,A\n")
    root = Path(way)
    (source,) = find_sources(root, table=root / "micrographs.csv", pixel_size_nm=0.1)
    assert source.name == "a/1.tif"
    assert source.path.is_file()


@pytest.mark.parametrize("header", ["file,sampel", "file,Sample", "file,sample,pixel size", "file,sample,gruop"])
def test_a_misspelt_column_is_not_taken_for_a_condition(tmp_path, header):
    root = tree(tmp_path / "raw", "a/1.tif")
    path = listing(root, header + "\n" + ",".join(["a/1.tif", "1", "1"][: header.count(",") + 1]) + "\n")
    with pytest.raises(TableError, match="Did you mean"):
        find_sources(root, table=path)


def test_a_misspelt_field_of_a_pattern_is_not_taken_for_a_condition(tmp_path):
    root = tree(tmp_path / "raw", "a/1.tif")
    with pytest.raises(JobError, match=r"did you mean \{sample\}"):
        find_sources(root, pattern="{smaple}/{order}.tif")


ROUND = "Größe 5 \u212b"
"""As macOS may keep it: the sign for angstrom is a letter of its own, which few programs write."""


@pytest.mark.parametrize("on_disk", ["NFC", "NFD", None])
@pytest.mark.parametrize("written", ["NFC", "NFD", None])
def test_a_name_is_the_same_however_its_letters_are_composed(tmp_path, on_disk, written):
    kept, said = (unicodedata.normalize(form, ROUND) if form else ROUND for form in (on_disk, written))
    known = unicodedata.normalize("NFC", ROUND)
    root = tree(tmp_path / kept, f"{kept}/{kept}.tif", f"masks/{kept}.png")
    (found,) = [s for s in find_sources(root) if not s.name.startswith("masks")]
    assert (found.name, found.sample) == (f"{known}/{known}.tif", known)
    assert found.path == root / kept / f"{kept}.tif", "no file is renamed"
    table = listing(root, f"file,sample,mask\n{said}/{said}.tif,{said},masks/{said}.png\n")
    (listed,) = find_sources(root, table=table)
    assert (listed.path, listed.name, listed.sample) == (found.path, found.name, known)
    assert listed.mask == root / f"masks/{kept}.png"
    (described,) = find_sources(root, table=listing(root, f"sample,mask\n{said},masks\n", "samples.csv"))
    assert (described.path, described.mask) == (listed.path, listed.mask)
    (matched,) = find_sources(root, pattern=f"{{sample}}/{said}.tif")
    assert (matched.path, matched.sample) == (found.path, known)
    assert truth_beside(root / "masks", f"{said}.tif") == listed.mask
    (surveyed,) = survey(root).files
    assert (surveyed.name, surveyed.sample, surveyed.mask) == (found.name, known, f"masks/{known}.png")


def test_two_files_whose_names_read_the_same_are_refused(tmp_path):
    tree(tmp_path, *(f"A/{unicodedata.normalize(form, 'ä')}.tif" for form in ("NFC", "NFD")))
    with pytest.raises(ImageError, match=r"A/ä\.tif: expected one file of this name, got two"):
        find_sources(tmp_path)
