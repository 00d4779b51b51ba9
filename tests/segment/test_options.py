"""Words that mean nothing are refused, where they would be passed over."""

import subprocess
import sys

import pytest

from nanocensus.errors import InputError
from nanocensus.segment.prediction.options import check_options

_ASKED = """
import numpy as np
from nanocensus.errors import InputError
from nanocensus.segment.prediction.weights import load_model
model = load_model("default-fold0")
for option in ({"contrast": "Bright"}, {"engine": "OpenVINO"}, {"precision": "bf16"}, {"resample": "pixels"}):
    try:
        model.probability(np.eye(64, dtype=np.uint8), **option)
    except InputError as error:
        print(error)
"""


def test_a_model_refuses_words_that_mean_nothing():
    # A process of its own, in which nothing checks types at run time.
    told = subprocess.run([sys.executable, "-c", _ASKED], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        "contrast: expected one of 'dark', 'bright', got 'Bright'. Did you mean 'bright'?",
        "engine: expected one of 'jax', 'openvino', got 'OpenVINO'. Did you mean 'openvino'?",
        "precision: expected one of 'float32', 'bfloat16', got 'bf16'. Did you mean 'bfloat16'?",
        "resample: expected one of 'pixel size', 'particles', got 'pixels'. Did you mean 'pixel size'?",
    ]


def test_what_is_known_passes_and_none_says_nothing():
    check_options(contrast="dark", precision="bfloat16", engine="openvino", resample=None)
    with pytest.raises(InputError, match="Use one of these words"):
        check_options(engine=None, contrast=3)
