import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from skicl.prompting import DiverseDemonstrations, NearestDemonstrations, VoteKDemonstrations
from skicl.prompting._similarity_selectors import fit_vectors, marginal_relevance, unit_vectors, vote_k

X = ["late parcel", "lost parcel", "parcel late again", "wrong bill", "unpaid bill", "bill", "card", "lost card"]
Y = np.array([0, 0, 0, 1, 1, 1, 2, 2])
SELECTORS = [NearestDemonstrations, DiverseDemonstrations, VoteKDemonstrations]


def test_nearest_is_what_the_cosines_say():
    encoder = CountVectorizer()
    queries = ["a late parcel", "my bill is unpaid"]
    vectors = unit_vectors(encoder.fit(X).transform(X)).toarray()
    cosines = unit_vectors(encoder.transform(queries)).toarray() @ vectors.T
    expected = np.argsort(-cosines, axis=1, kind="stable")[:, :3]
    first = NearestDemonstrations(3, encoder=CountVectorizer(), order="nearest_first").fit(X, Y)
    np.testing.assert_array_equal(first.select(queries), expected)
    last = NearestDemonstrations(3, encoder=CountVectorizer()).fit(X, Y)
    np.testing.assert_array_equal(last.select(queries), expected[:, ::-1])
    np.testing.assert_array_equal(last.select(queries[1:]), last.select(queries)[1:])


def test_nearest_of_every_class():
    selector = NearestDemonstrations(3, per_class=True).fit(X, Y)
    chosen = selector.select(["late parcel", "unpaid bill"])
    assert [sorted(Y[row]) for row in chosen] == [[0, 1, 2], [0, 1, 2]]
    assert chosen[0][-1] == 0, "the nearest of all stands last"
    assert chosen[1][-1] == 4
    whole = NearestDemonstrations(99, per_class=True, order="nearest_first").fit(X, Y).select(["card"])[0]
    assert sorted(whole) == list(range(len(X)))


def test_marginal_relevance_is_what_its_formula_says():
    random = np.random.RandomState(0)
    vectors = unit_vectors(random.randn(9, 4))
    likeness, among = vectors @ unit_vectors(random.randn(1, 4))[0], vectors @ vectors.T
    chosen = marginal_relevance(likeness, among, 5, 0.7).tolist()
    for n in range(1, 5):
        left = [i for i in range(9) if i not in chosen[:n]]
        gains = [0.7 * likeness[i] - 0.3 * max(0, *(among[i, j] for j in chosen[:n])) for i in left]
        assert chosen[n] == left[int(np.argmax(gains))]
    assert marginal_relevance(likeness, among, 9, 1.0).tolist() == np.argsort(-likeness, kind="stable").tolist()


def test_diverse_takes_no_copy():
    texts = ["late parcel"] * 4 + ["wrong bill"]
    chosen = DiverseDemonstrations(2, order="nearest_first").fit(texts, [0] * 5).select(["late parcel"])[0]
    assert chosen.tolist() == [0, 4]
    assert NearestDemonstrations(2).fit(texts, [0] * 5).select(["late parcel"])[0].tolist() == [1, 0]


def test_vote_k_spreads_over_groups():
    """Three groups without a link: each of the first three that are chosen stands for another."""
    likeness = np.kron(np.eye(3), np.ones((4, 4)))
    likeness += np.random.RandomState(0).rand(12, 12) * 0.01
    for seed in range(3):
        chosen = vote_k(likeness, 3, 3, 10.0, np.random.RandomState(seed))
        assert sorted(chosen // 4) == [0, 1, 2]


@pytest.mark.parametrize("kind", SELECTORS)
def test_any_encoder_and_any_number(kind):
    for encoder in (None, HashingVectorizer(n_features=32)):
        for k in (0, 1, 99):
            chosen = np.atleast_2d(kind(k, encoder=encoder).fit(X, Y).select(["late card"]))[0]
            assert len(chosen) == len(set(chosen.tolist())) == min(k, len(X))
    assert len(np.atleast_2d(kind(2).fit(["", " "], [0, 1]).select([""]))[0]) == 2
    assert len(np.atleast_2d(kind(2).fit(["one"], [0]).select(["two"]))[0]) == 1


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (NearestDemonstrations(-1), "`k`"),
        (NearestDemonstrations(order="last"), "`order`"),
        (NearestDemonstrations(per_class="yes"), "`per_class`"),
        (DiverseDemonstrations(trade_off=2), "`trade_off`"),
        (DiverseDemonstrations(order="last"), "`order`"),
        (VoteKDemonstrations(n_neighbors=0), "`n_neighbors`"),
        (VoteKDemonstrations(rho=1), "`rho`"),
    ],
)
def test_bad_parameters(selector, message):
    with pytest.raises(ValueError, match=message):
        selector.fit(X, Y)


@pytest.mark.parametrize("kind", SELECTORS)
def test_not_fitted(kind):
    with pytest.raises(NotFittedError):
        kind().select(["q"])


def test_vectors_have_unit_length_or_none():
    _, vectors = fit_vectors(None, ["a", "b c", ""])
    np.testing.assert_allclose(np.linalg.norm(vectors.toarray(), axis=1), [1, 1, 0])
