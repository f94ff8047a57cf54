"""The benchmark of ensembles: its ensembles are those of the classifier."""

import gzip

import numpy as np
import pytest
from benchmark_modules import load
from prompting.tiny_causal_models import save_pair

from skicl import ICLClassifier
from skicl.prompting import PromptEnsemble

benchmark, prompts = load("icl_ensembles"), load("icl_prompts")
X = ["where is my parcel?", "it has not arrived", "I was charged twice", "wrong amount on my bill", "late", "too dear"]
Y = np.array(["delivery", "delivery", "billing", "billing", "delivery", "billing"])
PLAIN = {"calibration": None, "readout": "label_words"}
QUERIES = ["my package is late", "please correct the invoice"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pair("gpt2", tmp_path_factory.mktemp("models") / "gpt2")


def test_ensembles_are_those_of_the_classifier(folder):
    seeds = [0, 5, 9]
    from skicl.prompting import StratifiedDemonstrations

    def member(seed):
        return ICLClassifier(folder, demonstrations=StratifiedDemonstrations(2, random_state=seed), **PLAIN)

    members = [member(seed) for seed in seeds]
    opinions = np.stack([member.fit(X, Y).predict_log_proba(QUERIES) for member in members])
    np.testing.assert_allclose(benchmark.combined(opinions, "mean"), np.exp(opinions).mean(axis=0), atol=1e-6)
    whole = ICLClassifier(folder, demonstrations=2, ensemble=PromptEnsemble(3, combine="max"), **PLAIN).fit(X, Y)
    parts = [member(seed) for seed in range(3)]
    opinions = np.stack([part.fit(X, Y).predict_log_proba(QUERIES) for part in parts])
    np.testing.assert_allclose(benchmark.combined(opinions, "max"), whole.predict_proba(QUERIES), atol=1e-4)


def test_wordings_are_complete():
    for name, wording in prompts.WORDINGS.items():
        assert len(wording.templates) == len(wording.words) == benchmark.MEMBERS, name
        assert all(template.endswith("{label}") and "{text}" in template for template in wording.templates)
        for words in wording.words:
            assert set(words) == set(wording.words[0])
            assert len(set(words.values())) == len(words)


def test_a_run_is_recorded_and_goes_on(folder, tmp_path, capsys):
    for part in ("train", "test"):
        with gzip.open(tmp_path / f"some.{part}.tsv.gz", "wt", encoding="utf-8") as file:
            rows = [f"{part} {text} {i}\t{y}\n" for i in range(3) for text, y in zip(X, Y)]
            file.write("text\tlabel\n" + "".join(rows))
    out, page = tmp_path / "out.csv", tmp_path / "page.md"
    sizes = ["--sets", "some", "--demonstrations", "2", "--rows", "8", "--queries", "6"]
    command = ["--data", str(tmp_path), "--model", folder, *sizes, "--out", str(out), "--markdown", str(page)]
    benchmark.main([*command, "--seeds", "1"])
    first = out.read_text(encoding="utf-8")
    assert "some 0" in capsys.readouterr().out
    benchmark.main([*command, "--seeds", "2"])
    assert out.read_text(encoding="utf-8").startswith(first)
    said = capsys.readouterr().out
    assert "some 1" in said
    assert "some 0" not in said
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    arms = 3 + 3 * 3  # the words do not vary: there is one set of them
    assert len(rows) == 2 + arms
    accuracies = [float(row.split("|")[2]) for row in rows[2:]]
    assert all(0 <= accuracy <= 100 for accuracy in accuracies)
