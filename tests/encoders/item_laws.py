"""What an encoder of any items must satisfy; text_battery.py says the same of texts.

Each law takes an unfitted encoder and a list of six distinct items, given as arrays.
"""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from skicl.encoders import EmbeddingCache

# Rounding differs with the shape of a batch.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def objects(items):
    """A 1-D array of items of any shape."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


FORMS = {
    "tuple": tuple,
    "object array": objects,
    "column": lambda items: objects(items)[:, None],
    "series": lambda items: pd.Series(items),
    "series with another index": lambda items: pd.Series(items, index=range(100, 100 + 7 * len(items), 7)),
    "frame": lambda items: pd.DataFrame({"item": items}, index=[f"row {i}" for i in range(len(items))]),
    "polars series": lambda items: pl.Series(items, dtype=pl.Object),
}


def counted(encoder, monkeypatch):
    """The items that encoders of this class prepare from now on."""
    seen, original = [], type(encoder)._prepare

    def prepare(self, model, batch):
        seen.extend(batch)
        return original(self, model, batch)

    monkeypatch.setattr(type(encoder), "_prepare", prepare)
    return seen


def law_input_forms(encoder, items, monkeypatch):
    expected = clone(encoder).fit_transform(items)
    for name, form in FORMS.items():
        np.testing.assert_allclose(clone(encoder).fit_transform(form(items)), expected, **CLOSE, err_msg=name)


def law_input_is_not_changed(encoder, items, monkeypatch):
    before = pickle.dumps(items)
    clone(encoder).fit_transform(items)
    assert pickle.dumps(items) == before


def law_order_subsets_and_batches(encoder, items, monkeypatch):
    """A row depends on the rows beside it neither in their order nor in their presence, nor on the batches."""
    fitted = clone(encoder).fit(items)
    expected = fitted.transform(items)
    assert np.abs(expected - expected[0]).max() > 0.01
    order = np.random.default_rng(0).permutation(len(items))
    np.testing.assert_allclose(fitted.transform([items[i] for i in order]), expected[order], **CLOSE)
    one_by_one = np.concatenate([fitted.transform([item]) for item in items])
    np.testing.assert_allclose(one_by_one, expected, **CLOSE)
    for batch_size in (1, 2, 4, 100):
        np.testing.assert_allclose(fitted.set_params(batch_size=batch_size).transform(items), expected, **CLOSE)


def law_equal_items_are_encoded_once(encoder, items, monkeypatch):
    fitted = clone(encoder).fit(items)
    expected = fitted.transform(items)
    seen = counted(encoder, monkeypatch)
    twice = fitted.transform([*items, *[item.copy() for item in items]])
    assert len(seen) == len(items)
    np.testing.assert_allclose(twice, np.concatenate([expected, expected]), **CLOSE)


def law_cached_equals_uncached(encoder, items, monkeypatch):
    expected = clone(encoder).fit_transform(items)
    cache = EmbeddingCache()
    one = clone(encoder).set_params(cache=cache)
    seen = counted(encoder, monkeypatch)
    np.testing.assert_allclose(one.fit_transform(items), expected, **CLOSE)
    first = one.transform(items)
    assert len(seen) == len(items)
    np.testing.assert_array_equal(first, clone(one).set_params(batch_size=1, verbose=False).fit_transform(items))
    assert len(seen) == len(items)
    other = clone(one).set_params(normalize=True).fit_transform(items)
    np.testing.assert_allclose(other, expected / np.linalg.norm(expected, axis=1, keepdims=True), **CLOSE)
    assert len(seen) == 2 * len(items)


def law_grid_search_encodes_each_item_once(encoder, items, monkeypatch):
    pipeline = make_pipeline(clone(encoder).set_params(cache=EmbeddingCache()), LogisticRegression())
    seen = counted(encoder, monkeypatch)
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(objects(items), [0, 1] * 3)
    assert len(seen) == len(items)


def law_parameters(encoder, items, monkeypatch):
    """Stored as given, never written, restored by clone and set_params."""
    fitted = clone(encoder).fit(items)
    assert repr(fitted) == repr(clone(fitted)) == repr(encoder)
    for name, value in clone(fitted).get_params(deep=False).items():
        assert repr(value) == repr(getattr(encoder, name))
    with pytest.raises(NotFittedError):
        clone(fitted).transform(items)
    assert clone(encoder).fit(items, [0] * 6) is not None
    assert len(fitted._repr_html_()) < 200_000


def law_pickle_is_small(encoder, items, monkeypatch):
    fitted = clone(encoder).fit(items)
    data = pickle.dumps(fitted)
    assert len(data) < 2000
    np.testing.assert_allclose(pickle.loads(data).transform(items), fitted.transform(items), **CLOSE)


def law_feature_names_and_frames(encoder, items, monkeypatch):
    fitted = clone(encoder).fit(items)
    expected, names = fitted.transform(items), list(fitted.get_feature_names_out())
    assert expected.dtype == np.float32
    assert expected.shape == (len(items), len(names))
    assert names == [f"{type(encoder).__name__.lower()}{i}" for i in range(fitted.n_features_out_)]
    frame = clone(encoder).set_output(transform="pandas").fit_transform(FORMS["frame"](items))
    assert list(frame.columns) == names
    assert frame.index[1] == "row 1"
    np.testing.assert_allclose(frame.to_numpy(), expected, **CLOSE)
    frame = clone(encoder).set_output(transform="polars").fit_transform(items)
    assert frame.columns == names
    with config_context(transform_output="pandas"):
        assert isinstance(clone(encoder).fit_transform(items), pd.DataFrame)


def law_composition(encoder, items, monkeypatch):
    expected = clone(encoder).fit_transform(items)
    frame = pd.DataFrame({"item": items, "number": np.arange(len(items), dtype=np.float32)})
    for column in ("item", ["item"]):
        both = ColumnTransformer([("item", clone(encoder), column), ("rest", "passthrough", ["number"])])
        np.testing.assert_allclose(both.fit_transform(frame), np.column_stack([expected, frame["number"]]), **CLOSE)
    scaled = make_pipeline(clone(encoder), StandardScaler()).fit_transform(items)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    union = FeatureUnion([("one", clone(encoder)), ("two", clone(encoder))]).fit_transform(items)
    np.testing.assert_allclose(union, np.hstack([expected, expected]), **CLOSE)


def law_workers(encoder, items, monkeypatch):
    pipeline = make_pipeline(clone(encoder), LogisticRegression())
    y = [0, 1] * 3
    alone = cross_val_score(pipeline, objects(items), y, cv=2, error_score="raise")
    np.testing.assert_allclose(cross_val_score(pipeline, objects(items), y, cv=2, n_jobs=2, error_score="raise"), alone)


def law_tags(encoder, items, monkeypatch):
    tags = get_tags(encoder)
    assert tags.input_tags.one_d_array
    assert not tags.input_tags.string, "strings among the items are paths"
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert not tags.non_deterministic
    assert not tags.target_tags.required
    assert not tags.requires_fit or tags.transformer_tags is not None


def law_collections_are_checked(encoder, items, monkeypatch):
    fitted = clone(encoder).fit(items)
    for call in (clone(encoder).fit, fitted.transform):
        with pytest.raises(ValueError, match="`X` is empty"):
            call([])
        with pytest.raises(ValueError, match="bare string"):
            call("a.png")
        for missing in (None, np.nan, pd.NA):
            with pytest.raises(ValueError, match=r"missing value .* position 2"):
                call([*items[:2], missing, *items[2:]])
        with pytest.raises(ValueError, match=r"missing value .* position 1 \(index label 'b'\)"):
            call(pd.Series([items[0], None], index=["a", "b"], dtype=object))
        with pytest.raises(TypeError, match=r"type int at position 2"):
            call([*items[:2], 3])
        with pytest.raises(ValueError, match="2 columns"):
            call(pd.DataFrame({"item": items, "other": items}))
        with pytest.raises(TypeError, match="of type generator"):
            call(item for item in items)
        with pytest.raises(TypeError, match="of type NoneType"):
            call(None)


LAWS = [
    law_input_forms,
    law_input_is_not_changed,
    law_order_subsets_and_batches,
    law_equal_items_are_encoded_once,
    law_cached_equals_uncached,
    law_grid_search_encodes_each_item_once,
    law_parameters,
    law_pickle_is_small,
    law_feature_names_and_frames,
    law_composition,
    pytest.param(law_workers, marks=pytest.mark.slow),
    law_tags,
    law_collections_are_checked,
]


def name_of(law):
    """Short name of a law, for the ids of parametrized tests."""
    return getattr(law, "__name__", str(law)).removeprefix("law_")
