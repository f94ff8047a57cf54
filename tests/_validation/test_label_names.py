"""The rule by which labels count as names, on label sets as they come, and how names are written out."""

import hashlib
import uuid

import numpy as np
import pytest

from skicl._validation._label_names import label_names, written_out

NAMES = [
    ["negative", "positive"],
    ["neg", "pos"],
    ["ham", "spam"],
    ["on", "off"],
    ["yes", "no", "maybe"],
    ["abbreviation", "description", "entity", "human", "location", "number"],
    ["ABBR", "DESC", "HUM", "LOC", "NUM"],
    ["HUM:ind", "HUM:gr", "ABBR:exp", "LOC:other"],
    ["World", "Sports", "Business", "Sci/Tech"],
    ["business", "sci_tech", "sports", "world"],
    ["AddToPlaylist", "BookRestaurant", "GetWeather"],
    ["Refund_not_showing_up", "reverted_card_payment?", "top_up_by_card_charge"],
    ["alt.atheism", "comp.sys.ibm.pc.hardware", "rec.sport.hockey"],
    ["__label__sports", "__label__politics"],
    ["R&D", "Q&A", "Sales", "HR", "IT"],
    ["covid19", "flu"],
    ["0-calm", "1-angry"],
    ["class", "type"],
    ["Delivery", "delivery"],
    ["very negative", "negative", "neutral", "positive", "very positive"],
    ["положительный", "отрицательный"],
    ["Αρνητικό", "Θετικό"],
    ["إيجابي", "سلبي"],
    ["सकारात्मक", "नकारात्मक"],
    ["긍정", "부정"],
    ["体育", "财经"],
    ["怒", "喜"],
    ["calificación", "devolución"],
    ["the parcel never came", "I was charged twice"],
]
CODES = [
    [0, 1],
    [0.0, 1.0],
    [False, True],
    ["0", "1"],
    ["-1", "1.5"],
    ["0001", "0002"],
    ["True", "False"],
    ["yes", "no"],
    ["a", "b"],
    ["A+", "B-"],
    ["y", "n"],
    ["LABEL_0", "LABEL_1"],
    ["LABEL_3", "spam"],
    ["class_1", "class_12"],
    ["class 12", "spam"],
    ["Class A", "Class B"],
    ["Group-B", "spam"],
    ["type I", "type II"],
    ["C7", "C8"],
    ["AB12", "XY34"],
    ["ABC123", "XYZ789"],
    ["ticket 123456789", "spam"],
    ["1st", "2nd"],
    ["24h", "48h"],
    ["1 star", "2 stars", "3 stars"],
    ["plan A", "plan B"],
    ["user_17", "user_18"],
    ["spam", "spam.1"],
    ["2021-01-01", "2022-01-01"],
    ["Jan 2021", "Feb 2021"],
    ["O", "B-PER", "I-PER"],
    ["B-PER", "I-PER"],
    ["en", "de", "fr"],
    ["en-US", "de-DE"],
    ["", "spam"],
    [" ", "spam"],
    ["?", "spam"],
    ["N/A", "spam"],
    ["😀", "😡"],
    ["あ", "い"],
    ["①", "②"],
    ["Ⅳ", "Ⅴ"],
    ["nan", "1.0"],
    ["__label__1", "__label__2"],
    [str(uuid.uuid5(uuid.NAMESPACE_DNS, str(i))) for i in range(4)],
    [hashlib.md5(bytes([i])).hexdigest() for i in range(4)],
    [hashlib.sha256(bytes([i])).hexdigest()[:8] for i in range(6)],
    ["dQw4w9WgXcQ", "spam"],
]


@pytest.mark.parametrize("labels", NAMES, ids=str)
def test_names_are_told_from_codes(labels):
    assert label_names(labels) == [written_out(label) for label in labels]
    assert label_names(labels[::-1]) == label_names(labels)[::-1]


@pytest.mark.parametrize("labels", CODES, ids=str)
def test_codes_are_told_from_names(labels):
    assert label_names(labels) is None
    assert label_names(labels[::-1]) is None


@pytest.mark.parametrize("code", ["", "7", "x", "LABEL_7", "class B", "C7", "😀", "a94a8fe5ccb19ba6"])
def test_one_code_among_names_is_enough(code):
    names = NAMES[0] + NAMES[9]
    assert label_names(names) is not None
    assert label_names([*names, code]) is None


def test_labels_of_arrays_are_labels():
    for dtype in (str, object):
        labels = np.array(["ham", "spam"], dtype=dtype)
        assert label_names(labels.tolist()) == ["ham", "spam"]
        assert label_names(list(labels)) == ["ham", "spam"]
    assert label_names(np.array([True, False]).tolist()) is None


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("negative", "negative"),
        ("delivery_status", "delivery status"),
        ("delivery-status", "delivery status"),
        ("delivery.status", "delivery status"),
        ("__label__delivery_status", "delivery status"),
        ("DeliveryStatus", "Delivery Status"),
        ("deliveryStatus", "delivery Status"),
        ("HTMLParser", "HTML Parser"),
        ("HUM:ind", "HUM ind"),
        ("Sci/Tech", "Sci Tech"),
        ("reverted_card_payment?", "reverted card payment?"),
        ("iPhone", "iPhone"),
        ("McDonald", "McDonald"),
        ("e-mail", "e-mail"),
        ("covid19", "covid19"),
        ("_private__name_", "private name"),
        ("  two   words ", "two words"),
        ("a well-known YouTube video", "a well-known YouTube video"),
        ("education/media for all_ages", "education/media for all ages"),
        ("", ""),
    ],
)
def test_names_are_written_out(label, name):
    assert written_out(label) == name
    assert written_out(name) == name
