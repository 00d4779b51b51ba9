import pytest

from nanocensus.device import resolve_device
from nanocensus.errors import DeviceError


def test_the_cpu_can_be_asked_for():
    assert resolve_device("cpu").kind == "cpu"


def test_auto_says_why_it_took_what_it_took():
    device = resolve_device("auto")
    assert device.reason.startswith("auto: ") if device.kind == "cpu" else device.reason == "found by auto"


@pytest.mark.skipif(resolve_device("auto").kind == "gpu", reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_that_names_the_extra():
    with pytest.raises(DeviceError, match="cuda13"):
        resolve_device("gpu")


@pytest.mark.parametrize("devices", ["", "-1", "-1,0"])
def test_gpus_that_are_hidden_are_not_there(monkeypatch, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    assert resolve_device("auto").reason == "auto: CUDA_VISIBLE_DEVICES hides every GPU"
    with pytest.raises(DeviceError, match="hides every GPU"):
        resolve_device("gpu")
