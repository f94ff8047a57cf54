"""The comparison of TART's protocols: a small model is trained, tables are written, a second run continues."""

import gzip
import itertools

import numpy as np
import pytest
from benchmark_modules import load

WORDS = {"pets": ["cat", "dog", "bird"], "cars": ["wheel", "motor", "road"]}


protocols, small = load("tart_protocols"), load("small_language_model")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for part, n_rows in (("train", 40), ("test", 20)):
        labels = [label for label in WORDS for _ in range(n_rows // 2)]
        texts = [" ".join(rng.choice(WORDS[label], 4)) + f" {i}" for i, label in enumerate(labels)]
        lines = ["text\tlabel", *(f"{text}\t{label}" for text, label in zip(texts, labels))]
        (folder / f"toy.{part}.tsv.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return folder


def run(data, place):
    protocols.main([
        "--data", str(data), "--sets", "toy", "--ks", "4", "--seeds", "2", "--queries", "6", "--seconds", "1",
        "--cache", str(place / "cache"), "--out", str(place / "out.csv"), "--markdown", str(place / "table.md"),
    ])  # fmt: skip
    return (place / "table.md").read_text(encoding="utf-8"), (place / "out.csv").read_text(encoding="utf-8")


@pytest.mark.slow
def test_tables_of_all_protocols_and_a_second_run_that_does_nothing(data, tmp_path, monkeypatch):
    table, records = run(data, tmp_path)
    assert len(records.splitlines()) == 1 + 4 * 2 * 2  # protocols, classifiers, repeats
    for shown in (*protocols.SHOWN.values(), *protocols.CLASSIFIERS.values(), "k = 4", "### toy"):
        assert shown in table
    assert "nan" not in table
    monkeypatch.setattr(small, "train", lambda *_: pytest.fail("trained again"))
    assert run(data, tmp_path) == (table, records)


def test_training_lowers_the_loss(monkeypatch):
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    texts = ["the cat sat on the mat", "the dog sat on the road"] * 20
    tokenizer = small.train_tokenizer(texts)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    network = GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **shape))
    clock = itertools.count()
    monkeypatch.setattr(small, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(small, "BATCH", 4)
    monkeypatch.setattr(small, "LENGTH", 16)
    losses = small.train(network, small.token_stream(texts, tokenizer, 0), 60, 0)
    assert len(losses) == 59
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1


def test_the_mistake_shows_rows_their_own_label():
    class Recorder:
        """Remembers what it was fitted on and says whether a row is among it."""

        def get_params(self, deep=True):
            return {}

        def fit(self, X, y):
            self.seen_ = dict(zip(X, y))
            return self

        def transform(self, X):
            return np.array([[x in self.seen_] for x in X])

    mistake = protocols.OwnLabelSeen(Recorder())
    assert mistake.fit_transform(["a", "b"], [0, 1]).all()
    assert not mistake.transform(["c"]).any()


def test_cells_are_means_with_standard_errors():
    records = [{"accuracy": value, "log_loss": loss} for value, loss in ((0.5, 1.0), (0.7, 2.0))]
    assert protocols.cell(records) == "60.0 ± 10.0 / 1.50"
