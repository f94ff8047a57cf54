"""The words of the episodes."""

from skicl.pretraining._language_models._lexicon import FILLERS, read_lexicon


def test_every_category_has_a_name_of_its_own_and_enough_words():
    lexicon = read_lexicon()
    assert len({category.names[0] for category in lexicon}) == len(lexicon) >= 20
    for category in lexicon:
        assert len(category.words) == len(set(category.words)) >= 9, category.names


def test_words_are_plain_lower_case_and_no_function_words():
    for category in read_lexicon():
        for word in (*category.names, *category.words):
            assert word.isalpha()
            assert word.islower()
            assert word not in FILLERS


def test_no_word_is_of_two_categories():
    words = [word for category in read_lexicon() for word in category.words]
    assert len(set(words)) == len(words)
