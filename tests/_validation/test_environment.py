import sys

import numpy as np
import pytest
import torch

from skicl._validation._environment import import_optional, resolve_device
from skicl._validation._labels import warn_of_small_total


def test_device_is_resolved():
    best = resolve_device(None)
    assert best.type == ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_device_none_prefers_cuda_then_mps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert resolve_device(None) == torch.device("cuda:1")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match=r"'cuda:2' was asked for, but PyTorch finds only 2"):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device(None) == torch.device("mps")
    with pytest.raises(ValueError, match="PyTorch finds no CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="`device`='mps' needs Apple's Metal backend"):
        resolve_device("mps")


@pytest.mark.parametrize("device", ["gpu", "cpu:x", ""])
def test_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match=rf"`device`='{device}' is not a device PyTorch knows"):
        resolve_device(device)


@pytest.mark.parametrize("device", ["meta", "xpu"])
def test_device_that_cannot_compute_is_refused(device):
    if device == "xpu" and torch.xpu.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ValueError, match=f"`device`='{device}' cannot be used on this machine"):
        resolve_device(device)


@pytest.mark.parametrize("device", [0, 1.0, ["cpu"]])
def test_device_of_a_wrong_type_is_refused(device):
    with pytest.raises(TypeError, match=r"`device` must be None, a string or a torch\.device"):
        resolve_device(device)


def test_optional_module_is_imported():
    assert import_optional("xml.dom", extra="offline") is sys.modules["xml.dom"]


def test_missing_optional_module_gives_the_install_line():
    with pytest.raises(ImportError, match=r"'surely_not_there' is needed.*pip install \"skicl\[audio\]\""):
        import_optional("surely_not_there.part", extra="audio")
    with pytest.raises(ImportError, match=r"'surely_not_there' is needed.*pip install surely_not_there$"):
        import_optional("surely_not_there")


def test_error_inside_an_optional_module_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("import another_absent_module", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_absent_module"):
        import_optional("broken_module", extra="audio")


@pytest.mark.parametrize(("device", "meant"), [("gpu", "cuda"), ("GPU", "cuda"), ("cuad", "cuda"), ("CPUs", "cpu")])
def test_a_misspelt_device(device, meant):
    with pytest.raises(ValueError, match=f"`device`='{device}' is not a device .* Did you mean '{meant}'"):
        resolve_device(device)


def test_a_warning_points_to_the_code_of_the_user():
    with pytest.warns(UserWarning, match="sums to") as caught:
        warn_of_small_total(np.full(9, 0.01), 9)
    assert caught[0].filename == __file__
