"""Means, ranks and differences against direct loops; intervals against the theory of the bootstrap."""

import numpy as np
import pytest
from scipy.stats import norm

from skicl.evaluation import mean_differences, mean_ranks, mean_scores

FUNCTIONS = (mean_scores, mean_ranks, lambda records, *a, **k: mean_differences(records, "lr", *a, **k))


def made(n_sets=4, n_repeats=3, sizes=(8, 16), estimators=("tart", "lr", "gp"), seed=0):
    """Records with random scores."""
    rng = np.random.default_rng(seed)
    return [
        {"dataset": f"set {s}", "estimator": name, "k": k, "repeat": r}
        | {"accuracy": rng.random(), "log_loss": rng.random()}
        for s in range(n_sets)
        for k in sizes
        for r in range(n_repeats)
        for name in estimators
    ]


def by_place(summary):
    return {(row["estimator"], row["k"]): row for row in summary}


def values(records, score="accuracy", **wanted):
    return [record[score] for record in records if all(record[name] == value for name, value in wanted.items())]


class TestMeans:
    def test_they_are_over_sets_and_repeats_then_over_sizes(self):
        records = made()
        found = by_place(mean_scores(records))
        for name in ("tart", "lr", "gp"):
            means = [np.mean(values(records, estimator=name, k=k)) for k in (8, 16)]
            assert [found[name, k]["mean"] for k in (8, 16)] == pytest.approx(means)
            assert found[name, None]["mean"] == pytest.approx(np.mean(means))
            assert found[name, 8]["n_datasets"] == 4

    def test_order_of_records_does_not_matter_beyond_that_of_the_rows(self):
        records = made()
        shuffled = [records[i] for i in np.random.default_rng(1).permutation(len(records))]
        a, b = by_place(mean_scores(records, n_bootstrap=1)), by_place(mean_scores(shuffled, n_bootstrap=1))
        assert set(a) == set(b)
        for place, row in a.items():
            assert b[place]["mean"] == pytest.approx(row["mean"])

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_who_lacks_a_cell_of_a_size_is_left_out_there(self, function):
        records = [r for r in made() if (r["estimator"], r["dataset"], r["k"], r["repeat"]) != ("gp", "set 3", 16, 0)]
        found = by_place(function(records, n_bootstrap=20))
        assert ("gp", 8) in found
        assert ("gp", 16) not in found
        assert ("gp", None) not in found
        assert ("tart", None) in found

    def test_a_set_that_none_has_at_a_size_is_missed_by_none(self):
        records = [record for record in made() if (record["dataset"], record["k"]) != ("set 3", 8)]
        found = by_place(mean_scores(records))
        assert [found["tart", k]["n_datasets"] for k in (8, 16, None)] == [3, 4, 4]
        assert found["tart", 8]["mean"] == pytest.approx(np.mean(values(records, estimator="tart", k=8)))


class TestRanks:
    def test_they_are_those_of_a_loop(self):
        records = made()
        for score, best_first in (("accuracy", -1), ("log_loss", 1)):
            found = by_place(mean_ranks(records, score))
            ranks = {name: [] for name in ("tart", "lr", "gp")}
            for s in range(4):
                for r in range(3):
                    place = {"dataset": f"set {s}", "k": 8, "repeat": r}
                    cell = {name: values(records, score, estimator=name, **place)[0] for name in ranks}
                    order = sorted(cell, key=lambda name: best_first * cell[name])
                    for name in cell:
                        ranks[name].append(order.index(name) + 1)
            for name, expected in ranks.items():
                assert found[name, 8]["mean"] == pytest.approx(np.mean(expected))

    def test_ties_share_their_mean_rank(self):
        records = made(n_sets=1, n_repeats=1, sizes=(8,))
        for record, accuracy in zip(records, (0.9, 0.5, 0.9)):
            record["accuracy"] = accuracy
        found = by_place(mean_ranks(records))
        assert [found[name, 8]["mean"] for name in ("tart", "lr", "gp")] == [1.5, 3, 1.5]

    def test_who_is_left_out_takes_no_rank(self):
        records = [r for r in made() if r["estimator"] != "gp" or r["k"] == 8]
        found = by_place(mean_ranks(records, n_bootstrap=1))
        assert sum(found[name, 8]["mean"] for name in ("tart", "lr", "gp")) == pytest.approx(1 + 2 + 3)
        assert sum(found[name, 16]["mean"] for name in ("tart", "lr")) == pytest.approx(1 + 2)


class TestDifferences:
    def test_they_are_differences_and_ratios_of_the_means(self):
        records = made()
        means = by_place(mean_scores(records, "log_loss"))
        differences = by_place(mean_differences(records, "lr", "log_loss"))
        ratios = by_place(mean_differences(records, "lr", "log_loss", relative=True))
        for name, k in means:
            mean, reference = means[name, k]["mean"], means["lr", k]["mean"]
            assert differences[name, k]["mean"] == pytest.approx(mean - reference)
            assert ratios[name, k]["mean"] == pytest.approx(mean / reference)

    def test_the_reference_does_not_differ_from_itself(self):
        for relative in (False, True):
            row = by_place(mean_differences(made(), "lr", relative=relative))["lr", 16]
            assert row["mean"] == row["low"] == row["high"] == float(relative)

    def test_sizes_without_the_reference_are_left_out(self):
        records = [record for record in made() if (record["estimator"], record["k"]) != ("lr", 16)]
        assert {row["k"] for row in mean_differences(records, "lr")} == {8}

    def test_nothing_is_divided_by_zero(self):
        records = made()
        for record in records:
            if record["estimator"] == "lr" and (record["k"] == 8 or record["dataset"] != "set 0"):
                record["log_loss"] = 0.0
        rows = mean_differences(records, "lr", "log_loss", relative=True)
        assert {row["k"] for row in rows} == {16, None}
        assert all(np.isfinite([row["mean"], row["low"], row["high"]]).all() for row in rows)

    def test_what_is_the_same_for_all_cancels_out(self):
        records = made(n_sets=6)
        for record in records:
            record["accuracy"] = int(record["dataset"][-1]) + record["repeat"] + 0.1 * (record["estimator"] == "tart")
        row = by_place(mean_differences(records, "lr"))["tart", 8]
        assert [row["low"], row["high"]] == pytest.approx([0.1, 0.1])
        wide = by_place(mean_scores(records))["tart", 8]
        assert wide["high"] - wide["low"] > 1


class TestIntervals:
    def test_of_drawn_sets_have_the_width_of_the_theory(self):
        records = made(n_sets=30, n_repeats=2, sizes=(8,), estimators=("lr",))
        for record in records:
            record["accuracy"] = float(record["dataset"].split()[1])
        row = mean_scores(records, n_bootstrap=4000, confidence_level=0.9)[0]
        spread = np.std(np.arange(30)) / np.sqrt(30)
        assert row["high"] - row["low"] == pytest.approx(2 * norm.ppf(0.95) * spread, rel=0.05)
        assert (row["high"] + row["low"]) / 2 == pytest.approx(row["mean"], abs=0.1 * spread)

    def test_of_drawn_repeats_too(self):
        records = made(n_sets=1, n_repeats=40, sizes=(8,), estimators=("lr",))
        row = mean_scores(records, n_bootstrap=4000)[0]
        spread = np.std(values(records)) / np.sqrt(40)
        assert row["high"] - row["low"] == pytest.approx(2 * norm.ppf(0.975) * spread, rel=0.06)

    def test_a_draw_without_any_set_of_a_size_counts_at_the_other_sizes(self):
        records = [r for r in made(n_sets=2) if (r["dataset"], r["k"]) != ("set 1", 8)]
        for row in mean_scores(records):
            assert row["low"] <= row["mean"] <= row["high"]

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_seed_decides_and_the_level_widens(self, function):
        records = made()
        assert function(records) == function(records, random_state=0)
        other = function(records, random_state=1)
        assert [row["mean"] for row in other] == [row["mean"] for row in function(records)]
        assert other != function(records)
        narrow, wide = (by_place(function(records, confidence_level=level))["tart", 8] for level in (0.5, 0.99))
        assert wide["low"] < narrow["low"] < narrow["high"] < wide["high"]


class TestErrors:
    @pytest.mark.parametrize("function", FUNCTIONS)
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("n_bootstrap", 0, "`n_bootstrap` must be an integer of at least 1, got 0"),
            ("confidence_level", 1, "`confidence_level` must be a number above 0 and below 1, got 1"),
            ("confidence_level", "95 %", "`confidence_level` must be a number above 0 and below 1"),
            ("score", "auc", "`score` must be a number in every record, got 'auc'; a record has k, repeat, accuracy"),
            ("score", "dataset", "`score` must be a number in every record, got 'dataset'"),
        ],
    )
    def test_wrong_parameters_are_named(self, function, name, value, message):
        with pytest.raises(ValueError, match=message):
            function(made(), **{name: value})

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_records_that_say_nothing_or_two_things_are_refused(self, function):
        with pytest.raises(ValueError, match="`records` is empty"):
            function([])
        records = made()
        with pytest.raises(ValueError, match="two results of 'tart' on 'set 0' at k=8, repeat 0"):
            function([*records, records[0]])

    def test_an_unknown_reference_is_refused(self):
        with pytest.raises(ValueError, match="`reference` must be one of the estimators tart, lr, gp, got 'svm'"):
            mean_differences(made(), "svm")
