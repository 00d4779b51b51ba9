from nanocensus.pipeline.block import process_block
from nanocensus.pipeline.plan import Block, make_task
from nanocensus.pipeline.spec import MeasureSection


def test_the_time_of_a_stage_that_failed_counts(tmp_path):
    row = {
        "micrograph": "0" * 16, "name": "a.tif", "sample": "A", "order": 0, "height_px": 8, "width_px": 8,
        "recorded_dtype": "uint8", "pixel_size_nm": 0.1, "pixel_size_source": "given", "content_digest": "0" * 64,
    }  # fmt: skip
    settings = MeasureSection()
    task = make_task(row, model="default", model_name="default", model_digest="", tile_px=64, measure=settings)
    result = process_block(Block("part-0.parquet", (task,)), tmp_path, 64, settings)
    assert [row["status"] for row in result.rows] == ["failed"]  # its pixels are nowhere
    assert result.seconds["read"] > 0.0
