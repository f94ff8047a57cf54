"""The benchmark of implicit patterns: it runs end to end with the bundled model, and continues from its file."""

from benchmark_modules import load

benchmark = load("implicit_pattern_study")
COUNTS = {"--n-train": "16", "--n-validation": "10", "--n-test": "10", "--n-repeats": "1"}
SMALL = ["--quick", "--tasks", "parity", *(word for count in COUNTS.items() for word in count)]


def test_tables_are_written_and_a_second_run_fits_nothing(tmp_path, capsys, monkeypatch):
    paths = ["--out", str(tmp_path / "study.csv"), "--markdown", str(tmp_path / "table.md")]
    methods = ["--methods", "in context,TF-IDF + LR"]
    benchmark.main([*SMALL, *paths, *methods])
    first = capsys.readouterr().out
    rows = [line for line in first.splitlines() if line.startswith(("| in context", "| TF-IDF + LR"))]
    assert len(rows) == 2
    assert all(line.count(" to ") == 4 for line in rows), "four shares with their intervals"
    assert (tmp_path / "table.md").read_text() == first

    def refuse(*arguments):
        raise RuntimeError("fitted again")

    monkeypatch.setattr(benchmark.ICLClassifier, "fit", refuse)
    benchmark.main([*SMALL, *paths, *methods])
    again = capsys.readouterr().out
    assert [line for line in again.splitlines() if line.startswith("|")] == [
        line for line in first.splitlines() if line.startswith("|")
    ]


def test_all_learners_share_the_model():
    learners, curves = benchmark.build("some-model", quick=True, seed=0)
    assert list(learners) == ["in context", "fine-tuned", "LoRA", "TART", "TF-IDF + LR"]
    assert set(curves) < set(learners)
    assert learners["in context"][0].model == "some-model"
    encoders = [learners["fine-tuned"][0].encoder, learners["LoRA"][0].encoder, *learners["TART"][1]["encoder"]]
    assert {encoder.model for encoder in encoders} == {"some-model"}
