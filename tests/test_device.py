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
