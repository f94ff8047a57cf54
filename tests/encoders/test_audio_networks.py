import numpy as np
import pytest
import torch
from encoders.tiny_vision_audio import (
    AUDIO_FAMILIES,
    RATE,
    RECEPTIVE_FIELD,
    WINDOW,
    audio_config,
    feature_extractor,
    randomised,
    some_recordings,
)

from skicl.encoders._audio_networks import SAMPLED, SPECTRAL, AudioModel

RECORDINGS = [recording.astype(np.float32) for recording in some_recordings()]


@pytest.fixture(scope="module")
def models():
    """A tiny model of every family, in memory."""
    from transformers import AutoModel

    return {
        family: AudioModel(randomised(AutoModel.from_config(audio_config(family))), feature_extractor(family))
        for family in AUDIO_FAMILIES
    }


def test_every_kind_is_tested():
    assert {audio_config(family).model_type for family in AUDIO_FAMILIES} == SPECTRAL | SAMPLED


@pytest.mark.parametrize("family", AUDIO_FAMILIES)
def test_frames_that_a_recording_fills(family, models):
    """As many as the network returns for the recording alone; of Whisper one for 20 milliseconds begun."""
    model = models[family]
    model.check()
    for recording in RECORDINGS:
        features, n_frames = model.features(recording)
        with torch.no_grad():
            if model.spectral:
                frames = model.network(torch.from_numpy(features)[None]).last_hidden_state
                assert frames.shape[1] == 50 * WINDOW
                assert n_frames == int(np.ceil(len(recording) / RATE * 50))
            else:
                frames = model.network(torch.from_numpy(features)[None]).last_hidden_state
                assert n_frames == frames.shape[1]


@pytest.mark.parametrize("family", [family for family in AUDIO_FAMILIES if family != "whisper"])
def test_fewest_samples(family, models):
    model = models[family]
    assert model.receptive_field == RECEPTIVE_FIELD
    assert int(model.network._get_feat_extract_output_lengths(RECEPTIVE_FIELD)) == 1
    assert int(model.network._get_feat_extract_output_lengths(RECEPTIVE_FIELD - 1)) == 0
    features, n_frames = model.features(RECORDINGS[0][:5])
    assert (len(features), n_frames) == (RECEPTIVE_FIELD, 1)


@pytest.mark.parametrize("family", [family for family in AUDIO_FAMILIES if family != "wavlm"])
def test_padding_is_exact_where_it_is_said_to_be(family, models):
    """And is not where it is said not to be, or the restriction to equal lengths would be for nothing."""
    model = models[family]
    pairs = [model.features(recording) for recording in RECORDINGS]
    layers = model.resolve(-1)
    alone = torch.cat([model.vectors([features], [n], layers, "mean") for features, n in pairs])
    together = model.vectors(*zip(*pairs), layers, "mean")
    error = (alone - together).abs().max().item()
    assert error < 1e-4 if model.pads_exactly else error > 1e-3


def test_frames_of_padding_do_not_count(models):
    model = models["whisper"]
    features, n_frames = model.features(RECORDINGS[0])
    with torch.no_grad():
        frames = model.network(torch.from_numpy(features)[None]).last_hidden_state[0]
    for pooling, expected in (("mean", frames[:n_frames].mean(dim=0)), ("max", frames[:n_frames].amax(dim=0))):
        found = model.vectors([features], [n_frames], model.resolve(-1), pooling)[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_limits(models):
    assert models["whisper"].most_seconds == WINDOW
    assert models["hubert base"].most_seconds is None
    assert {model.rate for model in models.values()} == {RATE}


def test_networks_of_other_kinds_are_refused(models):
    from transformers import AutoModel

    extractor = feature_extractor("wav2vec2 base")
    with pytest.raises(TypeError, match=r"holds a network of type Linear. Expected one of transformers"):
        AudioModel(torch.nn.Linear(2, 2), extractor).check()
    with pytest.raises(TypeError, match=r"type WhisperFeatureExtractor. Expected a Wav2Vec2FeatureExtractor"):
        AudioModel(models["hubert base"].network, feature_extractor("whisper")).check()
    with pytest.raises(TypeError, match=r"type Wav2Vec2FeatureExtractor. Expected a WhisperFeatureExtractor"):
        AudioModel(models["whisper"].network, extractor).check()
    config = audio_config("wav2vec2 base")
    config.add_adapter = True
    with pytest.raises(ValueError, match="`model` has an adapter"):
        AudioModel(AutoModel.from_config(config), extractor).check()
