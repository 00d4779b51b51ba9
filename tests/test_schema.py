import json
from pathlib import Path

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nanocensus.errors import FormatVersionError, TableError
from nanocensus.schema import (
    LARGEST_WEIGHT,
    MICROGRAPHS,
    PARTICLES,
    TABLES,
    WEIGHT_QUANTUM,
    check_format_version,
)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_names_are_unique_and_every_column_says_what_it_means(table):
    assert len(set(table.names)) == len(table.names)
    assert all(column.meaning.endswith(".") for column in table.columns)


@pytest.mark.parametrize("column", [c for c in PARTICLES.columns if c.quantum], ids=lambda column: column.name)
def test_a_weighted_square_of_any_allowed_value_fits_64_bits(column):
    largest = max(abs(column.minimum), abs(column.maximum)) / column.quantum
    assert largest**2 * (LARGEST_WEIGHT / WEIGHT_QUANTUM) < 2**63


def test_units_and_meanings_travel_in_the_arrow_schema():
    schema = pa.ipc.read_schema(PARTICLES.arrow().serialize())
    metadata = schema.field("edge_length_nm").metadata
    assert metadata[b"unit"] == b"nm"
    assert b"sqrt(area)" in metadata[b"meaning"]
    assert schema.metadata[b"nanocensus.format_version"] == b"1.3"


def test_a_row_is_checked_by_the_published_schema():
    contract = MICROGRAPHS.json_schema()
    jsonschema.Draft202012Validator.check_schema(contract)
    validator = jsonschema.Draft202012Validator(contract)
    row = dict.fromkeys(MICROGRAPHS.names) | {
        "micrograph": "00" * 8, "name": "a.tif", "sample": "Co0.4", "order": 0, "height_px": 8, "width_px": 8,
        "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given", "content_digest": "00" * 32,
        "status": "done", "condition_Co_mmol": 0.4,
    }  # fmt: skip
    validator.validate(json.loads(json.dumps(row)))
    for broken in ({"pixel_size_nm": 0.0}, {"status": "lost"}, {"sample": None}, {"surprise": 1}):
        assert list(validator.iter_errors(row | broken))


def test_an_unknown_column_is_refused_by_name():
    with pytest.raises(TableError, match="edge_length"):
        PARTICLES["edge_lenght_nm"]


def test_older_minor_versions_open_and_other_majors_do_not():
    check_format_version("1.7", "index")
    with pytest.raises(FormatVersionError, match=r"run\.json"):
        check_format_version("2.0", "index")


GOLDEN = Path(__file__).parent / "golden" / "format-1.0"
WRITTEN_BY_1_0 = {
    "micrographs": GOLDEN / "micrographs.parquet",
    "refusals": GOLDEN / "refusals.parquet",
    "particles": GOLDEN / "particles" / "part-golden.parquet",
}


@pytest.mark.parametrize("name", TABLES)
def test_since_1_0_a_column_was_only_added_and_only_a_nullable_one(name):
    written = pq.read_schema(WRITTEN_BY_1_0[name])
    assert written.metadata[b"nanocensus.format_version"] == b"1.0"
    declared = TABLES[name].arrow()
    assert [column for column in declared.names if column in written.names] == written.names
    for column in declared:
        if column.name in written.names:
            before = written.field(column.name)
            assert (before.type, before.nullable) == (column.type, column.nullable), column.name
        else:
            assert column.nullable, column.name
