from types import SimpleNamespace

import pytest
import torch

from skicl._models._precision import check_dtype, dtype_name, resolve_dtype

CPU, GPU = torch.device("cpu"), SimpleNamespace(type="cuda")


def test_names_and_formats_mean_the_same():
    for name in ("float32", "bfloat16", "float16"):
        assert resolve_dtype(name, CPU) is resolve_dtype(getattr(torch, name), GPU) is getattr(torch, name)
        assert dtype_name(getattr(torch, name)) == dtype_name(name) == name


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_default_is_bfloat16_where_the_hardware_has_it(monkeypatch, capability, expected):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    assert resolve_dtype(None, GPU) is expected
    assert resolve_dtype(None, CPU) is torch.float32
    assert resolve_dtype(None, torch.device("mps")) is torch.float32


@pytest.mark.parametrize("dtype", ["float64", "half", torch.int8, 32, ""])
def test_other_formats_are_refused(dtype):
    with pytest.raises(ValueError, match="`dtype` must be None or one of 'float32', 'bfloat16', 'float16', got"):
        check_dtype(dtype)
    with pytest.raises(ValueError, match="`weights` must be"):
        check_dtype(dtype, parameter="weights")
    with pytest.raises(ValueError, match="`dtype` must be"):
        resolve_dtype(dtype, CPU)
