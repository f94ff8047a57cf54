import pytest
import torch

from skicl._models._in_memory import LiveModel, clear_model_cache
from skicl._models._loading import ModelKind, UnsuitableModelError, is_pair

CPU, META = torch.device("cpu"), torch.device("meta")


class Wrapped:
    """A network in an object of one's own."""

    def __init__(self, network):
        self.network = network


def kind(**options):
    """A kind whose models in memory are linear layers, and whose folders hold one."""
    defaults = {
        "name": "linear",
        "in_memory": "a linear layer",
        "by_name": "a model",
        "in_folder": "with a linear layer",
        "is_live": lambda value: isinstance(value, torch.nn.Linear),
        "wrap": Wrapped,
        "fits": lambda model: isinstance(model, Wrapped),
        "network_of": lambda model: model.network,
        "read": lambda folder, device, dtype: Wrapped(torch.nn.Linear(2, 2, dtype=dtype)),
    }
    return ModelKind(**{**defaults, **options})


def test_a_model_in_memory_is_put_into_a_handle_once():
    layer = torch.nn.Linear(2, 2)
    handle = kind().live_handle(layer)
    assert isinstance(handle, LiveModel)
    assert handle.model.network is layer
    assert kind().live_handle(handle) is handle
    assert kind().live_handle("name") == "name"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, None, None), TypeError, "`model` must be the name or the path of a model or a linear layer, got 3"),
        (("name", 3, None), TypeError, "`revision` must be a string or None, got 3"),
        ((LiveModel(3), "main", None), ValueError, "`revision` applies to models of the hub only"),
        ((LiveModel(3), None, "float16"), ValueError, r"`dtype`='float16' does not apply .* layer\.to\(dtype\)"),
    ],
)
def test_parameters_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        kind(variable="layer").check_parameters(*arguments)


def test_a_folder_is_opened_once_for_each_device_and_format(tmp_path):
    clear_model_cache()
    opened = []

    def open_folder(folder, device, dtype, *, name=None):
        opened.append((folder, device, dtype, name))
        return Wrapped(torch.nn.Linear(2, 2, dtype=dtype))

    def load(device=CPU, dtype=None):
        return kind().load(tmp_path, None, device, dtype, find=pytest.fail, open_folder=open_folder)

    assert load() is load()
    assert load(dtype="bfloat16").model.network.weight.dtype == torch.bfloat16
    load(META)
    assert opened == [
        (tmp_path.resolve(), CPU, torch.float32, None),
        (tmp_path.resolve(), CPU, torch.bfloat16, None),
        (tmp_path.resolve(), META, torch.float32, None),
    ]


def test_a_name_is_made_full_and_looked_for(tmp_path):
    clear_model_cache()
    asked = []

    def find(name, revision):
        asked.append((name, revision))
        return tmp_path

    loaded = kind(full_name="house/{}".format).load("model", "main", CPU, None, find=find)
    assert asked == [("house/model", "main")]
    assert loaded.folder == tmp_path


def test_a_live_model_moves_unless_it_is_to_stay():
    layer = torch.nn.Linear(2, 2)
    handle = LiveModel(layer)
    loaded = kind().load(handle, None, META, None, find=pytest.fail, stay=True)
    assert loaded.model.network is layer, "what a user put into the handle is wrapped"
    assert layer.weight.device == CPU
    assert not layer.training
    kind().load(handle, None, META, None, find=pytest.fail)
    assert layer.weight.device == META


def test_a_handle_of_something_else_is_refused():
    with pytest.raises(TypeError, match=r"holds an object of type dict\. Expected a linear layer; use any other"):
        kind().load(LiveModel({}), None, CPU, None, find=pytest.fail)


def test_networks_are_checked_wherever_they_come_from(tmp_path):
    def check(model):
        raise TypeError("no network of mine")

    with pytest.raises(TypeError, match="no network of mine"):
        kind(check=check).load(LiveModel(torch.nn.Linear(2, 2)), None, CPU, None, find=pytest.fail)
    with pytest.raises(TypeError, match="no network of mine"):
        kind(check=check).open(tmp_path, CPU, torch.float32)


def test_errors_of_reading_name_the_model(tmp_path):
    def opened(error, **options):
        def read(folder, device, dtype):
            raise error

        return kind(read=read, **options).open(tmp_path, CPU, torch.float32, name="some/model")

    with pytest.raises(ValueError, match=r"`model`='some/model' could not be loaded .* \(KeyError: 'x'\)\. Expected a"):
        opened(KeyError("x"))
    with pytest.raises(ValueError, match=r"^`model`='some/model' has two heads"):
        opened(UnsuitableModelError("has two heads"))
    with pytest.raises(MemoryError):
        opened(MemoryError())
    with pytest.raises(ImportError, match=r"^install it$"):
        opened(ImportError("install it"), passed_on=(ImportError,))


def test_pairs():
    layer = torch.nn.Linear(2, 2)
    assert is_pair((layer, str.split))
    assert is_pair([layer, None])
    for other in ("ab", (1, 2), (layer,), None, layer):
        assert not is_pair(other)
