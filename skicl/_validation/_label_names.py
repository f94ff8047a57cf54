"""Labels as names: whether those of a task say what the classes are, and how they are written out to be embedded."""

import re
from unicodedata import category, normalize

# What numbered or lettered labels are called where nobody has named the classes: LABEL_3, class 12, Group B.
_PLACEHOLDERS = frozenset(
    "bin bucket cat category class cls cluster code fold group id intent item kind label lbl level num number option "
    "output part section segment set tag target topic type value var version".split()
)
# Answers to a question that the label does not tell.
_ANSWERS = frozenset({"yes", "no", "true", "false"})
_FASTTEXT = "__label__"
_TOKEN = re.compile(r"[^\W_]+(?:[&'’][^\W_]+)*")
# Where one word is joined to the next: by a sign between two letters and two letters, or by a capital.
_JOINED = re.compile(r"(?<=[^\W\d_]{2})[-.:/](?=[^\W\d_]{2})")
_CAPITAL = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_ROMAN = re.compile(r"[IVX]+")
_SHORTEST_WORD = 3


def label_names(labels):
    """Names to embed, one for each label, or None where the labels of a task are not names of its classes.

    They are if each label is a string that holds a word and

    - a word is a run of two letters or more, or a Chinese character. Numbers, single letters and Roman numerals are
      none, nor what mixes letters and digits, but for a word with fewer digits at one end ("covid19");
    - no label has more digits than letters, or is a number or letter of a placeholder ("LABEL_3", "class B");
    - some label has a word of three letters, or in a script without capitals: "en" and "de" are codes;
    - no two labels differ in numbers and single letters alone ("star 1", "star 2");
    - they are more than answers: not all are "yes", "no", "true" or "false".

    >>> from skicl._validation._label_names import label_names
    >>> label_names(["GetWeather", "top_up_failed", "HUM:ind", "R&D"])
    ['Get Weather', 'top up failed', 'HUM ind', 'R&D']
    >>> label_names(["LABEL_0", "LABEL_1"]), label_names(["en", "de"]), label_names([0, 1]), label_names(["spam", "?"])
    (None, None, None, None)
    """
    if not all(isinstance(label, str) for label in labels):
        return None
    names = [written_out(label) for label in labels]
    return names if _are_names(names) else None


def written_out(label):
    """A label in words: "get_weather", "get-weather", "GetWeather" and "__label__get_weather" as "get weather".

    Where it holds white space, only underscores and the prefix of fastText are taken for a way of joining words.
    """
    label = label.removeprefix(_FASTTEXT)
    name = label.replace("_", " ")
    if not re.search(r"\s", label):
        name = _CAPITAL.sub(" ", _JOINED.sub(" ", name))
    return " ".join(name.split())


def _are_names(names):
    """Whether each name holds a word, and the words tell the classes apart."""
    read = [_words(name) for name in names]
    if not all(words for words, _ in read):
        return False
    if all(word.casefold() in _ANSWERS for words, _ in read for word in words):
        return False
    if not any(len(word) >= _SHORTEST_WORD or word.upper() == word.lower() for words, _ in read for word in words):
        return False
    seen = set()
    for words, is_shortened in sorted(read):  # of equal words, those of a whole name come first
        if is_shortened and words in seen:
            return False
        seen.add(words)
    return True


def _words(name):
    """The words of a name, and whether it holds numbers or single letters beside them; no words of a code."""
    # Marks such as vowel signs are no letters to Python, and would cut a word.
    plain = "".join(letter for letter in normalize("NFKC", name) if category(letter)[0] != "M")
    if sum(map(str.isdigit, plain)) > sum(map(str.isalpha, plain)):
        return (), True
    tokens = _TOKEN.findall(plain)
    words = tuple(word for word in map(_word, tokens) if word)
    is_shortened = words != tuple(tokens)
    if is_shortened and all(word.casefold() in _PLACEHOLDERS for word in words):
        return (), True
    return words, is_shortened


def _word(token):
    """The word in a run of letters and digits, or an empty string."""
    word = token.strip("0123456789")
    n_digits = len(token) - len(word)
    if any(map(str.isdigit, word)) or n_digits >= max(len(word), 1):
        return ""
    if token[0].isdigit() and len(word) < _SHORTEST_WORD:  # 1st, 24h
        return ""
    if _ROMAN.fullmatch(word) or (len(word) == 1 and not "\u4e00" <= word <= "\u9fff"):
        return ""
    return word
