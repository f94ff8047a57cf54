import sys
import wave
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from skicl.encoders._audio_items import check_rate, content_of_recording, read_recordings, resample, waveform

RATE = 16000
TIME = np.arange(4000) / RATE
TONE = 0.5 * np.sin(2 * np.pi * 440 * TIME)
STEREO = np.stack([TONE, 0.5 * np.cos(2 * np.pi * 300 * TIME)], axis=1)


def samples(recording, rate=RATE, sampling_rate=RATE, seconds=None):
    return waveform(read_recordings([recording], sampling_rate)[0], rate, seconds)


def as_wav(samples, rate=RATE):
    file = BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


def as_24_bit_wav(samples, rate=RATE):
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 3, rate, 0, "NONE", "not compressed"))
        integers = np.round(samples * (2**23 - 1)).astype("<i4")
        out.writeframes(integers.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return file.getvalue()


def as_flac(samples, rate=RATE):
    soundfile = pytest.importorskip("soundfile")
    file = BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


# -- forms ---------------------------------------------------------------------------------------


def test_every_form_gives_the_same_samples(tmp_path):
    integers = np.round(TONE * 32767).astype(np.int16)
    expected = (integers / 32768).astype(np.float32)
    (tmp_path / "a.wav").write_bytes(as_wav(integers))
    (tmp_path / "misnamed").write_bytes(as_wav(integers))
    forms = [integers, integers / 32768, integers[:, None], as_wav(integers), bytearray(as_wav(integers))]
    forms += [tmp_path / "a.wav", str(tmp_path / "a.wav"), tmp_path / "misnamed"]
    forms += [{"array": integers / 32768, "sampling_rate": RATE, "path": None}]
    for form in forms:
        found = samples(form)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_flac_is_read_where_soundfile_is(tmp_path):
    integers = np.round(STEREO * 32767).astype(np.int16)
    (tmp_path / "a.flac").write_bytes(as_flac(integers))
    for form in (tmp_path / "a.flac", as_flac(integers)):
        np.testing.assert_allclose(samples(form, sampling_rate=None), samples(integers), atol=1e-7)


def test_flac_without_soundfile_gets_an_install_line(monkeypatch):
    data = as_flac(TONE)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r'pip install "skicl\[audio\]"'):
        read_recordings([data])
    np.testing.assert_allclose(samples(as_wav(TONE)), TONE, atol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "scale", "middle"),
    [("uint8", 127, 128), ("int16", 2**15 - 1, 0), ("int32", 2**31 - 1, 0), ("float32", 1, 0), ("float64", 1, 0)],
)
@pytest.mark.parametrize("form", [lambda x: x, as_wav])
def test_integers_are_scaled_to_their_range(dtype, scale, middle, form):
    stored = (TONE * scale + middle).round(0 if scale > 1 else 12).astype(dtype)
    np.testing.assert_allclose(samples(form(stored)), TONE, atol=1.1 / 128 if dtype == "uint8" else 1e-4)


def test_24_bits(tmp_path):
    (tmp_path / "a.wav").write_bytes(as_24_bit_wav(TONE))
    item = read_recordings([tmp_path / "a.wav"])[0]
    assert item.seconds == len(TONE) / RATE
    np.testing.assert_allclose(waveform(item, RATE), TONE, atol=1e-6)


def test_channels_are_mixed_by_their_mean():
    np.testing.assert_allclose(samples(STEREO), STEREO.mean(axis=1), atol=1e-7)
    np.testing.assert_allclose(samples(as_wav(STEREO.astype(np.float32))), STEREO.mean(axis=1), atol=1e-7)


def test_integers_are_scaled_before_channels_are_mixed():
    stereo = np.array([[0, 16384], [16384, 16384]], dtype=np.int16)
    assert samples(stereo).tolist() == [0.25, 0.5]


def test_a_file_says_its_rate_itself():
    item = read_recordings([as_wav(TONE, rate=8000)], sampling_rate=44100)[0]
    assert item.rate == 8000
    assert item.seconds == 0.5


def test_stack_of_recordings():
    items = read_recordings(np.stack([TONE, TONE[::-1]]), sampling_rate=RATE)
    np.testing.assert_allclose(waveform(items[1], RATE), TONE[::-1], atol=1e-7)
    assert len(read_recordings(np.stack([STEREO, STEREO, STEREO]), sampling_rate=RATE)) == 3


def test_content_tells_recordings_apart(tmp_path):
    (tmp_path / "a.wav").write_bytes(as_wav(TONE))
    contents = [
        content_of_recording(item)
        for item in [
            *read_recordings([TONE, TONE[::-1], STEREO, TONE.astype(np.float32), as_wav(TONE)], RATE),
            *read_recordings([TONE], 8000),
        ]
    ]
    assert len(set(contents)) == len(contents)
    assert content_of_recording(read_recordings([tmp_path / "a.wav"])[0]) == contents[4]


# -- resampling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_tone_at_another_rate_is_the_same_tone(rate):
    """What a telephone passes is kept; the ends, where the filter sees silence, are left out."""
    time, new_time = np.arange(rate) / rate, np.arange(RATE) / RATE
    for hertz in (200, 1000, 3000):
        found = resample(np.sin(2 * np.pi * hertz * time), rate, RATE)
        assert len(found) == RATE
        inner = slice(800, -800)
        np.testing.assert_allclose(found[inner], np.sin(2 * np.pi * hertz * new_time)[inner], atol=0.02)


def test_nothing_above_half_the_rate_comes_back_as_another_tone():
    """Every sixth sample of a tone of 21 kHz would sound as one of 5 kHz."""
    time = np.arange(48000) / 48000
    tone = np.sin(2 * np.pi * 21000 * time)
    assert np.abs(tone[::3]).max() > 0.9
    assert np.abs(resample(tone, 48000, RATE)[800:-800]).max() < 0.01


def test_equal_rates_change_nothing():
    assert resample(TONE, RATE, RATE) is TONE


def test_a_part_is_read_before_it_is_resampled():
    """So a recording that is cut equals its beginning."""
    long = np.random.default_rng(0).standard_normal(44100) / 10
    np.testing.assert_array_equal(
        samples(long, sampling_rate=44100, seconds=0.25), samples(long[:11025], sampling_rate=44100)
    )


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "error", "message"),
    [
        (lambda f: f / "absent.wav", ValueError, r"position 1: there is no file '.*absent\.wav'.*relative to"),
        (lambda f: f, ValueError, "position 1: there is no file"),
        (lambda f: f / "empty.wav", ValueError, r"cannot be read at position 1 \('.*empty\.wav'\): it is empty"),
        (lambda f: b"", ValueError, "cannot be read at position 1: it is empty"),
        (lambda f: as_wav(TONE[:0]), ValueError, "recording without samples at position 1"),
        (lambda f: as_wav(TONE)[:30], ValueError, "cannot be read at position 1: "),
        (lambda f: as_wav(TONE.astype(np.float32))[:-400], ValueError, "read at position 1: Reached EOF prematurely"),
        (lambda f: b"RIFFnothing", ValueError, "cannot be read at position 1: "),
        (lambda f: "https://host/a.wav", ValueError, "address 'https://host/a.wav' at position 1: download"),
        (lambda f: TONE[:0], ValueError, "recording without samples at position 1"),
        (lambda f: STEREO.T, ValueError, r"shape \(2, 4000\) at position 1, with 4000 channels.*array\.T"),
        (lambda f: TONE.reshape(2, 2, -1), ValueError, r"shape \(2, 2, 1000\) at position 1"),
        (lambda f: np.zeros(100, dtype=np.int64), TypeError, "dtype int64 at position 1: expected floats"),
        (lambda f: np.zeros(100, dtype=complex), TypeError, "dtype complex128 at position 1"),
        (lambda f: [0.1, 0.2], TypeError, "type list at position 1"),
        (lambda f: 3.5, TypeError, "type float at position 1"),
    ],
)
def test_what_is_no_recording_is_named(tmp_path, recording, error, message):
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(error, match=message):
        read_recordings([TONE, recording(tmp_path), None], sampling_rate=RATE)


def test_what_soundfile_cannot_read_is_named(tmp_path):
    pytest.importorskip("soundfile")
    (tmp_path / "notes.txt").write_text("nothing to hear", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot be read at position 1 \('.*notes\.txt'\): .*[Ff]ormat not recogni"):
        read_recordings([TONE, tmp_path / "notes.txt"], sampling_rate=RATE)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (TONE, r"array of shape \(4000,\).*Wrap a single recording in a list: \[X\]"),
        (as_wav(TONE), "single recording: expected a collection"),
        ({"array": TONE, "sampling_rate": RATE}, "single recording: expected a collection"),
        (np.zeros((0, 100)), "empty: found 0 recordings"),
        (np.zeros((2, 2, 2, 2)), r"shape \(2, 2, 2, 2\)"),
        (np.array([TONE, TONE], dtype=object), r"objects of shape \(2, 4000\).*Pass a list of the recordings"),
        (np.array([[np.nan], ["a.wav"]], dtype=object), r"missing value \(nan\) at position 0"),
    ],
)
def test_what_is_no_collection_of_recordings_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        read_recordings(X, sampling_rate=RATE)


def test_array_without_a_rate_is_refused():
    with pytest.raises(ValueError, match=r"`sampling_rate` is None, and `X` has an array at position 1: give"):
        read_recordings([as_wav(TONE), TONE])
    for wrong in (0, -1, 16000.0, "16000", True):
        with pytest.raises(ValueError, match="`sampling_rate` must be an integer of at least 1"):
            check_rate(wrong)
    check_rate(None)


@pytest.mark.parametrize(
    ("sample", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (20000.0, r"reach 2e\+04")]
)
def test_absurd_samples_are_named(sample, message):
    broken = TONE.copy()
    broken[7] = sample
    item = read_recordings(pd.Series([TONE, broken], index=["a", "b"]), sampling_rate=RATE)[1]
    with pytest.raises(ValueError, match=rf"{message}.* at position 1 \(index label 'b'\)"):
        waveform(item, RATE)


def test_file_that_is_damaged_behind_its_head_is_named_when_it_is_read():
    data = as_flac(np.random.default_rng(0).uniform(-0.5, 0.5, 20000))
    item = read_recordings([data[: len(data) // 2]])[0]
    assert item.seconds == 20000 / RATE
    with pytest.raises(ValueError, match="cannot be read at position 0: "):
        waveform(item, RATE)


def test_wav_with_other_chunks_is_read_without_a_warning(recwarn):
    data = as_wav(TONE.astype(np.float32))
    note = b"note" + (4).to_bytes(4, "little") + b"abcd"
    longer = data[:4] + (len(data) - 8 + len(note)).to_bytes(4, "little") + data[8:] + note
    np.testing.assert_allclose(samples(longer), TONE, atol=1e-7)
    assert not recwarn.list
