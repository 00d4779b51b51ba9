"""Tables as other tools write them, under our names, in nanometres, and of a sample and micrograph."""

import re
import unicodedata
from pathlib import Path

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import skimage.measure

import nanocensus as nc
from nanocensus.errors import CalibrationError, TableError
from nanocensus.store.foreign.names import DERIVED, TOOLS

PAGE = Path(__file__).parents[2] / "docs/how-to/other-tools-tables.md"

IMAGEJ = """ ,Label,Area,Mean,Perim.,Major,Minor,Angle,Circ.,Feret,FeretX,FeretY,FeretAngle,MinFeret,AR,Round,Solidity
1,Co0.4_001.tif:0012-0034,16,90,15.2,4.6,4.4,10,0.87,5.1,3,4,45,4.2,1.045,0.957,0.96
2,Co0.4_001.tif:0056-0078,25,91,19,5.8,5.5,20,0.87,6.4,7,8,45,5.3,1.055,0.948,0.97
3,Co0.5_001.tif:0011-0022,36,92,23,6.9,6.6,30,0.855,7.6,9,9,45,6.2,1.045,0.957,NaN
"""
PARTICLESPY = """x,y,area,equivalent circular diameter,major axis length,minor axis length,circularity,eccentricity,solidity,frame
1.0,2.0,16.0,2.546,4.6,4.4,0.87,0.29,0.96,0
3.0,4.0,25.0,3.183,5.8,5.5,0.88,0.32,0.97,1
"""
CELLPROFILER = """ImageNumber,ObjectNumber,AreaShape_Area,AreaShape_Compactness,AreaShape_FormFactor,AreaShape_Perimeter,AreaShape_Solidity
1,1,1600,1.14,0.88,151,0.97
1,2,2500,1.15,0.87,190,0.96
2,1,3600,1.16,0.86,229,0.98
"""


def write(folder, text, name="Results.csv"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_imagej_comes_in_under_our_names(tmp_path):
    rows = nc.read_particle_table(write(tmp_path, IMAGEJ), tool="imagej", unit="nm", pattern="{sample}_*")
    assert rows["sample"].tolist() == ["Co0.4", "Co0.4", "Co0.5"]
    assert rows["micrograph"].tolist() == ["Co0.4_001.tif", "Co0.4_001.tif", "Co0.5_001.tif"]
    assert rows["edge_length_nm"].tolist() == [4.0, 5.0, 6.0]
    assert rows["circularity"].tolist() == [0.87, 0.87, 0.855]
    assert rows["solidity"].isna().tolist() == [False, False, True]
    np.testing.assert_allclose(rows["aspect_ratio"], [4.2 / 5.1, 5.3 / 6.4, 6.2 / 7.6])
    assert rows["Round"].tolist() == [0.957, 0.948, 0.957]  # another quantity than ours: kept under its own name


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_read_the_same_however_their_letters_are_composed(tmp_path, form):
    text = "sample,micrograph,edge_length_nm\nGröße,a.tif,4\nGro\u0308ße,a.tif,5\n"
    rows = nc.read_particle_table(write(tmp_path, text, "all.csv"))
    assert set(rows["sample"]) == {"Größe"}
    write(tmp_path / "tables", "edge_length_nm\n4\n", f"{unicodedata.normalize(form, 'Größe')}/1.csv")
    rows = nc.read_particle_table(tmp_path / "tables")
    assert rows[["sample", "micrograph"]].values.tolist() == [["Größe", "Größe/1"]]


def test_nobody_but_the_user_can_say_what_unit_imagej_had(tmp_path):
    path = write(tmp_path, IMAGEJ)
    with pytest.raises(CalibrationError, match="ImageJ writes none"):
        nc.read_particle_table(path, tool="imagej", sample="A")
    for said, factor in (({"unit": "um"}, 1e3), ({"unit": "px", "pixel_size_nm": 0.5}, 0.5), ({"unit": "Å"}, 0.1)):
        rows = nc.read_particle_table(path, tool="imagej", sample="A", **said)
        np.testing.assert_allclose(rows["area_nm2"], np.array([16, 25, 36]) * factor**2)
        np.testing.assert_allclose(rows["perimeter_nm"], np.array([15.2, 19, 23]) * factor)
        np.testing.assert_allclose(rows["edge_length_nm"], np.array([4, 5, 6]) * factor)
        assert rows["circularity"].tolist() == [0.87, 0.87, 0.855]
    for said in ({"unit": "px"}, {"unit": "nm", "pixel_size_nm": 0.1}, {"unit": "furlong"}):
        with pytest.raises(CalibrationError):
            nc.read_particle_table(path, tool="imagej", sample="A", **said)


def test_the_sums_that_imagej_adds_below_are_no_particles(tmp_path):
    below = "".join(f"{i},{word}{',1' * 15}\n" for i, word in enumerate(("Mean", "SD", "Min", "Max"), start=4))
    with pytest.raises(TableError, match="Summarize"):
        nc.read_particle_table(write(tmp_path, IMAGEJ + below), tool="imagej", unit="nm", sample="A")


def test_slices_of_a_stack_are_micrographs(tmp_path):
    text = " ,Label,Area,Slice\n1,stack.tif,16,1\n2,stack.tif,25,2\n"
    rows = nc.read_particle_table(write(tmp_path, text), tool="imagej", unit="nm", sample="A")
    assert rows["micrograph"].tolist() == ["stack.tif#1", "stack.tif#2"]


def test_regions_of_scikit_image_come_in_as_it_measures_them(tmp_path):
    y, x = np.mgrid[:120, :120]
    labels = (np.hypot(y - 30, x - 30) < 20).astype(int) + 2 * (np.hypot(y - 80, (x - 80) / 1.3) < 25)
    names = ["label", "area", "perimeter", "solidity", "eccentricity", "axis_major_length", "axis_minor_length",
             "feret_diameter_max", "equivalent_diameter_area", "area_convex", "extent"]  # fmt: skip
    pd.DataFrame(skimage.measure.regionprops_table(labels, properties=names)).to_csv(tmp_path / "a.csv")
    rows = nc.read_particle_table(tmp_path / "a.csv", tool="scikit-image", pixel_size_nm=0.2, sample="A")
    ours = nc.measure_particles(labels=labels, pixel_size_nm=0.2, estimator="paper")
    for name in ("area_nm2", "perimeter_nm", "hull_area_nm2", "solidity", "circularity", "edge_length_nm", "extent"):
        np.testing.assert_allclose(rows[name], ours[name], rtol=1e-6, err_msg=name)
    assert rows["micrograph"].tolist() == ["a", "a"]
    with pytest.raises(CalibrationError, match="pixel size"):
        nc.read_particle_table(tmp_path / "a.csv", tool="scikit-image", sample="A")


def test_a_table_of_particlespy_does_not_bring_its_diameter(tmp_path):
    rows = nc.read_particle_table(write(tmp_path, PARTICLESPY), tool="particlespy", unit="nm", sample="A")
    assert rows["edge_length_nm"].tolist() == [4.0, 5.0]
    np.testing.assert_allclose(rows["equivalent_diameter_nm"], 2 * np.array([4, 5]) / np.sqrt(np.pi))
    assert rows["equivalent circular diameter"].tolist() == [2.546, 3.183]
    assert rows["micrograph"].tolist() == ["0", "1"]


def test_a_table_of_cellprofiler_takes_its_samples_from_its_images(tmp_path):
    images = pd.DataFrame({"micrograph": ["1", "2"], "sample": ["A", "B"]})
    rows = nc.read_particle_table(
        write(tmp_path, CELLPROFILER), tool="cellprofiler", pixel_size_nm=0.1, micrographs=images
    )
    assert rows["sample"].tolist() == ["A", "A", "B"]
    np.testing.assert_allclose(rows["edge_length_nm"], [4, 5, 6])
    with pytest.raises(TableError, match="micrograph '2'"):
        nc.read_particle_table(
            write(tmp_path, CELLPROFILER), tool="cellprofiler", pixel_size_nm=0.1, micrographs=images.iloc[:1]
        )


@pytest.mark.parametrize("column", ["micrograph", "file", "name"])
def test_a_table_may_name_micrographs_by_numbers(tmp_path, column):
    images = write(tmp_path / "images", f"{column},sample\n1,Co0.4\n2,Co0.8\n")
    rows = nc.read_particle_table(
        write(tmp_path, CELLPROFILER), tool="cellprofiler", pixel_size_nm=0.1, micrographs=images
    )
    assert rows["sample"].tolist() == ["Co0.4", "Co0.4", "Co0.8"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("micrograph,sample", {}),
        ("micrograph,other", {"sample": "A"}),
        ("micrograph,other", {"micrographs": pd.DataFrame({"micrograph": ["x_g1", "y_g2"], "sample": "A"})}),
    ],
)
@pytest.mark.parametrize("pattern", ["*_{group}", "{Co_mmol}_{group}"])
def test_a_pattern_may_tell_the_group_where_something_else_tells_the_sample(tmp_path, columns, said, pattern):
    path = write(tmp_path, f"{columns},edge_length_nm\nx_g1,A,3\ny_g2,A,4\n")
    rows = nc.read_particle_table(path, pattern=pattern, **said)
    assert rows["sample"].tolist() == ["A", "A"]
    assert rows["group"].tolist() == ["g1", "g2"]
    assert pattern[0] == "*" or rows["condition_Co_mmol"].tolist() == ["x", "y"]


def test_a_pattern_that_does_not_tell_the_sample_leaves_it_to_the_folder_or_is_refused(tmp_path):
    write(tmp_path / "raw", "edge_length_nm\n3\n", "A/x_g1.csv")
    rows = nc.read_particle_table(tmp_path / "raw", pattern="**/*_{group}")
    assert rows[["sample", "group"]].to_numpy().tolist() == [["A", "g1"]]
    with pytest.raises(TableError, match="expected the sample of each particle"):
        nc.read_particle_table(tmp_path / "raw/A", pattern="*_{group}")


def test_of_several_tables_of_micrographs_none_is_passed_over(tmp_path):
    for number in (1, 2):
        write(tmp_path / "images", f"micrograph,sample\n{number},Co0.{number}\n", f"{number}.csv")
    with pytest.raises(TableError, match=r"expected one file of micrographs, got 1\.csv and 1 more"):
        nc.read_particle_table(
            write(tmp_path, CELLPROFILER), tool="cellprofiler", pixel_size_nm=0.1, micrographs=tmp_path / "images"
        )


def test_named_columns_are_taken_at_their_word(tmp_path):
    path = write(tmp_path, "Length\tBatch\tImage\n4.5\tNA\t007\n5.5\tNA\t007\n", "t.tsv")
    named = {"edge_length_nm": "Length", "sample": "Batch", "micrograph": "Image"}
    rows = nc.read_particle_table(path, columns=named)
    assert rows["edge_length_nm"].tolist() == [4.5, 5.5]
    assert (set(rows["sample"]), set(rows["micrograph"])) == ({"NA"}, {"007"})
    assert nc.read_particle_table(path, columns=named, unit="um")["edge_length_nm"].tolist() == [4500, 5500]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"columns": {"edge_length_nm": "Lenght"}}, "Did you mean 'Length'"),
        ({"columns": {"edge_lenght_nm": "Length"}}, "Did you mean 'edge_length_nm'"),
        ({"tool": "imagej"}, "columns of ImageJ"),
        ({"tool": "imagje"}, "Did you mean 'imagej'"),
        ({}, "declared"),
        ({"columns": {"edge_length_nm": "Length"}}, "the sample of each"),
        ({"columns": {"edge_length_nm": "Length"}, "pattern": "{sample}-*"}, "name of every micrograph"),
    ],
)
def test_what_is_missing_is_named_with_the_nearest(tmp_path, said, words):
    with pytest.raises(TableError, match=words):
        nc.read_particle_table(write(tmp_path, "Length,Image\n4.5,a\n"), **said)


def test_a_table_without_our_names_is_recognised(tmp_path):
    with pytest.raises(TableError, match="looks like a table of ImageJ"):
        nc.read_particle_table(write(tmp_path, IMAGEJ.replace("Solidity", "S")), sample="A")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("edge_length_nm\n4 nm\n", "'4 nm' in row 1"),
        ("edge_length_nm,circularity\n4,True\n5,False\n", "'True' in row 1"),
        ("edge_length_nm;sample\n4,2;A\n", "semicolons"),
        ("edge_length_nm,edge_length_nm\n4,4\n", "different name"),
        ("edge_length_nm,sample\n4\n", "as many cells"),
        ("", "a header line"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, text, words):
    with pytest.raises(TableError, match=words):
        nc.read_particle_table(write(tmp_path, text), sample="A")


def test_files_in_folders_are_micrographs_of_samples_and_none_counts_twice(tmp_path):
    for name, lengths in (("A/1.csv", "4\n5\n"), ("A/2.csv", ""), ("B/1.csv", "6\n")):
        write(tmp_path, "edge_length_nm\n" + lengths, name)
    rows = nc.read_particle_table(tmp_path)
    assert rows[["sample", "micrograph"]].to_numpy().tolist() == [["A", "A/1"], ["A", "A/1"], ["B", "B/1"]]
    write(tmp_path, "edge_length_nm\n6\n", "B/copy.csv")
    with pytest.raises(TableError, match="the same bytes"):
        nc.read_particle_table(tmp_path)


def test_files_have_to_have_the_same_columns(tmp_path):
    write(tmp_path, "edge_length_nm,solidity\n4,0.9\n", "1.csv")
    write(tmp_path, "edge_length_nm,other\n5,x\n", "2.csv")
    with pytest.raises(TableError, match="none named solidity"):
        nc.read_particle_table(tmp_path, sample="A")


def test_types_that_differ_between_parts_do_not_matter(tmp_path):
    first = pd.DataFrame({"sample": ["A", "A"], "micrograph": [7, 8], "edge_length_nm": [4, 5], "note": ["x", "y"]})
    second = pd.DataFrame({"sample": ["A", "B"], "micrograph": ["7", "8"], "edge_length_nm": [4.5, 5.5]})
    third = pd.DataFrame({"sample": ["B"], "micrograph": [9.0], "edge_length_nm": np.float32([6.5])})
    first.to_parquet(tmp_path / "0.parquet")
    second.astype({"sample": "category"}).to_parquet(tmp_path / "1.parquet")
    third.to_parquet(tmp_path / "2.parquet")
    lazy = nc.read_particle_table(tmp_path)
    assert isinstance(lazy, dd.DataFrame)
    assert lazy.npartitions == 3
    rows = lazy.compute()
    assert rows["micrograph"].tolist() == ["7", "8", "7", "8", "9"]
    assert rows["sample"].tolist() == ["A", "A", "A", "B", "B"]
    assert rows["note"].isna().tolist() == [False, False, True, True, True]
    whole = pd.concat([each.astype({"micrograph": float}) for each in (first, second, third)])
    whole["micrograph"] = whole["micrograph"].astype(int).astype(str)
    made, expected = (nc.cells(each, by=["sample"], of=["edge_length_nm"], weight=None) for each in (lazy, whole))
    assert made.digest == expected.digest


def test_text_in_one_of_several_files_is_named(tmp_path):
    pd.DataFrame({"edge_length_nm": [4.0]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"edge_length_nm": ["4.0"]}).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(TableError, match=r"1\.parquet.*expected numbers"):
        nc.read_particle_table(tmp_path, sample="A")


def test_only_what_is_needed_is_read_of_parquet(tmp_path, monkeypatch):
    pd.DataFrame({"sample": "A", "micrograph": "x", "Area": [16.0, 25.0], "Round": 1.0}).to_parquet(
        tmp_path / "0.parquet"
    )
    lazy = nc.read_particle_table(tmp_path / "0.parquet", tool="imagej", unit="nm")
    read = []
    from nanocensus.store.foreign.files import Piece

    original = Piece.read
    monkeypatch.setattr(Piece, "read", lambda self, columns: read.append(list(columns)) or original(self, columns))
    assert lazy["edge_length_nm"].compute(scheduler="synchronous").tolist() == [4.0, 5.0]
    assert read == [["Area"]]


def test_formulas_agree_with_what_is_measured_here():
    y, x = np.mgrid[:90, :90]
    rows = nc.measure_particles(labels=(np.hypot(y - 40, (x - 45) / 1.2) < 25).astype(int), pixel_size_nm=0.1)
    for name, ways in DERIVED.items():
        for sources, formula in ways:
            np.testing.assert_allclose(formula(*(rows[each] for each in sources)), rows[name], rtol=1e-9, err_msg=name)


def test_the_page_names_every_column_of_every_tool():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {ours: [re.findall(r"`([^`]+)`", cell) for cell in cells.split(" | ")] for ours, cells in rows}
    declared = list(dict.fromkeys(name for tool in TOOLS.values() for name in tool.columns))
    assert list(documented) == declared
    for name, cells in documented.items():
        assert cells == [[each for each in tool.columns.get(name, ()) if each.strip()] for tool in TOOLS.values()]
    text = PAGE.read_text(encoding="utf-8")
    assert all(words in text for tool in TOOLS.values() for words in tool.differs.values())
