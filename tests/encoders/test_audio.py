import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from encoders.item_laws import CLOSE, LAWS, name_of
from encoders.tiny_vision_audio import (
    AUDIO_FAMILIES,
    RATE,
    WINDOW,
    build_audio_model,
    feature_extractor,
    some_images,
    some_recordings,
)
from scipy.io import wavfile
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from skicl.encoders import AudioEncoder, clear_model_cache

RECORDINGS = some_recordings()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of a tiny model of every family."""
    root = tmp_path_factory.mktemp("audio models")
    return {family: build_audio_model(family, root / family) for family in AUDIO_FAMILIES}


def encoder(folder, **options):
    return AudioEncoder(folder, **{"device": "cpu", "sampling_rate": RATE, **options})


def transformers_states(folder, family, recording):
    """All frames of one recording, alone and without padding, and the number that it fills."""
    from transformers import AutoModel

    network = AutoModel.from_pretrained(folder)
    inputs = feature_extractor(family)(recording, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        if family == "whisper":
            frames = network.encoder(inputs["input_features"]).last_hidden_state[0]
            return frames, int(np.ceil(len(recording) / 320))
        frames = network(inputs["input_values"].float()).last_hidden_state[0]
        return frames, len(frames)


@pytest.mark.parametrize("law", LAWS, ids=name_of)
@pytest.mark.parametrize("family", ["whisper", "wav2vec2 base", "hubert large"])
def test_laws(law, family, folders, monkeypatch):
    law(encoder(folders[family]), RECORDINGS, monkeypatch)


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_checks_of_scikit_learn(folders):
    check_estimator(encoder(folders["hubert large"]))


@pytest.mark.parametrize("family", AUDIO_FAMILIES)
def test_vectors_are_those_of_transformers(family, folders):
    """Each recording alone, so without padding but for the window of Whisper, whose silent end is left out."""
    means = encoder(folders[family]).fit_transform(RECORDINGS)
    largest = encoder(folders[family], pooling="max").fit_transform(RECORDINGS)
    for recording, mean, most in zip(RECORDINGS, means, largest):
        frames, n_filled = transformers_states(folders[family], family, recording.astype(np.float32))
        np.testing.assert_allclose(mean, frames[:n_filled].mean(dim=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(most, frames[:n_filled].amax(dim=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", AUDIO_FAMILIES)
@pytest.mark.parametrize("options", [{}, {"pooling": "max"}, {"layers": 0}, {"layers": [1, -1]}])
def test_one_by_one_equals_batch(family, options, folders):
    one = encoder(folders[family], **options).fit(RECORDINGS)
    together = one.transform(RECORDINGS)
    assert np.abs(together - together[0]).max() > 0.01
    alone = np.concatenate([one.transform([recording]) for recording in RECORDINGS])
    np.testing.assert_allclose(alone, together, **CLOSE)


def test_silent_end_of_the_window_is_not_pooled(folders):
    """The original code of TART averaged over all frames of the window."""
    short = RECORDINGS[0].astype(np.float32)
    frames, n_filled = transformers_states(folders["whisper"], "whisper", short)
    assert n_filled < len(frames) / 4
    vector = encoder(folders["whisper"]).fit_transform([short])[0]
    assert np.abs(vector - frames.mean(dim=0).numpy()).max() > 0.01


def test_equally_long_recordings_are_encoded_together(folders, monkeypatch):
    from skicl.encoders._audio_networks import AudioModel

    sizes, original = [], AudioModel.vectors
    monkeypatch.setattr(AudioModel, "vectors", lambda self, *args: sizes.append(len(args[0])) or original(self, *args))
    equal = [recording[: len(RECORDINGS[0])] for recording in RECORDINGS]
    base, large = encoder(folders["hubert base"]), encoder(folders["hubert large"])
    base.fit_transform(equal)
    assert sizes == [6]
    base.fit_transform(RECORDINGS)
    assert sizes == [6, *[1] * 6]
    large.fit_transform(RECORDINGS)
    assert sizes == [6, *[1] * 6, 6]


def test_paths_bytes_and_arrays_give_equal_vectors(folders, tmp_path):
    integers = [np.round(recording * 30000).astype(np.int16) for recording in RECORDINGS]
    paths = [tmp_path / f"{i}.wav" for i in range(len(integers))]
    for path, samples in zip(paths, integers):
        wavfile.write(path, RATE, samples)
    expected = encoder(folders["hubert large"]).fit_transform(integers)
    by_path = encoder(folders["hubert large"], sampling_rate=None)
    data = [path.read_bytes() for path in paths]
    dicts = [{"array": samples, "sampling_rate": RATE} for samples in integers]
    frame = pd.DataFrame({"recording": [str(path) for path in paths]})
    for X in (paths, data, dicts, frame):
        np.testing.assert_array_equal(by_path.fit_transform(X), expected)


def test_the_same_sound_at_another_rate(folders):
    """Close to its vector, and told apart from what the samples would be if their rate were ignored."""
    hertz = np.array([300, 700, 1500, 2500])[:, None]
    coarse, fine = (np.sin(2 * np.pi * hertz * np.arange(rate // 2) / rate) for rate in (RATE, 48000))
    expected = encoder(folders["hubert large"]).fit_transform(coarse)
    resampled = encoder(folders["hubert large"], sampling_rate=48000).fit_transform(fine)
    ignored = encoder(folders["hubert large"]).fit_transform(fine)
    for one, same, other in zip(expected, resampled, ignored):
        assert np.linalg.norm(same - one) < 0.3 * np.linalg.norm(other - one)


def test_recording_shorter_than_a_frame_is_filled_up(folders):
    for family in AUDIO_FAMILIES:
        vectors = encoder(folders[family]).fit_transform([RECORDINGS[0][:3], RECORDINGS[1]])
        assert np.isfinite(vectors).all()


def test_silence_is_a_recording(folders):
    for family in AUDIO_FAMILIES:
        assert np.isfinite(encoder(folders[family]).fit_transform([np.zeros(4000), RECORDINGS[1]])).all()


def test_bfloat16_is_close_to_float32(folders):
    exact = encoder(folders["whisper"]).fit_transform(RECORDINGS)
    rough = encoder(folders["whisper"], dtype="bfloat16").fit_transform(RECORDINGS)
    assert 0 < np.abs(rough - exact).max()
    cosine = (rough * exact).sum(1) / np.linalg.norm(rough, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.99


def test_cache_keeps_options_apart(folders, tmp_path):
    options = [{}, {"layers": 1}, {"pooling": "max"}, {"max_seconds": 0.2}, {"normalize": True}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for family in ("wav2vec2 base", "wav2vec2 large"):
            for option in options:
                cached = encoder(folders[family], cache=tmp_path / "cache", **option)
                for _ in range(2):
                    np.testing.assert_allclose(
                        cached.fit_transform(RECORDINGS),
                        encoder(folders[family], **option).fit_transform(RECORDINGS),
                        **CLOSE,
                    )


# -- long recordings -----------------------------------------------------------------------------


def test_truncated_recordings_are_counted_in_one_warning(folders):
    long = np.concatenate([RECORDINGS[5], RECORDINGS[4], RECORDINGS[3], RECORDINGS[5]])
    one = encoder(folders["whisper"]).fit(RECORDINGS)
    with pytest.warns(UserWarning, match="truncated") as caught:
        vectors = one.transform([long, *RECORDINGS, long, long[: WINDOW * RATE]])
    assert len(caught) == 1
    assert str(caught[0].message).startswith("2 of 9 recordings are longer than 1 seconds and were truncated.")
    assert caught[0].filename == __file__
    np.testing.assert_allclose(vectors[0], vectors[-1], **CLOSE)


def test_limit_of_ones_own(folders):
    with pytest.warns(UserWarning, match=r"5 of 6 recordings are longer than 0\.1 seconds"):
        cut = encoder(folders["hubert base"], max_seconds=0.1).fit_transform(RECORDINGS)
    beginnings = [recording[: RATE // 10] for recording in RECORDINGS]
    np.testing.assert_allclose(cut, encoder(folders["hubert base"]).fit_transform(beginnings), **CLOSE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder(folders["hubert base"]).fit_transform([np.concatenate(RECORDINGS)])
    with pytest.raises(ValueError, match=r"`max_seconds`=2 exceeds the 1 seconds that this model takes"):
        encoder(folders["whisper"], max_seconds=2).fit(RECORDINGS)


# -- models in memory ----------------------------------------------------------------------------


def test_only_the_encoder_of_whisper_runs(folders, monkeypatch):
    """In memory the decoder is not called; from a folder it is not even kept."""
    from transformers import WhisperForConditionalGeneration

    network = WhisperForConditionalGeneration.from_pretrained(folders["whisper"])
    for part in network.model.decoder.modules():
        monkeypatch.setattr(part, "forward", lambda *_, **__: pytest.fail("the decoder ran"))
    live = encoder((network, feature_extractor("whisper")))
    expected = encoder(folders["whisper"]).fit_transform(RECORDINGS)
    np.testing.assert_allclose(live.fit_transform(RECORDINGS), expected, **CLOSE)
    loaded = encoder(folders["whisper"])._load(torch.device("cpu")).model.network
    assert not [name for name, _ in loaded.named_parameters() if "decoder" in name]


def test_live_pair_is_not_copied(folders):
    from transformers import AutoModel, Wav2Vec2ForCTC

    network = AutoModel.from_pretrained(folders["wav2vec2 base"])
    live = encoder((network, feature_extractor("wav2vec2 base")))
    expected = encoder(folders["wav2vec2 base"]).fit_transform(RECORDINGS)
    np.testing.assert_allclose(live.fit_transform(RECORDINGS), expected, **CLOSE)
    assert clone(live).model is live.model
    assert live.model.model.network is network
    assert "LiveModel(AudioModel)" in repr(live)
    with pytest.raises(pickle.PicklingError, match="live AudioModel is not pickled"):
        pickle.dumps(live)
    with_head = Wav2Vec2ForCTC.from_pretrained(folders["wav2vec2 base"])
    again = encoder((with_head, feature_extractor("wav2vec2 base"))).fit_transform(RECORDINGS)
    np.testing.assert_allclose(again, expected, **CLOSE)


def test_loading_prints_nothing_and_warns_of_nothing(folders, capfd):
    """Checkpoints of recognisers often lack the vector that stands for masked frames."""
    from safetensors.torch import load_file, save_file

    file = folders["wav2vec2 base"] / "model.safetensors"
    weights = load_file(file)
    weights.pop("masked_spec_embed")
    save_file(weights, file, metadata={"format": "pt"})
    clear_model_cache()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for family in ("whisper", "wav2vec2 base"):
            encoder(folders[family]).fit_transform(RECORDINGS)
    assert capfd.readouterr() == ("", "")


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1, got 0"),
        ({"sampling_rate": 0}, ValueError, r"`sampling_rate` must be an integer of at least 1 or None, got 0"),
        ({"sampling_rate": None}, ValueError, "`sampling_rate` is None, and `X` has an array at position 0"),
        ({"layers": 7}, ValueError, "`layers`=7: the model has no layer 7. Expected -3 to 2"),
        ({"pooling": "cls"}, ValueError, "`pooling` must be one of 'mean', 'max', got 'cls'"),
        ({"max_seconds": 0}, ValueError, "`max_seconds` must be a number above 0 or None, got 0"),
        ({"max_seconds": np.nan}, ValueError, "`max_seconds` must be a number above 0"),
        ({"normalize": 1}, ValueError, "`normalize` must be True or False, got 1"),
        ({"dtype": "int8"}, ValueError, "`dtype` must be None or one of"),
        ({"revision": "main"}, ValueError, "`revision` applies to models of the hub only"),
        ({"device": "gpu"}, ValueError, "`device`='gpu' is not a device"),
        ({"model": 3}, TypeError, "`model` must be the name or the path of a model"),
        ({"model": "./absent"}, ValueError, "`model`='./absent' does not exist"),
    ],
)
def test_bad_parameters_are_refused(folders, options, error, message):
    with pytest.raises(error, match=message):
        AudioEncoder(**{"model": folders["whisper"], "device": "cpu", "sampling_rate": RATE, **options}).fit(RECORDINGS)


def test_other_models_are_refused(tiny_folder, folders):
    with pytest.raises(ValueError, match=r"could not be loaded .*`model` is of type 'bert'. Expected one of data2vec"):
        encoder(tiny_folder).fit(RECORDINGS)


def test_bad_samples_are_named(folders):
    broken = RECORDINGS[2].copy()
    broken[5] = np.nan
    with pytest.raises(ValueError, match="samples that are not finite at position 2"):
        encoder(folders["whisper"]).fit_transform([*RECORDINGS[:2], broken])
    with pytest.raises(ValueError, match="without samples at position 1"):
        encoder(folders["whisper"]).fit([RECORDINGS[0], np.zeros(0)])


def test_images_are_no_recordings(folders):
    with pytest.raises(ValueError, match=r"shape \(20, 34, 3\) at position 0: expected \(n,\) or \(n, channels\)"):
        encoder(folders["whisper"]).fit(some_images())
