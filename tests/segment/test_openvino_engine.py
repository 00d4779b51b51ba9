"""OpenVINO gives the maps that JAX gives."""

import subprocess
import sys

import numpy as np
import pytest

from nanocensus.errors import MissingExtraError
from nanocensus.segment.networks.architecture import ResNetUNetConfig, UNetConfig
from nanocensus.segment.networks.parameters import fold, initial_network, named_arrays
from nanocensus.segment.prediction import openvino_engine
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.predict import probability_parts
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.scenes.scene import draw_scene

IMAGE = draw_scene(np.random.default_rng(4), (150, 190), forms=["discs"], kinds=["plain"]).pixels


def _random(config):
    rng = np.random.default_rng(3)
    weights = fold(named_arrays(initial_network(config, rng)))
    weights = {name: array + rng.normal(0, 0.03, array.shape).astype(np.float32) for name, array in weights.items()}
    return Model("random", f"{config.base:064d}", config, weights)


def _whole(model, *, tile=10_000, **choices):
    found = np.full(IMAGE.shape, np.nan, np.float32)
    for place, part in probability_parts(model, IMAGE, tile=tile, **choices):
        found[place] = part
    return found


MODELS = {
    "fast": lambda: _random(UNetConfig(base=3, levels=1)),
    "paper": lambda: _random(ResNetUNetConfig(base=4, units=2)),
    "shipped": lambda: load_model("default"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_probability_is_that_of_jax_to_rounding(name):
    model = MODELS[name]()
    expected = _whole(model)
    assert expected.std() > 0.003
    assert np.abs(_whole(model, engine="openvino") - expected).max() <= 1e-4


def test_windows_give_the_whole():
    model = _random(UNetConfig(base=3, levels=1))
    whole = _whole(model, engine="openvino")
    assert np.abs(_whole(model, engine="openvino", tile=64) - whole).max() <= 1e-5


def test_bfloat16_is_near():
    model = load_model("default")
    maps = [model.probability(IMAGE, engine="openvino", precision=precision) for precision in ("float32", "bfloat16")]
    # A processor that does not know bfloat16 is free to take float32.
    assert ((maps[0] >= 128) == (maps[1] >= 128)).mean() > 0.998


def test_nothing_is_reported_to_anybody():
    program = (
        "import sys; from nanocensus.segment.prediction.openvino_engine import require_openvino as r; r();"
        "print(sys.modules['openvino_telemetry'])"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "None\n"


def test_its_absence_is_said_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    openvino_engine._compiled.cache_clear()
    with pytest.raises(MissingExtraError, match=r"nanocensus\[openvino\]"):
        load_model("default").probability(IMAGE, engine="openvino")


INTERRUPTED_AFTER_NETWORKS_WERE_DROPPED = """
import os, signal, threading
import numpy as np
from nanocensus.segment.prediction import openvino_engine
from nanocensus.segment.prediction.weights import load_model

openvino_engine.run(load_model("default"), "float32", np.zeros((1, 64, 64), np.float32))
elsewhere = threading.Thread(target=openvino_engine._compiled.cache_clear)
elsewhere.start()
elsewhere.join()
signal.signal(signal.SIGINT, lambda *_: print("asked to stop"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_an_interrupt_is_heard_after_another_thread_drops_a_network():
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AFTER_NETWORKS_WERE_DROPPED], check=False, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "asked to stop\n"), run.stderr
