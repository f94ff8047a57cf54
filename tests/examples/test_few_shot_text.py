"""The few-shot benchmark from files to tables."""

import gzip
import re

import numpy as np
import pytest
from benchmark_modules import load
from sklearn.base import BaseEstimator, ClassifierMixin

from skicl.evaluation import mean_differences, mean_scores

WORDS = {
    "weather": "rain sun wind snow cloud",
    "food": "bread soup cheese apple rice",
    "sport": "goal race ball",
}


few_shot_text, few_shot_figure, methods, tables, data_sets, log_mel, side_information = map(
    load, ("few_shot_text", "few_shot_figure", "methods", "tables", "data_sets", "log_mel", "side_information")
)
COMPETITORS = "tuned-lr,tuned-lr-accuracy,lr,lda,centroid,knn,svm,gp,forest"


class CountingEncoder:
    """Letters of a text, and a count of the texts that were encoded."""

    encoded = 0

    def __init__(self, name):
        self.name = name

    def fit_transform(self, texts):
        CountingEncoder.encoded += len(texts)
        counts = np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=float)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def write_texts(folder, name, n_rows, labels, seed=0):
    rng = np.random.default_rng(seed)
    for part in ("train", "test"):
        rows = []
        for _ in range(n_rows):
            label = labels[rng.integers(len(labels))]
            rows.append(f'{" ".join(rng.choice(WORDS[label].split(), 4))} "\t{label}\n')
        text = "text\tlabel\n" + "".join(rows)
        (folder / f"{name}.{part}.tsv.gz").write_bytes(gzip.compress(text.encode()))


def write_images(folder, name, n_rows=40, seed=0):
    """Two classes: bright on the left, bright on the right; unsigned labels."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part in ("train", "test"):
        y = rng.integers(2, size=n_rows).astype(np.uint8)
        bright = np.where(np.arange(6)[None, None, :] // 3 == y[:, None, None], 200, 20)
        arrays[f"X_{part}"] = (bright + rng.integers(50, size=(n_rows, 4, 6))).astype(np.uint8)
        arrays[f"y_{part}"] = y
    np.savez(folder / f"{name}.npz", **arrays)
    return arrays


def write_recordings(folder, name, n_rows=20, rate=8000, seed=0):
    """Two classes: a low tone and a high one, of different lengths and loudness, zero-padded."""
    rng = np.random.default_rng(seed)
    arrays = {"sample_rate": np.array(rate)}
    for part in ("train", "test"):
        y = rng.integers(2, size=n_rows)
        lengths = rng.integers(rate // 4, rate // 2, size=n_rows).astype(np.int32)
        seconds = np.arange(rate // 2) / rate
        tones = np.sin(2 * np.pi * np.where(y == 0, 300, 2000)[:, None] * seconds)
        waves = tones + 0.1 * rng.normal(size=tones.shape)
        waves *= rng.uniform(1000, 10_000, size=(n_rows, 1)) * (np.arange(rate // 2) < lengths[:, None])
        arrays |= {f"X_{part}": waves.astype(np.int16), f"y_{part}": y, f"len_{part}": lengths}
    np.savez(folder / f"{name}.npz", **arrays)
    return arrays


@pytest.fixture
def data(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    write_texts(folder, "agnews", 60, ["weather", "food"])
    write_texts(folder, "three", 50, ["weather", "food", "sport"])
    write_images(folder, "stripes")
    write_recordings(folder, "tones")
    monkeypatch.setattr(few_shot_text, "make_encoder", CountingEncoder)
    monkeypatch.setattr(CountingEncoder, "encoded", 0)
    return folder


def arguments(data, *more, sets="agnews,three"):
    options = ["--data", data, "--sets", sets, "--k", "4,8,16", "--seeds", "2", "--queries", "20", *more]
    return [str(option) for option in options]


def table_under(text, title):
    """Cells of the table under a title, by first cell of the row."""
    lines = text.split(f"{title}\n")[1].split("\n#")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


class TestSets:
    def test_sets_are_found_with_their_kinds(self, data):
        (data / "alone.train.tsv.gz").touch()
        np.savez(data / "other.npz", table=np.zeros(3))
        assert data_sets.find_sets(data) == {
            "agnews": "text",
            "three": "text",
            "stripes": "image",
            "tones": "audio",
            "digits": "image",
        }

    def test_texts_are_read_as_they_are(self, data):
        train, test = data_sets.read_set(data, "agnews")
        assert len(train.X) == len(train.y) == len(test.X) == 60
        assert set(train.y) == {"weather", "food"}
        assert all(text.endswith('"') for text in train.X), "quotes mean nothing"

    def test_images_are_pixels_between_0_and_1(self, data):
        arrays = write_images(data, "stripes")
        train, test = data_sets.read_set(data, "stripes")
        assert train.X.shape == test.X.shape == (40, 24)
        assert train.X.dtype == np.float32
        assert (train.X.min(), train.X.max()) == (0, 1)
        low, high = arrays["X_train"].min(), arrays["X_train"].max()
        np.testing.assert_allclose(test.X[3], (arrays["X_test"][3].ravel() - float(low)) / (high - low), rtol=1e-6)
        np.testing.assert_array_equal(test.y, arrays["y_test"])

    def test_digits_are_built_in_and_always_split_alike(self, data):
        (train, test), (again, _) = (data_sets.read_set(data, "digits") for _ in range(2))
        assert (len(train.y), len(test.y)) == (1198, 599)
        assert (train.X.min(), train.X.max()) == (0, 1)
        np.testing.assert_array_equal(train.X, again.X)
        assert np.bincount(test.y).min() > 50

    def test_recordings_are_features_of_one_size(self, data):
        train, test = data_sets.read_set(data, "tones")
        assert train.X.shape == test.X.shape == (20, log_mel.N_FRAMES * log_mel.N_BANDS)
        assert np.isfinite(train.X).all()
        low, high = (train.X[train.y == label].mean(axis=0) for label in (0, 1))
        nearest = ((test.X - high) ** 2).sum(axis=1) < ((test.X - low) ** 2).sum(axis=1)
        np.testing.assert_array_equal(nearest, test.y == 1)

    def test_a_folder_for_each_half_is_named_in_the_code(self):
        assert {data_sets.half_of(name) for name in ("agnews", "cr", "mr", "snips", "mnist")} == {"development"}
        reporting = ("sst2", "subj", "mpqa", "trec", "dbpedia", "banking77", "fsdd", "digits", "unheard-of")
        assert {data_sets.half_of(name) for name in reporting} == {"report"}

    def test_what_is_not_a_set_is_refused(self, data, tmp_path):
        with pytest.raises(SystemExit, match="is not a folder"):
            data_sets.find_sets(tmp_path / "missing")
        with pytest.raises(SystemExit, match=r"no NAME\.train\.tsv\.gz .* no NAME\.npz"):
            data_sets.find_sets(tmp_path)
        path = data / "agnews.train.tsv.gz"
        path.write_bytes(gzip.compress(b"text\tlabel\nfine\tyes\nno label\n"))
        with pytest.raises(SystemExit, match="line 3: expected two fields"):
            data_sets.read_set(data, "agnews")
        path.write_bytes(gzip.compress(b"a\tb\nfine\tyes\n"))
        with pytest.raises(SystemExit, match="expected the columns text and label"):
            data_sets.read_set(data, "agnews")

    def test_embeddings_are_kept_by_content(self, tmp_path):
        CountingEncoder.encoded = 0

        def embed(texts, name="m"):
            return data_sets.embed(texts, CountingEncoder, name, tmp_path, "demo")

        first = embed(["ab", "c"])
        np.testing.assert_array_equal(embed(["ab", "c"]), first)
        assert first.dtype == np.float32
        assert CountingEncoder.encoded == 2
        for texts, name in ((["a", "bc"], "m"), (["ab", "c"], "n"), (["c", "ab"], "m")):
            before = CountingEncoder.encoded
            embed(texts, name)
            assert CountingEncoder.encoded == before + 2


class TestLogMel:
    def test_a_tone_is_loudest_in_the_band_of_its_frequency(self):
        centres = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + f / 700) for f in (50, 4000)), 42)[1:-1] / 2595) - 1)
        for hertz in (300, 1000, 3000):
            bands = log_mel.log_mel(np.sin(2 * np.pi * hertz * np.arange(4000) / 8000), 8000)
            assert abs(centres[bands.mean(axis=0).argmax()] / hertz - 1) < 0.1

    def test_every_frequency_is_heard_and_overlapping_bands_share_it(self):
        filters = log_mel.mel_filters(8000, 1024)
        hertz = np.fft.rfftfreq(1024, 1 / 8000)
        inside = (hertz > 120) & (hertz < 3700)
        np.testing.assert_allclose(filters.sum(axis=0)[inside], 1, atol=1e-9)
        assert ((filters > 0).sum(axis=1) >= 2).all()

    def test_loudness_and_padding_do_not_matter(self):
        rng = np.random.default_rng(0)
        wave = rng.normal(size=(1, 3000)) * np.hanning(3000)
        features = log_mel.log_mel_features(wave, [3000], 8000)
        padded = np.pad(7 * wave, ((0, 0), (0, 1000)))
        np.testing.assert_allclose(log_mel.log_mel_features(padded, [3000], 8000), features, atol=1e-5)

    def test_pooling_keeps_the_mean_and_the_course_of_time(self):
        frames = np.linspace(0, 1, 37)[:, None] * [1.0, -2.0]
        pooled = log_mel._pooled(frames)
        np.testing.assert_allclose(pooled.mean(axis=0), frames.mean(axis=0), atol=1e-6)
        assert (np.diff(pooled[:, 0]) > 0).all()
        np.testing.assert_allclose(log_mel._pooled(np.ones((3, 2))), 1, atol=1e-6)

    def test_silence_and_a_click_are_finite(self):
        waves = np.zeros((2, 500), dtype=np.int16)
        waves[1, 100] = 30_000
        features = log_mel.log_mel_features(waves, [500, 101], 8000)
        assert np.isfinite(features).all()
        assert (features[0] == 0).all()


class TestBenchmark:
    def test_tables_and_files(self, data, tmp_path, capsys):
        files = {name: tmp_path / name for name in ("r.csv", "t.md", "f.svg")}
        few_shot_text.main(
            arguments(data, "--methods", "tuned-lr,lda,centroid", "--out", files["r.csv"], sets="agnews,three,stripes")
            + ["--markdown", str(files["t.md"]), "--figure", str(files["f.svg"])]
        )
        printed = capsys.readouterr().out
        written = files["t.md"].read_text(encoding="utf-8")
        for text in (printed, written):
            assert "### agnews (2 classes, development)" in text
            assert "### three (3 classes, report)" in text
            assert "Sets: 1 at 4, 2 at 8, 2 at 16. 2 repeats." in text
            assert "## Mean over the text sets, report half" in text
        titles = re.findall("^## (.*)", written, flags=re.MULTILINE)
        assert titles == [
            "Mean over the text sets",
            "Mean over the text sets, development half",
            "Mean over the text sets, report half",
            "Mean over the image and audio sets",
            "Every set",
        ]
        records = tables.read_records(files["r.csv"])
        assert len(records) == 3 * 2 * (3 + 2 + 3), "methods, repeats, sizes of each set"
        assert files["f.svg"].read_text(encoding="utf-8").startswith("<?xml")
        texts = [record for record in records if record["dataset"] != "stripes"]
        for score, title, factor, digit in (
            ("accuracy", "### Accuracy (%)", 100, 0.1),
            ("ece", "### Expected calibration error", 1, 0.001),
        ):
            means = [np.mean([r[score] for r in texts if r["estimator"] == "lda" and r["k"] == k]) for k in (4, 8, 16)]
            found = [float(cell.strip("*")) for cell in table_under(written, title)["LDA (shrinkage)"]]
            assert found == pytest.approx([factor * mean for mean in (*means, np.mean(means))], abs=0.51 * digit)
        differences = {(row["estimator"], row["k"]): row for row in mean_differences(texts, "tuned-lr")}
        row = table_under(written, "### Accuracy minus that of Tuned LR (points)")["LDA (shrinkage)"]
        wanted = differences["lda", None]
        assert row[-1] == "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * wanted[n] for n in ("mean", "low", "high")))

    def test_the_best_of_a_column_is_bold(self, data, capsys):
        few_shot_text.main(arguments(data, "--methods", "lr,lda,forest", sets="three"))
        for cells in zip(*table_under(capsys.readouterr().out, "### Log-loss (nats)").values()):
            shown = {float(cell.strip("*")): cell for cell in cells[2:]}
            assert shown[min(shown)].startswith("**")
            assert sum(cell.startswith("**") for cell in shown.values()) == 1

    def test_a_second_run_computes_nothing(self, data, tmp_path, capsys):
        options = arguments(data, "--methods", "lr", "--out", tmp_path / "r.csv", "--embeddings", tmp_path / "e")
        few_shot_text.main(options)
        first, before = capsys.readouterr().out, (tmp_path / "r.csv").read_bytes()
        assert CountingEncoder.encoded == 2 * (60 + 50)
        few_shot_text.main(options)
        assert capsys.readouterr().out == first
        assert (tmp_path / "r.csv").read_bytes() == before
        assert CountingEncoder.encoded == 2 * (60 + 50)

    def test_every_default_competitor_runs_on_every_kind(self, data, tmp_path, capsys):
        options = arguments(data, "--methods", COMPETITORS, "--out", tmp_path / "r.csv", sets="agnews,stripes,tones")
        few_shot_text.main([*options, "--k", "16", "--seeds", "1"])
        scores = mean_scores(tables.read_records(tmp_path / "r.csv"), n_bootstrap=1)
        at_16 = {row["estimator"]: row for row in scores if row["k"] == 16}
        assert set(at_16) == set(COMPETITORS.split(","))
        assert min(row["mean"] for row in at_16.values()) > 0.7
        assert {row["n_datasets"] for row in at_16.values()} == {3}

    def test_names_and_unlabelled_rows(self, data, tmp_path, capsys):
        chosen = "lr,lr+names,nearest-name,self-training+U100,label-spreading+U100"
        options = arguments(data, "--methods", chosen, "--out", tmp_path / "r.csv", sets="agnews,stripes")
        few_shot_text.main([*options, "--k", "4,16", "--seeds", "1"])
        records = tables.read_records(tmp_path / "r.csv")
        found = {name: {r["estimator"] for r in records if r["dataset"] == name} for name in ("agnews", "stripes")}
        assert found["agnews"] == set(chosen.split(","))
        assert found["stripes"] == {"lr", "self-training+U100", "label-spreading+U100"}, "images have no names"
        nearest = {r["accuracy"] for r in records if r["estimator"] == "nearest-name" and r["repeat"] == 0}
        assert len(nearest) == 1, "the same at every size"
        assert CountingEncoder.encoded == 2 * 60 + 2, "texts, and the names of two classes"

    def test_a_method_that_lacks_a_size_is_left_out_of_its_mean(self, data, monkeypatch, capsys):
        few = [m._replace(max_k=8) if m.key == "lda" else m for m in methods.methods()]
        monkeypatch.setattr(few_shot_text, "methods", lambda reasoners=(): few)
        few_shot_text.main(arguments(data, "--methods", "lr,lda"))
        cells = table_under(capsys.readouterr().out, "### Accuracy (%)")["LDA (shrinkage)"]
        assert cells[2:] == ["-", "-"]
        assert "-" not in cells[:2]

    def test_the_figure_can_be_drawn_from_the_file(self, data, tmp_path, monkeypatch, capsys):
        results, figure = tmp_path / "r.csv", tmp_path / "f.svg"
        few_shot_text.main(arguments(data, "--methods", "tuned-lr,lr,knn", "--out", results, sets="agnews,stripes"))
        monkeypatch.setattr("sys.argv", ["x", str(results), "--data", str(data), "--figure", str(figure)])
        few_shot_figure.main()
        drawn = figure.read_text(encoding="utf-8")
        assert all(f"<!-- {text} -->" in drawn for text in ("Tuned LR", "LR (C=1)", "kNN (tuned)", "labelled examples"))
        assert "2 sets" not in drawn, "the images are no part of it"


class TestOptions:
    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--sets", "agnews,four"], "'four' is not in the folder, which has agnews, three, stripes, tones, digits"),
            (["--split", "development", "--sets", "three,tones"], "no set of three, tones is in the half"),
            (["--methods", "lr,magic"], "'magic' is not one of tart, tuned-lr"),
            (["--k", "8,many"], "--k must be numbers"),
            (["--seeds", "0"], "must be at least 1"),
            (["--out", "no/such/folder/r.csv"], "the folder of 'no/such/folder/r.csv' does not exist"),
            (["--reasoner", "none.safetensors"], "there is no file 'none.safetensors'"),
        ],
    )
    def test_wrong_options_are_refused_before_any_work(self, data, capsys, more, message):
        with pytest.raises(SystemExit):
            few_shot_text.main(arguments(data, *more))
        assert message in capsys.readouterr().err
        assert CountingEncoder.encoded == 0

    def test_the_halves_of_the_sets(self, data):
        def sets(half):
            return set(few_shot_text.parse(["--data", str(data), "--split", half]).sets)

        assert sets("development") == {"agnews"}
        assert sets("report") == {"three", "stripes", "tones", "digits"}
        assert sets("all") == sets("development") | sets("report")

    def chosen(self, data, *more):
        return [method.key for method in few_shot_text.parse(arguments(data, *more)).methods]

    def test_the_default_methods_read_labels_alone(self, data):
        assert self.chosen(data) == ["tart", *COMPETITORS.split(",")]

    def test_groups_and_keys_can_be_mixed(self, data):
        found = self.chosen(data, "--methods", "tuned-lr,names")
        assert found == ["tuned-lr", "tart+names", "lr+names", "nearest-name"]
        assert set(self.chosen(data, "--methods", "all")) == {method.key for method in methods.methods()}

    def test_names_that_mislead(self, data):
        found = self.chosen(data, "--methods", "misleading")
        assert found == ["tart+exchanged", "tart+unrelated"]
        estimators = {m.key: m for m in methods.methods() if m.key in found}
        vectors = {
            kind: {"a": [float(i)], "b": [i + 0.5]}
            for i, kind in enumerate((methods.TRUE, methods.EXCHANGED, methods.UNRELATED))
        }
        assert estimators["tart+exchanged"].make(vectors).class_texts == vectors[methods.EXCHANGED]
        assert estimators["tart+unrelated"].make(vectors).class_texts == vectors[methods.UNRELATED]
        words = side_information.unrelated_words(600 - 24)
        assert len(set(words)) == len(words)

    def test_weights_get_names_of_their_own(self, data, tmp_path):
        weights = tmp_path / "step-1000.safetensors"
        weights.touch()
        assert self.chosen(data, "--reasoner", weights)[:3] == ["tart:step-1000", "tart", "tuned-lr"]
        assert self.chosen(data, "--reasoner", weights, "--methods", "lr") == ["tart:step-1000", "lr"]
        found = self.chosen(data, "--reasoner", weights, "--methods", "tart:step-1000+names,lr+names")
        assert found == ["tart:step-1000", "tart:step-1000+names", "lr+names"]
        assert "tart:step-1000+names+U200" in self.chosen(data, "--reasoner", weights, "--methods", "unlabelled")

    def test_weights_are_those_of_the_file(self, tmp_path):
        path = tmp_path / "a.safetensors"
        names = {kind: {"x": np.ones(2)} for kind in (methods.TRUE, methods.EXCHANGED, methods.UNRELATED)}
        for method in methods.methods([path]):
            if method.key.startswith("tart"):
                assert method.make(names).reasoner == (path if ":a" in method.key else None)


class Spy(ClassifierMixin, BaseEstimator):
    """Notes how many rows it gets, with and without a label."""

    seen = ()

    def fit(self, X, y):
        unknown = sum(label is None for label in y)
        Spy.seen = (*Spy.seen, (len(X) - unknown, unknown))
        self.classes_ = np.unique([label for label in y if label is not None])
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def test_methods_get_the_rows_that_they_ask_for(data, monkeypatch):
    monkeypatch.setattr(Spy, "seen", ())
    spy = methods.Method("spy+U30", "Spy", Spy, n_unlabelled=30, max_pairs=16)
    monkeypatch.setattr(few_shot_text, "methods", lambda reasoners=(): [spy])
    few_shot_text.main(arguments(data, "--methods", "spy+U30", sets="agnews"))
    first, *others = Spy.seen
    assert first == (4, 30), "before the clock runs"
    assert others == [(4, 30), (4, 30), (8, 30), (8, 30)], "2 repeats, k x 2 classes at most 16"
