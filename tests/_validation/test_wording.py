import pytest

from skicl._validation._wording import did_you_mean, refuse_misspelt_auto


def test_the_word_that_was_meant():
    assert did_you_mean("Auto ", ["auto"]) == did_you_mean("atuo", ("auto", None)) == " Did you mean 'auto'?"
    assert did_you_mean("contextal", ["batch", "contextual"]) == " Did you mean 'contextual'?"
    assert did_you_mean("something else", ["auto"]) == did_you_mean(3, ["auto"]) == did_you_mean("auto", []) == ""


@pytest.mark.parametrize("word", ["atuo", "Auto", "AUTO", "automatic", "aut"])
def test_almost_auto_is_no_model(word, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"^`encoder`='{word}' would be looked up .*model. Did you mean 'auto'"):
        refuse_misspelt_auto(word)
    monkeypatch.chdir(tmp_path)
    (tmp_path / word).mkdir()
    refuse_misspelt_auto(word)  # somebody's folder


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "BAAI/bge-m3", "gpt2", "intfloat/e5-small-v2", "skicl-tiny"])
def test_names_of_models_are_not_almost_auto(name):
    refuse_misspelt_auto(name)
