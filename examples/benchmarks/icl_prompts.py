"""Prompts for public text sets: three templates and sets of label words each, for the benchmark of calibration."""

from typing import NamedTuple


class Wording(NamedTuple):
    """Templates, and label words by class; the first of each is the one that is used unless they vary."""

    templates: list
    words: list


WORDINGS = {
    "sst2": Wording(
        [
            "Review: {text}\nSentiment: {label}",
            "{text}\nThe reviewer found the film {label}",
            "Sentence: {text}\nIs it positive or negative? {label}",
        ],
        [
            {"negative": "negative", "positive": "positive"},
            {"negative": "terrible", "positive": "great"},
            {"negative": "bad", "positive": "good"},
        ],
    ),
    "subj": Wording(
        [
            "Sentence: {text}\nKind: {label}",
            "{text}\nThis is {label}",
            "Input: {text}\nSubjective or objective? {label}",
        ],
        [
            {"objective": "objective", "subjective": "subjective"},
            {"objective": "fact", "subjective": "opinion"},
            {"objective": "plot", "subjective": "review"},
        ],
    ),
    "trec": Wording(
        [
            "Question: {text}\nAnswer type: {label}",
            "{text}\nThe answer is a {label}",
            "Q: {text}\nAsks for: {label}",
        ],
        [
            dict(
                abbreviation="abbreviation",
                description="description",
                entity="thing",
                human="person",
                location="place",
                number="number",
            ),
            dict(
                abbreviation="short",
                description="explanation",
                entity="object",
                human="human",
                location="location",
                number="amount",
            ),
            dict(
                abbreviation="acronym",
                description="text",
                entity="entity",
                human="name",
                location="country",
                number="count",
            ),
        ],
    ),
    "snips": Wording(
        [
            "Request: {text}\nAbout: {label}",
            "{text}\nThe user wants: {label}",
            "Command: {text}\nTopic: {label}",
        ],
        [
            dict(
                AddToPlaylist="playlist",
                BookRestaurant="restaurant",
                GetWeather="weather",
                PlayMusic="music",
                RateBook="rating",
                SearchCreativeWork="search",
                SearchScreeningEvent="cinema",
            ),
            dict(
                AddToPlaylist="list",
                BookRestaurant="table",
                GetWeather="forecast",
                PlayMusic="song",
                RateBook="book",
                SearchCreativeWork="work",
                SearchScreeningEvent="movie",
            ),
            dict(
                AddToPlaylist="add",
                BookRestaurant="booking",
                GetWeather="climate",
                PlayMusic="play",
                RateBook="stars",
                SearchCreativeWork="find",
                SearchScreeningEvent="show",
            ),
        ],
    ),
}


def wording_of(name, classes):
    """The wording of a set; of one that is not listed, its class names."""
    if name in WORDINGS:
        return WORDINGS[name]
    words = {label: str(label).replace("_", " ") for label in classes}
    templates = ["Text: {text}\nLabel: {label}", "{text}\nThis is about: {label}", "Input: {text}\nTopic: {label}"]
    return Wording(templates, [words])
