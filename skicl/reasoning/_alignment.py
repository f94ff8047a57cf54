"""Where along the spectrum the labels can be seen: which of its directions carry signal, and how surely.

The alignment of a direction is the excess of the squared sum of its labelled rows over what labels without
meaning would give: pairs of different rows only, so it has expectation zero when labels mean nothing. It is
averaged over directions of similar variance, hence equal variances may be mixed by any rotation without a trace.

Shapes: B tasks, N context rows, C classes, r directions of a view.
"""

import torch

N_ALIGNMENTS = 8
NARROW, WIDE, STEP = 0.2, 0.8, 0.3     # in units of the log-variance


def label_alignment(spectrum, moment, own, n_degrees):
    """Averages of the alignment near, above and below every direction.

    Parameters
    ----------
    spectrum : Tensor of shape (B, r)
        Variances along the directions; 0 where there is none.
    moment : Tensor of shape (B, r, C)
        ``sum_i w_i z_ij t_ic`` with the centred labels ``t`` (see :func:`centred_labels`).
    own : Tensor of shape (B, r)
        The part of its squared norm that comes of pairs of a row with itself.
    n_degrees : Tensor of shape (B,)
        Degrees of freedom of a label: classes less one.

    Returns
    -------
    Tensor of shape (B, r, N_ALIGNMENTS)
        Size and significance of the mean alignment of directions of nearly the same, of similar, of smaller and
        of larger variance; sizes and z-scores compressed by ``asinh``.
    """
    used = (spectrum > 0).to(spectrum.dtype)
    variance = spectrum.clamp_min(1e-12)
    excess, chance = used * (moment.square().sum(-1) - own) / variance, used * own / variance
    level = variance.log()
    apart = level[:, None, :] - level[:, :, None]                                      # (B, r, r): of others, own
    kernels = (torch.exp(-0.5 * (apart / NARROW).square()), torch.exp(-0.5 * (apart / WIDE).square()),
               torch.sigmoid(-apart / STEP), torch.sigmoid(apart / STEP))
    columns = torch.stack([excess, chance, used], -1)                                   # (B, r, 3)
    sums = torch.stack([kernel @ columns for kernel in kernels], 2)                     # (B, r, kernels, 3)
    size = sums[..., 0] / sums[..., 1].clamp_min(1e-9)
    size = torch.where(sums[..., 1] > 1e-9, size, 0.0)
    significance = size * (0.5 * n_degrees[:, None, None] * sums[..., 2]).clamp_min(0.0).sqrt()
    return torch.cat([0.3 * torch.asinh(size), 0.2 * torch.asinh(significance)], -1) * used[..., None]


def centred_labels(one_hot, labelled, weight):
    """Labels (B, N, C) with mean zero and every class of the same size: ``(1[y = c] - f_c) / sqrt(f_c)``."""
    mass = (weight * labelled)[..., None]                                               # (B, N, 1)
    frequency = (mass * one_hot).sum(1, keepdim=True) / mass.sum(1, keepdim=True).clamp_min(1e-9)
    scaled = (one_hot - frequency) * torch.where(frequency > 0, frequency.clamp_min(1e-9).rsqrt(), 0.0)
    return scaled * labelled[..., None]


def label_moments(coordinates, targets, weight):
    """Sums over rows, to be added over chunks: moments (B, r, C), and pairs of rows with themselves (B, r).

    A row of weight two counts as two rows: its copies are pairs of different rows.
    """
    moment = (coordinates * weight[..., None]).mT @ targets
    itself = weight * weight.clamp_max(1.0) * targets.square().sum(-1)                  # (B, N)
    return moment, (itself[:, None] @ coordinates.square())[:, 0]
