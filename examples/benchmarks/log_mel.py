"""Fixed-size features of short recordings: log-mel energies, pooled to the same number of frames for all.

The mel scale is that of O'Shaughnessy (1987), 2595 log10(1 + f / 700).
"""

import numpy as np

N_BANDS = 40
N_FRAMES = 8
WINDOW, STEP = 0.025, 0.010  # seconds
LOWEST = 50.0  # Hz
RANGE = 8 * np.log(10)  # energies more than 80 dB below the loudest of the recording are all alike


def log_mel_features(waves, lengths, sample_rate):
    """Features of recordings that are zero-padded to one length, float32 (n, N_FRAMES * N_BANDS).

    Each recording is cut to its own length and pooled to N_FRAMES frames of equal duration: slow and quick
    speakers say the same digits. Its mean is subtracted, because loudness says nothing about the word.
    """
    return np.stack([_pooled(log_mel(wave[:n], sample_rate)).ravel() for wave, n in zip(waves, lengths)])


def log_mel(wave, sample_rate):
    """Log energies of the mel bands, (n_frames, N_BANDS), with a mean of 0."""
    size, step = round(WINDOW * sample_rate), round(STEP * sample_rate)
    wave = np.asarray(wave, dtype=np.float64)
    wave = np.pad(wave, (0, max(0, size - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::step] * np.hanning(size)
    n_fft = 4 * 2 ** (size - 1).bit_length()  # padded, so that the narrowest band holds several frequencies
    energies = np.abs(np.fft.rfft(frames, n_fft)) ** 2 @ mel_filters(sample_rate, n_fft).T
    loudest = energies.max()
    if loudest == 0:
        return np.zeros_like(energies)
    logs = np.log(np.maximum(energies / loudest, np.exp(-RANGE)))
    return logs - logs.mean()


def mel_filters(sample_rate, n_fft):
    """Triangles that overlap by half, (N_BANDS, n_fft // 2 + 1), equally spaced in mel up to half the rate."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, sample_rate / 2))
    edges = 700 * (10 ** (np.linspace(lowest, highest, N_BANDS + 2) / 2595) - 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hertz = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    return np.maximum(0, np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)))


def _pooled(frames):
    """Means over N_FRAMES stretches of equal duration, which may begin and end within a frame."""
    total = np.vstack([np.zeros(frames.shape[1]), np.cumsum(frames, axis=0)])
    ends = np.linspace(0, len(frames), N_FRAMES + 1)
    at_ends = np.stack([np.interp(ends, np.arange(len(total)), band) for band in total.T], axis=1)
    return (np.diff(at_ends, axis=0) * (N_FRAMES / len(frames))).astype(np.float32)
