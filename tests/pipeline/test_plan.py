from dataclasses import replace

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from nanocensus.pipeline.job.plan import Network, PlannedMap, Task, assign_parts, cut_blocks, make_task
from nanocensus.pipeline.job.sections import MeasureSection
from nanocensus.segment.prediction.inference import Inference
from nanocensus.segment.preparation.preparation import Preparation

NETWORK = Network("m", "m", "d")


def index(samples, part=None):
    return pd.DataFrame(
        {
            "micrograph": [f"{i:016x}" for i in range(len(samples))],
            "sample": samples,
            "pixel_size_nm": 0.1,
            "part": [part] * len(samples),
        }
    )


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=30).map(sorted), st.integers(1, 40))
def test_blocks_hold_every_micrograph_once_and_never_two_samples(samples, size):
    planned = assign_parts(index(samples), size)
    assert planned["part"].notna().all()
    assert planned["part"].value_counts().max() <= size
    assert (planned.groupby("part")["sample"].nunique() == 1).all()
    blocks = cut_blocks(
        planned, {m: Task({"micrograph": m}, PlannedMap(NETWORK, "s"), "p") for m in planned["micrograph"]}
    )
    assert [task.row["micrograph"] for block in blocks for task in block.tasks] == list(planned["micrograph"])


def test_blocks_stay_when_the_size_changes_and_new_micrographs_make_new_ones():
    planned = assign_parts(index(["a"] * 5), 2)
    again = assign_parts(planned, 16)
    pd.testing.assert_frame_equal(planned, again)
    more = pd.concat([planned, index(["a"] * 7).iloc[5:]], ignore_index=True)
    grown = assign_parts(more, 16)
    assert list(grown["part"][:5]) == list(planned["part"])
    assert grown["part"][5] == grown["part"][6] != planned["part"][4]


def test_a_block_that_lost_a_micrograph_becomes_another_block():
    planned = assign_parts(index(["a"] * 4), 2)
    fewer = assign_parts(planned.drop(index=0).reset_index(drop=True), 2)
    assert planned["part"][0] not in set(fewer["part"])
    assert fewer["part"][2] == planned["part"][3]


def test_each_cause_changes_the_digests_behind_it_and_no_other():
    row = {"content_digest": "c", "sample": "a", "pixel_size_nm": 0.1}
    known = {"network": NETWORK, "inference": Inference(64), "measure": MeasureSection()}
    task = make_task(row, **known)
    other_weights = make_task(row, **known | {"network": replace(NETWORK, digest="e")})
    assert other_weights.map.digest != task.map.digest
    assert other_weights.measure_digest != task.measure_digest
    for preparation in (Preparation(flat_field=False), Preparation(contrast="bright")):
        otherwise = make_task(row, **known, preparation=preparation)
        assert otherwise.map.digest != task.map.digest
        assert otherwise.measure_digest != task.measure_digest
        assert otherwise.preparation == preparation
    for inference in (Inference(96), Inference(64, "openvino"), Inference(64, "openvino", "bfloat16")):
        assert make_task(row, **known | {"inference": inference}).map.digest != task.map.digest
    other_estimator = make_task(row, **known | {"measure": MeasureSection(estimator="paper")})
    assert other_estimator.map.digest == task.map.digest
    assert other_estimator.measure_digest != task.measure_digest
    other_scale = make_task(row | {"pixel_size_nm": 0.2}, **known)
    assert other_scale.map.digest == task.map.digest
    assert other_scale.measure_digest != task.measure_digest
