"""A comparison counts wins, tests them and ranks the estimators."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from skicl.evaluation import Comparison, FewShotCurve, compare, mean_ranks


def made(n_sets=8, n_repeats=2, sizes=(8, 16), seed=0):
    rng = np.random.default_rng(seed)
    return [
        {"dataset": f"set {s}", "estimator": name, "k": k, "repeat": r, "accuracy": rng.random() + gain}
        for s in range(n_sets)
        for k in sizes
        for r in range(n_repeats)
        for name, gain in {"a": 0, "b": 0.2, "c": 0.6}.items()
    ]


def test_pairs_are_those_of_a_direct_computation():
    frame = pd.DataFrame(made())
    means = frame.groupby(["estimator", "dataset"])["accuracy"].mean().unstack("estimator")
    found = compare(frame).frame().set_index(["first", "second"])
    p_values = []
    for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
        differences, row = means[first] - means[second], found.loc[(first, second)]
        assert (row["wins"], row["ties"], row["losses"]) == ((differences > 0).sum(), 0, (differences < 0).sum())
        assert row["n"] == 8
        assert row["difference"] == pytest.approx(differences.mean())
        assert row["p_value"] == wilcoxon(differences).pvalue
        p_values.append(row["p_value"])
    smallest = found["p_value"].argmin()
    assert found["p_holm"].iloc[smallest] == pytest.approx(3 * min(p_values))
    assert (found["p_holm"] >= found["p_value"]).all()


def test_a_size_can_be_chosen():
    records = made()
    alone = compare([record for record in records if record["k"] == 16])
    among = compare(records, k=16)
    assert among.pairs == alone.pairs
    assert [row["mean"] for row in among.ranks] == [row["mean"] for row in alone.ranks]
    assert among.k == 16
    assert among.advice == alone.advice
    assert compare(made(n_sets=30), k=16).advice.startswith("By accuracy on 30 data sets, take c: with 16 labels it is")
    assert compare(records).k is None


def test_ranks_are_the_mean_ranks_the_best_first():
    found = compare(made())
    assert [row["estimator"] for row in found.ranks] == ["c", "b", "a"]
    expected = {row["estimator"]: row for row in mean_ranks(made()) if row["k"] is None}
    assert {row["estimator"]: row for row in found.ranks} == expected


def test_ranks_are_those_at_the_sizes_at_which_all_ran():
    records = [record for record in made() if record["estimator"] != "b" or record["k"] == 16]
    at_common = compare([record for record in records if record["k"] == 16])
    assert compare(records).ranks == at_common.ranks
    assert [row["estimator"] for row in at_common.ranks] == ["c", "b", "a"]


def test_a_record_without_a_field_is_named():
    records = [{name: value for name, value in record.items() if name != "dataset"} for record in made()]
    with pytest.raises(ValueError, match=r"`records` must have .* a record lacks 'dataset'"):
        compare(records)


def test_curves_lists_and_frames_are_read_alike():
    records = made()
    polars = pytest.importorskip("polars")
    for results in (FewShotCurve(records), pd.DataFrame(records), polars.DataFrame(records), iter(records)):
        assert compare(results) == compare(records)


def test_ties_are_counted():
    records = [record | {"accuracy": 0.5} for record in made()]
    row = compare(records).pairs[0]
    assert (row["wins"], row["ties"], row["losses"], row["p_value"], row["p_holm"]) == (0, 8, 0, 1, 1)


def test_it_can_be_read():
    found = compare(made(), k=8)
    assert isinstance(found, Comparison)
    first, *ranks, last = repr(found).splitlines()
    assert first == "Comparison by accuracy at k=8 over data sets"
    assert [line.split()[1] for line in ranks] == ["c", "b", "a"]
    assert last == found.advice


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 9}, "`k` must be None or one of the sizes 8, 16, got 9"),
        ({"alpha": 5}, "`alpha` must be a number above 0 and below 1, got 5"),
        ({"score": "auc"}, "`score` must be a number in every record, got 'auc'"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        compare(made(), **options)
