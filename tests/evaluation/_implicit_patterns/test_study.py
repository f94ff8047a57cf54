"""A study of learners whose results are known: who solves, who follows the shortcut, and which setting is chosen."""

import numpy as np
import pytest
from evaluation.implicit_learners import Fixed, expression
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skicl.evaluation import implicit_pattern_study

SECONDS = ("fit_seconds", "predict_seconds")
SMALL = {"n_train": 20, "n_validation": 20, "n_test": 30, "n_repeats": 2}
LEARNERS = {
    "solver": (Fixed("solve"), {"sure": [0.5, 0.9, 0.7]}),
    "follower": (Fixed(), {"rule": ["zero", "shortcut"]}),
    "guesser": Fixed("zero"),
}


def without_seconds(records):
    return [{name: str(v) for name, v in record.items() if name not in SECONDS} for record in records]


class Silent(Fixed):
    """Says nothing at all."""

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), np.nan)


class Counter(Fixed):
    """Notes which texts it is fitted on and asked, over all clones."""

    def __init__(self, rule="solve", notes=None):
        self.rule = rule
        self.notes = notes
        self.sure = 0.9

    def fit(self, X, y):
        self.notes.fitted.append(list(X))
        return super().fit(X, y)

    def predict_proba(self, X):
        self.notes.asked.append(list(X))
        return super().predict_proba(X)


class Notes:
    """Survives `clone`."""

    def __init__(self):
        self.fitted, self.asked = [], []

    def __deepcopy__(self, memo):
        return self


class TestImplicitPatternStudy:
    def test_known_learners_get_the_known_scores(self):
        study = implicit_pattern_study(LEARNERS, "expression", **SMALL)
        assert [(record["repeat"], record["estimator"]) for record in study] == [
            (repeat, name) for repeat in (0, 1) for name in LEARNERS
        ]
        for record in study:
            found = [record[f"accuracy_{variant}"] for variant in ("pattern", "conflict", "neutral")]
            wanted = {"solver": [1, 1, 1], "follower": [1, 0], "guesser": [0.1, 0.1, 0.1]}[record["estimator"]]
            # Without a cue the first bracket may happen to be the answer.
            assert found[: len(wanted)] == pytest.approx(wanted)
            assert record["shortcut_rate"] == pytest.approx(
                {"solver": 0, "follower": 1}.get(record["estimator"], 0.1),
                abs=0.2 if record["estimator"] == "guesser" else 0,
            )
            assert (record["n_classes"], record["n_queries"]) == (10, 30)

    def test_accuracy_on_validation_chooses_and_log_loss_breaks_ties(self):
        study = implicit_pattern_study(LEARNERS, "expression", **SMALL)
        settings = {(record["estimator"], record["setting"]) for record in study}
        assert settings == {("solver", "sure=0.9"), ("follower", "rule='shortcut'"), ("guesser", "")}
        solver = study.records[0]
        assert solver["validation_accuracy"] == 1
        assert solver["validation_log_loss"] == pytest.approx(-np.log(0.9))

    def test_one_test_pass_after_the_choice_and_no_text_twice(self):
        notes = Notes()
        counted = {"counter": (Counter(notes=notes), {"rule": ["zero", "solve", "shortcut"]})}
        implicit_pattern_study(counted, "expression", n_train=30, n_validation=20, n_test=25, n_repeats=1)
        validation, tests = notes.asked[:3], notes.asked[3:]
        assert notes.fitted == [notes.fitted[0]] * 3
        assert validation == [validation[0]] * 3
        assert [len(texts) for texts in tests] == [25] * 3, "pattern, conflict and neutral, once each"
        everything = [*notes.fitted[0], *validation[0], *(text for texts in tests for text in texts)]
        assert len(everything) == 30 + 20 + 75 == len(set(everything))
        assert all(text.startswith("Expression: (") and text.endswith("\nValue:") for text in everything)

    @pytest.mark.parametrize("train_variant", ["pattern", "neutral"])
    def test_what_is_learned_from_is_of_the_variant(self, train_variant):
        notes = Notes()
        implicit_pattern_study({"counter": Counter(notes=notes)}, "expression", **SMALL, train_variant=train_variant)
        second = [expression(text)[1] for text in notes.fitted[0]]
        assert (np.array(second) == 0).all() == (train_variant == "pattern")

    def test_every_text_is_written_by_the_template(self):
        notes = Notes()
        options = SMALL | {"template": "Expression: {text}\nValue: {label}"}
        given = implicit_pattern_study({"counter": Counter(notes=notes)}, "expression", **options)
        usual = implicit_pattern_study({"counter": Counter(notes=Notes())}, "expression", **SMALL)
        assert without_seconds(given) == without_seconds(usual)
        notes = Notes()
        guesser = {"counter": Counter("zero", notes=notes)}
        implicit_pattern_study(guesser, "expression", **SMALL, template="{text} =\n{label}")
        assert all(text.startswith("(") and text.endswith(") =") for texts in notes.asked for text in texts)

    def test_words_that_do_not_match_exactly_and_silence_are_wrong(self):
        study = implicit_pattern_study({"silent": Silent()}, "expression", **SMALL)
        for record in study:
            assert record["accuracy_pattern"] == record["shortcut_rate"] == record["validation_accuracy"] == 0
            assert record["validation_log_loss"] == pytest.approx(-np.log(1e-15))

    def test_curves_change_one_parameter_of_the_chosen_setting(self):
        learners = {"follower": (Fixed(), {"rule": ["zero", "shortcut"]})}
        study = implicit_pattern_study(learners, "expression", **SMALL, curves={"follower": ("sure", [0.5, 0.8])})
        assert [(point["repeat"], point["value"]) for point in study.curves] == [(0, 0.5), (0, 0.8), (1, 0.5), (1, 0.8)]
        for point in study.curves:
            assert (point["curve"], point["setting"]) == ("sure", "rule='shortcut'")
            assert point["train_log_loss"] == point["validation_log_loss"] == pytest.approx(-np.log(point["value"]))
            assert (point["accuracy_pattern"], point["accuracy_conflict"]) == (1, 0)
        assert all(np.isnan(record["train_log_loss"]) for record in study)

    def test_a_run_that_was_cut_ends_as_one_that_was_not(self, tmp_path):
        path, curves = tmp_path / "study.csv", {"solver": ("sure", [0.5, 0.8])}
        whole = implicit_pattern_study(LEARNERS, "expression", **SMALL, curves=curves)
        implicit_pattern_study(LEARNERS, "expression", **SMALL, curves=curves, results_file=path)
        lines = path.read_text().splitlines(keepends=True)
        assert len(lines) == 1 + 2 * 3 + 2 * 2
        path.write_text("".join(lines[:4]))
        again = implicit_pattern_study(LEARNERS, "expression", **SMALL, curves=curves, results_file=path)
        for records in ("records", "curves"):
            assert without_seconds(getattr(again, records)) == without_seconds(getattr(whole, records))
        text = path.read_text()
        assert text.startswith("".join(lines[:4]))
        assert len(text.splitlines()) == len(lines)

    def test_recorded_fits_are_not_done_again(self, tmp_path):
        notes = Notes()
        counted = {"counter": Counter(notes=notes)}
        for n_repeats in (2, 2, 3):
            options = SMALL | {"n_repeats": n_repeats}
            implicit_pattern_study(counted, "expression", **options, results_file=tmp_path / "study.csv")
        assert len(notes.fitted) == 3
        assert len({tuple(texts) for texts in notes.fitted}) == 3, "each repeat draws its own problems"

    def test_records_of_other_problems_are_refused(self, tmp_path):
        options = SMALL | {"results_file": tmp_path / "study.csv"}
        implicit_pattern_study({"zero": Fixed("zero")}, "parity", **options)
        implicit_pattern_study({"zero": Fixed("zero")}, "boolean", **options)
        with pytest.raises(ValueError, match=r"`results_file`.*'parity'.*choose another file"):
            implicit_pattern_study({"zero": Fixed("zero")}, "parity", **options, random_state=1)

    def test_unseeded_estimators_get_the_seed_of_the_repeat(self):
        class Seeded(Fixed):
            def fit(self, X, y):
                seen.append(self.random_state)
                return super().fit(X, y)

        seen = []
        implicit_pattern_study({"none": Seeded(), "own": Seeded(random_state=7)}, "expression", **SMALL)
        assert seen[1::2] == [7, 7]
        assert len({seen[0], seen[2], None}) == 3

    def test_letters_follow_the_shortcut_of_parity(self):
        letters = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 4)), LogisticRegression(C=10))
        study = implicit_pattern_study({"letters": letters}, "parity", n_train=200, n_test=100, n_repeats=1)
        (record,) = study
        assert record["accuracy_pattern"] > 0.9
        assert record["shortcut_rate"] > 0.9
        assert 0.3 < record["accuracy_neutral"] < 0.7

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"estimators": {}}, "`estimators` must be a dict of at least one"),
            ({"estimators": {"a": (Fixed(), {"depth": [1]})}}, "'a' .Fixed. has no parameter 'depth'"),
            ({"estimators": {"a": (Fixed(), {"sure": 1})}}, "the grid of 'a'"),
            ({"estimators": {"a": (Fixed(), [])}}, "the grid of 'a' is empty"),
            ({"curves": {"b": ("sure", [1])}}, "`curves` names 'b'; `estimators` has a"),
            ({"curves": {"a": "sure"}}, "`curves`: 'a' needs a pair"),
            ({"curves": {"a": ("sure", ["low"])}}, "must be numbers"),
            ({"task": "sorting"}, "`task` must be one of"),
            ({"n_test": 0}, "`n_test`"),
            ({"n_train": 5}, "`n_train`=5 must be at least the number of answers, 10"),
            ({"train_variant": "mixed"}, "`train_variant` must be one of"),
            ({"random_state": None}, "`random_state` must be an integer"),
            ({"template": "{text}"}, r"`template` must be a text with {text} in it, .* got '{text}'"),
        ],
    )
    def test_bad_parameters_are_named(self, options, message):
        options = {"estimators": {"a": Fixed()}, "task": "expression", **SMALL} | options
        with pytest.raises(ValueError, match=message):
            implicit_pattern_study(**options)

    def test_classifiers_without_probabilities_are_refused(self):
        with pytest.raises(TypeError, match=r"'a' .str. must be a scikit-learn classifier"):
            implicit_pattern_study({"a": "lr"}, "expression")

    def test_errors_say_where(self):
        class Broken(Fixed):
            def fit(self, X, y):
                raise RuntimeError("no")

        with pytest.raises(RuntimeError, match="no") as caught:
            implicit_pattern_study({"a": Broken()}, "expression", **SMALL)
        assert caught.value.__notes__ == ["Estimator 'a', task 'expression', repeat 0."]
