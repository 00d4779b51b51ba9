"""What a job asks of particles is what its sections say."""

from pathlib import Path

from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.question import question_of


def test_every_section_that_chooses_particles_or_numbers_is_in_the_question():
    job = parse_job(
        {
            "out": "results",
            "seed": 3,
            "simulate": {},
            "criteria": {"min_solidity": 0.8},
            "measure": {"threshold": 0.4},
            "statistics": {"bin_width_nm": 0.5, "descriptors": ["solidity"], "cluster": "session", "level": 0.9},
            "onsets": {"descriptors": {"solidity": {"between_nm": [2.6, 7.6]}}},
        },
        base=Path("/base"),
    )
    asked = question_of(job)
    assert (asked.of, asked.bins, asked.weight) == (("solidity",), job.statistics.bins(), "border_weight")
    assert (asked.cluster, asked.level, asked.seed) == ("session", 0.9, 3)
    assert asked.criteria == job.criteria
    assert asked.onsets == job.onsets
    assert (asked.maps.out, asked.maps.settings) == (job.out, job.measure)
