import importlib.util

import pynvml
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


@pytest.fixture
def driver(monkeypatch):
    """A driver that knows three GPUs, the last of them divided, as NVML tells of them."""
    names = {0: "NVIDIA H100 80GB HBM3", 1: "NVIDIA H100 80GB HBM3", 2: "NVIDIA A100-SXM4-40GB",
             "GPU-8f02": "NVIDIA A100-SXM4-40GB", "MIG-6d1c": "NVIDIA A100-SXM4-40GB MIG 1g.5gb"}  # fmt: skip

    def handle(place):
        if place not in names:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return place

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", names.get)


@pytest.mark.parametrize(
    ("devices", "name"),
    [
        (None, "NVIDIA H100 80GB HBM3, NVIDIA A100-SXM4-40GB"),
        ("1", "NVIDIA H100 80GB HBM3"),
        ("2, 0", "NVIDIA A100-SXM4-40GB, NVIDIA H100 80GB HBM3"),
        ("GPU-8f02", "NVIDIA A100-SXM4-40GB"),
        ("MIG-6d1c", "NVIDIA A100-SXM4-40GB MIG 1g.5gb"),
    ],
)
def test_gpus_are_named_as_cuda_shows_them(monkeypatch, driver, devices, name):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if devices is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    assert resolve_device("gpu").name == name


@pytest.mark.parametrize("devices", ["3", "0,-1", "0,", "GPU-0000"])
def test_a_gpu_that_the_driver_does_not_know_is_not_there(monkeypatch, driver, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    assert resolve_device("auto").reason.startswith(f"auto: no CUDA device {devices}")
