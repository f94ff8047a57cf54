import logging
import warnings

import pytest
import torch
from huggingface_hub.utils import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

from skicl._models._quiet_loading import missing_weights, quiet_loading

REPORT = """BertModel LOAD REPORT from: folder
Key                                     | Status     |
----------------------------------------+------------+-
embeddings.position_ids                 | UNEXPECTED |
encoder.layer.{0, 1}.output.dense.weight | MISSING    |
pooler.dense.bias                       | MISSING    |
"""


def test_missing_weights_are_read_off_the_report():
    assert missing_weights([REPORT]) == ["encoder.layer.{0, 1}.output.dense.weight"]
    colored = "\x1b[1mModel LOAD REPORT\x1b[0m\nembeddings.weight | \x1b[31mMISSING\x1b[0m |\n"
    assert missing_weights([colored]) == ["embeddings.weight"]
    assert missing_weights(["Some weights are MISSING in this sentence.", ""]) == []


def test_nothing_is_printed_and_settings_are_restored(capfd):
    logger = logging.getLogger("transformers.some.module")
    bars, handlers = transformers_logging.is_progress_bar_enabled(), list(logging.getLogger("transformers").handlers)
    hub_bars = are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet_loading("model"):
            logger.warning("a load report")
            logging.getLogger("sentence_transformers.some").warning("a remark")
            assert list(transformers_logging.tqdm(range(3))) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
    assert transformers_logging.is_progress_bar_enabled() == bars
    assert are_progress_bars_disabled() == hub_bars
    assert logging.getLogger("transformers").handlers == handlers


def test_settings_are_restored_after_an_error():
    bars = transformers_logging.is_progress_bar_enabled()
    with pytest.raises(OSError, match="broken"), quiet_loading("model"):
        raise OSError("broken")
    assert transformers_logging.is_progress_bar_enabled() == bars


def test_progress_bars_that_the_user_switched_off_stay_off():
    transformers_logging.disable_progress_bar()
    try:
        with quiet_loading("model"):
            pass
        assert not transformers_logging.is_progress_bar_enabled()
        assert are_progress_bars_disabled()
    finally:
        transformers_logging.enable_progress_bar()


def test_missing_weights_give_a_warning():
    with (
        pytest.warns(UserWarning, match=r"'some model' lack 1 weights.*encoder\.layer") as caught,
        quiet_loading("some model"),
    ):
        logging.getLogger("transformers.modeling_utils").warning(REPORT)
    assert caught[0].filename == __file__


def test_weights_that_are_missing_are_the_same_every_time_and_cost_the_user_no_random_numbers():
    state = torch.get_rng_state()
    drawn = []
    for _ in range(2):
        with quiet_loading("model"):
            drawn.append(torch.nn.Linear(2, 3).weight)
        torch.testing.assert_close(torch.get_rng_state(), state)
    torch.testing.assert_close(drawn[0], drawn[1], rtol=0, atol=0)
