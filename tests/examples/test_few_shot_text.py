"""The few-shot benchmark from files to tables."""

import gzip
import re
from typing import ClassVar

import numpy as np
import pytest
from benchmark_modules import load
from sklearn.base import BaseEstimator, ClassifierMixin

from skicl import TartClassifier
from skicl.evaluation import mean_differences, mean_scores

WORDS = {
    "weather": "rain sun wind snow cloud",
    "food": "bread soup cheese apple rice",
    "sport": "goal race ball",
}


few_shot_text, few_shot_figure, known_texts, margins, methods, tables, data_sets, log_mel, side_information = map(
    load,
    (
        *("few_shot_text", "few_shot_figure", "known_texts", "margins", "methods"),
        *("tables", "data_sets", "log_mel", "side_information"),
    ),
)
COMPETITORS = "tuned-lr,lr,centroid,tuned-lr-accuracy,lda,knn,svm,gp,forest"


class CountingEncoder:
    """Letters of a text, and a count of the texts that were encoded."""

    encoded = 0

    def __init__(self, name):
        self.name = name

    def fit_transform(self, texts):
        CountingEncoder.encoded += len(texts)
        return unit_counts(texts, [chr(97 + i) for i in range(26)])


class CountingLayers(CountingEncoder):
    """A block of pairs of letters, and behind it the letters."""

    def fit_transform(self, texts):
        letters = CountingEncoder.fit_transform(self, texts)
        return np.hstack([unit_counts(texts, ["ea", "ai", "so", "un", "ow", "ce", "al", "oa"]), letters])


class LongerEncoder(CountingEncoder):
    """Vectors that are no part of the layers, since they have another length."""

    def fit_transform(self, texts):
        return 3 * CountingEncoder.fit_transform(self, texts)


def unit_counts(texts, parts):
    counts = np.array([[text.count(part) + 0.01 for part in parts] for text in texts])
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
    monkeypatch.setattr(few_shot_text, "make_layers_encoder", CountingLayers)
    monkeypatch.setattr(CountingEncoder, "encoded", 0)
    return folder


def material_of(data, name="agnews"):
    """What is known of a set, its parts and the options."""
    options = few_shot_text.parse(arguments(data))
    train, test = data_sets.read_set(data, name)
    return few_shot_text.known_material(name, train, test, options), train, test


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
            assert "### agnews (2 classes, development), natural draws" in text
            assert "### three (3 classes, report), natural draws" in text
            assert "Sets: 1 at 4, 2 at 8, 2 at 16. 2 repeats." in text
            assert "## Mean over the text sets, natural draws, report half" in text
        titles = re.findall("^## (.*)", written, flags=re.MULTILINE)
        assert titles == [
            "Mean over the text sets, natural draws",
            "Mean over the text sets, natural draws, development half",
            "Mean over the text sets, natural draws, report half",
            "Mean over the image and audio sets, natural draws",
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
        once = 2 * (60 + 50) + 2 * (2 + 3) + 2 * 8
        assert CountingEncoder.encoded == once, "texts, names and unrelated words, and a few texts of each set again"
        few_shot_text.main(options)
        assert capsys.readouterr().out == first
        assert (tmp_path / "r.csv").read_bytes() == before
        assert CountingEncoder.encoded == once

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
        assert CountingEncoder.encoded == 2 * 60 + 2 * 2 + 8, "texts, and the names of two classes"

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
        shown = ["--methods", "tuned-lr,lr,knn"]
        monkeypatch.setattr("sys.argv", ["x", str(results), "--data", str(data), "--figure", str(figure), *shown])
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
            (["--methods", "lr,magic"], "'magic' is not one of default, default+unlabelled, layers"),
            (["--draws", "natural,even"], "--draws: 'even' is not one of natural, balanced"),
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

    def test_the_default_methods_are_given_the_same_evidence(self, data):
        pairs = [f"{key}{mark}" for key in ("lr+names", "gaussians+names") for mark in ("", "@layers")]
        alone = [f"{key}{mark}" for mark in ("", "@layers") for key in ("tuned-lr", "lr", "centroid")]
        assert self.chosen(data) == ["default", "default+unlabelled", "layers", "tart", *alone, *pairs]

    def test_many_methods_read_labels_alone(self, data):
        assert self.chosen(data, "--methods", "labels") == ["tart", *COMPETITORS.split(",")]

    def test_groups_and_keys_can_be_mixed(self, data):
        found = self.chosen(data, "--methods", "lda,names")
        names = ["lr+names", "lr+names@layers", "gaussians+names", "gaussians+names@layers", "nearest-name"]
        assert found == ["tart+names", "lda", *names]
        assert set(self.chosen(data, "--methods", "all")) == {method.key for method in methods.methods()}

    def test_weights_get_names_of_their_own(self, data, tmp_path):
        weights = tmp_path / "step-1000.safetensors"
        weights.touch()
        always = ["default:step-1000", "tart:step-1000"]
        assert self.chosen(data, "--reasoner", weights, "--methods", "lr") == [*always, "lr"]
        found = self.chosen(data, "--reasoner", weights, "--methods", "layers:step-1000,tart:step-1000+names,lr+names")
        assert found == ["default:step-1000", "layers:step-1000", *always[1:], "tart:step-1000+names", "lr+names"]
        found = self.chosen(data, "--reasoner", weights)
        assert found[:4] == ["default:step-1000", "default:step-1000+unlabelled", "layers:step-1000", "default"]

    def test_weights_are_those_of_the_file(self, data, tmp_path):
        path = tmp_path / "a.safetensors"
        material, *_ = material_of(data)
        for method in methods.methods([path]):
            if methods.is_ours(method.key):
                made = method.make(material)
                tart = made if method.reads == methods.TEXTS else made.steps[-1][1]
                assert tart.reasoner == (path if ":a" in method.key else None)


class Spy(ClassifierMixin, BaseEstimator):
    """Notes how many rows it gets, with and without a label, how wide they are, and how many of each class."""

    seen = ()

    def fit(self, X, y):
        known = [label for label in y if label is not None]
        width = len(X[0]) if isinstance(X, np.ndarray) else None
        counts = sorted(np.unique(known, return_counts=True)[1].tolist())
        Spy.seen = (*Spy.seen, (len(known), len(y) - len(known), width, counts))
        self.classes_ = np.unique(known)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.fixture
def spies(monkeypatch):
    """Run the benchmark with methods that only look."""

    def use(*found):
        monkeypatch.setattr(Spy, "seen", ())
        monkeypatch.setattr(few_shot_text, "methods", lambda reasoners=(): found)

    return use


class TestWhatMethodsGet:
    def test_the_rows_that_they_ask_for(self, data, spies):
        spies(methods.Method("spy+U30", "Spy", Spy, n_unlabelled=30, max_pairs=16))
        few_shot_text.main(arguments(data, "--methods", "spy+U30", sets="agnews"))
        first, *others = [found[:2] for found in Spy.seen]
        assert first == (4, 30), "before the clock runs"
        assert others == [(4, 30), (4, 30), (8, 30), (8, 30)], "2 repeats, k x 2 classes at most 16"

    @pytest.mark.parametrize(("reads", "width"), [("own", 26), ("layers", 34), ("texts", None)])
    def test_own_vectors_layers_or_texts(self, data, spies, reads, width):
        build = Spy if reads != "texts" else lambda material: Spy()
        spies(methods.Method("spy", "Spy", build, reads=reads))
        few_shot_text.main(arguments(data, "--methods", "spy", sets="agnews,stripes"))
        assert {found[2] for found in Spy.seen} == ({26, 24} if reads == "own" else {width}), "images have no layers"

    @pytest.mark.parametrize("encoder", [CountingEncoder, LongerEncoder])
    def test_columns_are_those_of_the_encoders(self, data, monkeypatch, encoder):
        monkeypatch.setattr(few_shot_text, "make_encoder", encoder)
        material, train, _ = material_of(data)
        both = material.everything.transform(train.X)
        own, layers = encoder("").fit_transform(train.X), CountingLayers("").fit_transform(train.X)
        np.testing.assert_allclose(material.columns(methods.OWN).transform(both), own, rtol=1e-6)
        np.testing.assert_allclose(material.columns(methods.LAYERS).transform(both), layers, rtol=1e-6)
        np.testing.assert_array_equal(material.layers.transform(train.X), both[:, 26:])

    def test_texts_that_are_not_known_go_through_the_encoder(self, data):
        material, train, _ = material_of(data)
        before = CountingEncoder.encoded
        found = material.layers.transform([train.X[3], "something new", "weather"])
        assert CountingEncoder.encoded == before + 1
        expected = CountingLayers("").fit_transform([train.X[3], "something new", "weather"])
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_names_are_those_that_the_classifier_reads(self, data):
        material, *_ = material_of(data)
        texts = material.texts
        assert texts[methods.TRUE] == {"food": "food", "weather": "weather"}
        assert texts[methods.EXCHANGED] == {"food": "weather", "weather": "food"}
        assert not set(texts[methods.UNRELATED].values()) & {"food", "weather"}
        for space, encoder in ((methods.OWN, CountingEncoder), (methods.LAYERS, CountingLayers)):
            vectors = material.names(methods.EXCHANGED, space)
            np.testing.assert_allclose(vectors["food"], encoder("").fit_transform(["weather"])[0], rtol=1e-6)
        made = {m.key: m.make(material) for m in methods.methods() if methods.MISLEADING in m.groups}
        assert made["default+exchanged"].class_texts == texts[methods.EXCHANGED]
        assert made["default+unrelated"].class_texts == texts[methods.UNRELATED]
        words = side_information.unrelated_words(600 - 24)
        assert len(set(words)) == len(words)


class TestAsAUserGetsIt:
    """Vectors that were looked up give what TartClassifier gives for raw texts, names of the classes included."""

    rows = tuple(f"the {word} was {how}" for word in ("rain", "bread", "goal") for how in ("good", "bad", "late"))
    labels = ("weather", "weather", "weather", "food", "food", "food", "team_sport", "team_sport", None)
    queries = ("snow and wind", "a slice of cheese", "they won the race")

    @pytest.fixture
    def material(self):
        encoder = few_shot_text.make_layers_encoder(few_shot_text.MINI_LM).set_params(device="cpu")
        texts = {methods.TRUE: known_texts.texts_of_names(sorted(set(self.labels) - {None}))}
        every = [*self.rows, *self.queries, *texts[methods.TRUE].values()]
        known = known_texts.KnownTexts(encoder, every, encoder.fit_transform(every))
        return known_texts.Material("", None, known, 0, texts)

    @pytest.mark.parametrize(("key", "parameters"), [("default", {}), ("layers", {"class_texts": None})])
    def test_it_is_the_default_classifier(self, material, key, parameters):
        method = next(method for method in methods.methods() if method.key == key)
        rows, y, queries = list(self.rows), np.array(self.labels, dtype=object), list(self.queries)
        looked_up = method.make(material).fit(rows, y)
        raw = TartClassifier(**parameters, device="cpu").fit(rows, y)
        np.testing.assert_allclose(looked_up.predict_proba(queries), raw.predict_proba(queries), atol=1e-4)
        assert raw.predict(queries).tolist() == ["weather", "food", "team_sport"]

    def test_names_are_written_as_the_classifier_writes_them(self, material):
        assert material.texts[methods.TRUE]["team_sport"] == "team sport"
        assert known_texts.texts_of_names(["LABEL_0", "LABEL_1"]) == {"LABEL_0": "LABEL_0", "LABEL_1": "LABEL_1"}

    def test_features_have_the_names_of_the_encoder(self, material):
        names = material.layers.get_feature_names_out()
        assert len(names) == material.layers.vectors.shape[1] > 384


class TestDraws:
    def run(self, data, *more, sets="agnews,three"):
        few_shot_text.main(arguments(data, "--methods", "tuned-lr,lr", *more, sets=sets))

    def test_balanced_draws_hold_equally_many_rows_of_each_class(self, data, spies):
        spies(methods.Method("spy", "Spy", Spy))
        few_shot_text.main(arguments(data, "--methods", "spy", "--draws", "balanced", "--k", "8,16", sets="three"))
        assert [counts for *_, counts in Spy.seen[1:]] == [[2, 2, 2]] * 2 + [[5, 5, 5]] * 2

    def test_every_record_carries_its_draw_and_the_file_holds_both(self, data, tmp_path, capsys):
        path = tmp_path / "r.csv"
        self.run(data, "--draws", "natural", "--out", path)
        natural = tables.read_records(path)
        self.run(data, "--draws", "natural,balanced", "--out", path)
        both = tables.read_records(path)
        assert both[: len(natural)] == natural, "what was there is not computed again"
        assert {record["draw"] for record in natural} == {"natural"}
        place = ("dataset", "estimator", "k", "repeat")
        cells = [
            {tuple(record[name] for name in place) for record in both if record["draw"] == draw}
            for draw in ("natural", "balanced")
        ]
        assert cells[0] == cells[1]
        before = path.read_bytes()
        self.run(data, "--draws", "balanced,natural", "--out", path)
        assert path.read_bytes() == before

    def test_there_are_tables_of_each(self, data, capsys):
        self.run(data, "--draws", "natural,balanced")
        printed = capsys.readouterr().out
        for draw in ("natural", "balanced"):
            assert f"### three (3 classes, report), {draw} draws" in printed
            assert f"## Mean over the text sets, {draw} draws\n" in printed

    def test_what_a_rare_class_does_not_allow_is_said(self, data, capsys):
        write_texts(data, "rare", 60, ["weather"] * 19 + ["food"], seed=5)
        self.run(data, "--draws", "natural,balanced", "--k", "4,32", sets="rare")
        printed = capsys.readouterr().out
        assert "rare: the rarest class has 3 rows, too few for balanced draws at k = 32." in printed
        balanced = printed.split("### rare (2 classes, report), balanced draws")[1].split("#")[0]
        assert "k = 4" in balanced
        assert "k = 32" not in balanced


def record(estimator, k, value, dataset="a", repeat=0):
    """A record of a run that had accuracy `value` and log-loss 1 - `value`."""
    return {
        **{"dataset": dataset, "draw": "natural", "estimator": estimator, "k": k, "repeat": repeat},
        **{"accuracy": value, "log_loss": 1 - value, "ece": value / 10},
    }


class TestMargins:
    by_key: ClassVar = {method.key: method for method in methods.methods()}

    def margins(self, values, sizes=(8, 16, 64), dataset="a"):
        records = [
            record(key, k, value, dataset) for key, row in values.items() for k, value in zip(sizes, row, strict=True)
        ]
        return margins.margins(records, [self.by_key[key] for key in values])

    def cells(self, text, label):
        line = next(line for line in text.splitlines() if line.startswith(f"| {label} "))
        return [cell.strip() for cell in line.strip("|").split("|")][1:]

    def test_points_and_ratios_are_means_over_the_sizes_of_a_window(self):
        found = self.margins({"default": (0.6, 0.7, 0.9), "tuned-lr": (0.5, 0.5, 0.8)})["Ahead of Tuned LR"]
        assert "points, k = 8 to 64" in found
        assert "log-loss ratio, k = 8 to 16" in found
        points, ratio, few_points, few_ratio, ece = self.cells(found, "TartClassifier()")
        assert points.split()[0] == "+13.3"
        assert ratio.split()[0] == f"{0.8 / 1.2:.2f}"
        assert few_points.split()[0] == "+15.0"
        assert few_ratio.split()[0] == "0.70"
        assert ece == "0.090", "of 64 rows alone"

    def test_rivals_read_no_more_than_the_method_itself(self):
        values = {
            "default": (0.60, 0.70, 0.80),
            "default+unlabelled": (0.60, 0.70, 0.80),
            "layers": (0.60, 0.70, 0.80),
            "tart": (0.60, 0.70, 0.80),
            "tuned-lr": (0.50, 0.50, 0.50),
            "tuned-lr@layers": (0.55, 0.55, 0.55),
            "lr+names": (0.58, 0.58, 0.58),
            "self-training+U100": (0.59, 0.59, 0.59),
        }
        found = self.margins(values)["Ahead of the best rival with the same evidence"]
        first = {key: self.cells(found, self.by_key[key].label)[0] for key in list(values)[:4]}
        assert first["tart"].startswith("+10.0")
        assert first["layers"].startswith("+5.0")
        assert first["default"].startswith("+2.0")
        assert first["default+unlabelled"].startswith("+1.0")
        assert first["default"].endswith(f"{0.40 / 0.42:.2f}")

    def test_the_worst_set_and_size_is_named(self):
        values = {"default": (0.9, 0.70, 0.80), "layers": (0.6, 0.71, 0.70), "tuned-lr": (0.5, 0.5, 0.5)}
        records = [
            record(key, k, value, dataset)
            for dataset, loss in (("a", 0.0), ("b", 0.03))
            for key, row in values.items()
            for k, value in zip((32, 64, 256), (row[0], row[1] - (key == "default") * loss, row[2]))
        ]
        found = margins.margins(records, [self.by_key[key] for key in values])
        (title,) = [title for title in found if title.startswith("More evidence where it does most harm")]
        assert self.cells(found[title], "TartClassifier()")[1:] == ["-4.0 (b, 64)", "+0.040 (b, 64)"]

    def test_what_misleading_names_cost(self):
        values = {"default+exchanged": (0.1, 0.6, 0.79), "layers": (0.6, 0.61, 0.80)}
        found = self.margins(values)["Names that mislead, from 16 rows"]
        label = self.by_key["default+exchanged"].label
        assert self.cells(found, label) == ["-1.0 / +0.010", "-1.0 / +0.010", "-1.0 / +0.010"]

    def test_tables_are_left_out_where_their_methods_are(self):
        assert self.margins({"lr": (0.1, 0.6, 0.8), "knn": (0.1, 0.2, 0.3)}) == {}


class TestFigure:
    def records(self, draws=("natural", "balanced")):
        values = {"default": 0.1, "tuned-lr": 0.0, "centroid": -0.05}
        return [
            record(key, k, 0.5 + gain + k / 400 + repeat / 100, name, repeat) | {"draw": draw}
            for draw in draws
            for name in ("a", "b")
            for key, gain in values.items()
            for k in (8, 16, 64)
            for repeat in (0, 1)
        ]

    def drawn(self, records, path, monkeypatch):
        from matplotlib.figure import Figure

        figures = []
        monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **options: figures.append(figure))
        labels = {method.key: method.label for method in methods.methods()}
        few_shot_figure.draw_figure(records, few_shot_figure.in_figure(labels, records), path)
        return figures[0]

    def test_a_column_for_each_draw(self, tmp_path, monkeypatch):
        figure = self.drawn(self.records(), tmp_path / "f.png", monkeypatch)
        titles = [ax.get_title(loc="left") for ax in figure.axes]
        assert titles == [
            f"{draw} draws: {score}"
            for score in ("accuracy (%)", "log-loss (nats)")
            for draw in ("Natural", "Balanced")
        ]
        assert [len(ax.lines) for ax in figure.axes] == [3] * 4
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["TartClassifier()", "Tuned LR", "Nearest centroid"]
        alone = self.drawn(self.records(["natural"]), tmp_path / "f.png", monkeypatch)
        assert len(alone.axes) == 2

    def test_what_ran_on_some_contexts_is_drawn_at_its_distance_to_the_reference(self, tmp_path, monkeypatch):
        some = [record("fine-tuned-full", k, 0.7 + k / 400, "b", 1) for k in (16, 64)]
        figure = self.drawn([*self.records(), *some], tmp_path / "f.png", monkeypatch)
        (points,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
        reference = next(line for line in figure.axes[0].lines if line.get_label() == "Tuned LR")
        assert points.get_xdata().tolist() == [16, 64]
        assert points.get_label() == "Full fine-tuning (on 1 set)"
        np.testing.assert_allclose(points.get_ydata() - reference.get_ydata()[1:], 0.7 - 0.51)
        assert not [line for line in figure.axes[1].lines if line.get_linestyle() == "None"], "nothing balanced"
