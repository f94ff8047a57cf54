"""What a pass over the context promises: chunks change nothing, fits are of others, blind rows see no label."""

import torch
from reasoning.layer_fixtures import CONFIG, B, C, N

from skicl.reasoning import Evidence, load_reasoner
from skicl.reasoning._context_pass import Chunk, _fit_of_others, run_layer
from skicl.reasoning._layers import Labels, leverages


def chunk_of(rows, labels, filters, state):
    fit = state.new_zeros(B, 1, CONFIG.n_fits)
    return Chunk(rows, labels, leverages(rows, filters, 1), state, fit, rows, state.flip(2))


def test_chunks_of_rows_give_what_all_rows_give(layer, filters, rows, labels, classes, generator):
    state = torch.randn(B, N, C, CONFIG.n_channels, generator=generator, dtype=torch.float64)
    memory, (whole,) = run_layer(layer, 0, filters, [chunk_of(rows, labels, filters, state)], classes, is_last=False)
    cut = [(0, 3), (3, N)]
    chunks = [chunk_of(rows.slice(*c), labels.slice(*c), filters, state[:, slice(*c)]) for c in cut]
    memory_2, parts = run_layer(layer, 0, filters, chunks, classes, is_last=False)
    for name in ("state", "fit", "blind"):
        torch.testing.assert_close(torch.cat([getattr(part, name) for part in parts], 1), getattr(whole, name))
    torch.testing.assert_close(memory_2.fit, memory.fit)


def test_the_fit_that_a_row_knows_is_that_of_the_others(labels, generator):
    fit = torch.randn(B, N, 2, generator=generator, dtype=torch.float64) * labels.labelled[..., None]
    labels = labels._replace(weight=torch.tensor([[1.0, 2, 1, 3, 1, 1, 1]] * B, dtype=torch.float64))
    mass = (labels.weight * labels.labelled).sum(1)[:, None]
    summed = (fit * labels.weight[..., None]).sum(1)
    others = _fit_of_others(fit, labels, summed, mass)
    for task in range(B):
        repeated = [row for row in range(N) for _ in range(int(labels.weight[task, row])) if labels.labelled[task, row]]
        for row in range(N):
            left = list(repeated)
            if labels.labelled[task, row]:
                left.remove(row)
            torch.testing.assert_close(others[task, row], fit[task, left].mean(0))


def test_the_only_labelled_row_knows_no_fit():
    one = torch.ones(1, 1, dtype=torch.float64)
    labels = Labels(torch.eye(2, dtype=torch.float64)[None, :1], one, one)
    fit = torch.full((1, 1, 2), -0.3, dtype=torch.float64)
    assert (_fit_of_others(fit, labels, fit[:, 0], one) == 0).all()


def test_a_row_that_is_left_out_hears_nothing_of_its_own_label(layer, filters, rows, labels, classes, generator):
    state = torch.randn(B, N, C, CONFIG.n_channels, generator=generator, dtype=torch.float64)
    one_hot = labels.one_hot.clone()
    one_hot[:, 3] = one_hot[:, 3].roll(1, -1)
    found = []
    for own in (labels, labels._replace(one_hot=one_hot)):
        chunk = chunk_of(rows, own, filters, state)
        _, (after,) = run_layer(layer, 0, filters, [chunk], classes, is_last=True)
        found.append(after.blind)
    torch.testing.assert_close(found[1][:, 3], found[0][:, 3])
    assert (found[1] - found[0]).abs().amax((0, 2, 3))[[0, 1, 2, 4, 5, 6]].min() > 1e-6


def test_scores_of_rows_left_out_are_nearer_to_refitting_than_to_what_a_query_gets():
    reasoner, generator = load_reasoner().double(), torch.Generator().manual_seed(1)
    X = torch.randn(1, 40, 6, generator=generator, dtype=torch.float64)
    y = (X[..., 0] + torch.randn(1, 40, generator=generator, dtype=torch.float64) > 0).long()
    context, left_out = reasoner.encode_leaving_out(Evidence(X, y, 2))
    as_query = reasoner.score(context, X)
    refitted = []
    for row in range(40):
        weight = torch.ones(1, 40, dtype=torch.float64)
        weight[0, row] = 0
        refitted.append(reasoner(Evidence(X, y, 2, weight), X[:, row : row + 1])[0, 0])
    own = [
        part.log_softmax(-1).gather(-1, y[0, :, None]).mean()
        for part in (left_out[0], as_query[0], torch.stack(refitted))
    ]
    assert abs(own[0] - own[2]) < abs(own[1] - own[2])


def test_leaving_out_changes_nothing_in_the_context(generator):
    reasoner = load_reasoner().double()
    X = torch.randn(2, 20, 4, generator=generator, dtype=torch.float64)
    y = torch.tensor([[0, 1, -1, 1] * 5, [0, 0, 1, 1] * 5])
    evidence, queries = Evidence(X, y, 2), X[:, :5] + 0.1
    context, left_out = reasoner.encode_leaving_out(evidence)
    torch.testing.assert_close(reasoner.score(context, queries), reasoner.score(reasoner.encode(evidence), queries))
    torch.testing.assert_close(reasoner.encode_leaving_out(evidence, chunk_rows=7)[1], left_out)


def test_a_row_of_weight_two_is_left_out_once(generator):
    reasoner = load_reasoner().double()
    X = torch.randn(1, 10, 4, generator=generator, dtype=torch.float64)
    y, weight = torch.tensor([[0, 1] * 5]), torch.ones(1, 10, dtype=torch.float64)
    weight[0, 3] = 2
    repeated = [*range(10), 3]
    by_weight = reasoner.encode_leaving_out(Evidence(X, y, 2, weight))[1]
    by_copies = reasoner.encode_leaving_out(Evidence(X[:, repeated], y[:, repeated], 2))[1]
    torch.testing.assert_close(by_copies[:, :10], by_weight)
    torch.testing.assert_close(by_copies[:, 10], by_weight[:, 3])
