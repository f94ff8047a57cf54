"""The benchmark of prompts: all ways of scoring agree, and what they read is counted."""

from functools import cache
from tempfile import mkdtemp
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark_modules import load
from prompting.tiny_causal_models import save_pair

from skicl._models._states import padded

benchmark, scorers = load("icl_speed"), load("prompt_scorers")
TASK = scorers.Task(
    ["where is my card", "refund please", "card lost"],
    ["card", "money", "card"],
    ["it is late", "no refund yet"],
    ["card", "money"],
)


@cache
def pair():
    folder = save_pair("gpt2", mkdtemp())
    return benchmark.open_pair(SimpleNamespace(model=folder, device="cpu"))


def available():
    ways = dict(scorers.WAYS)
    try:
        import skorch.llm  # noqa: F401
    except ImportError:
        del ways["skorch"]
    return ways


@pytest.mark.parametrize("way", scorers.WAYS)
def test_all_ways_give_the_probabilities_of_the_definition(way):
    if way not in available():
        pytest.skip("skorch is not installed")
    expected = scorers.pairs(pair(), TASK)
    np.testing.assert_allclose(expected.sum(axis=1), 1)
    np.testing.assert_allclose(scorers.WAYS[way](pair(), TASK), expected, atol=1e-4)


def test_what_is_read_is_counted():
    network, tokenizer = pair()[:2]
    lengths = [len(tokenizer(prompt).input_ids) for prompt in scorers.prompts_of(TASK)]
    scorers.skicl(pair(), TASK)  # trials read a few tokens, once
    once = scorers.measured(network, lambda: scorers.prompts(pair(), TASK))
    each = scorers.measured(network, lambda: scorers.pairs(pair(), TASK))
    ours = scorers.measured(network, lambda: scorers.skicl(pair(), TASK))
    assert each.tokens >= 2 * sum(lengths)
    assert sum(lengths) <= once.tokens < each.tokens
    assert ours.tokens < once.tokens
    assert ours.padding == 0
    texts = [scorers.prompts_of(TASK)[0], "a"]
    batch = [tokenizer(text).input_ids for text in texts]
    ids, mask = padded(batch, 0, "cpu")
    with_padding = scorers.measured(network, lambda: network(input_ids=ids, attention_mask=mask))
    assert with_padding.padding == len(batch[0]) - len(batch[1])
    assert each.calls == 1
    assert not network._forward_pre_hooks, "nothing is left behind"


def test_rows_of_the_table():
    costs = {
        "skorch": scorers.Cost(12000, 0, 30, 8.0, 7.0, np.array([[0.6, 0.4], [0.1, 0.9]])),
        "skicl": scorers.Cost(1000, 20, 3, 0.5, 0.5, np.array([[0.7, 0.3], [0.6, 0.4]])),
    }
    theirs, ours = benchmark.table_row("skorch", costs), benchmark.table_row("skicl", costs)
    assert len(theirs) == len(benchmark.HEADER)
    assert theirs[1:] == ["12 000", 30, "8.0", "7.0", "12.0", "16.0", "50.0 %", "5e-01"]
    assert ours[5:] == ["1.0", "1.0", "100.0 %", ""]
    costs["floor"] = benchmark.floor_of([scorers.Cost(400, 0, 4, 0.1, 0.1, None)] * 2, costs["skicl"])
    assert benchmark.table_row("floor", costs)[1:] == ["980", 10, "0.2", "0.2", "1.0", "0.49", "", ""]
    assert "reads 1960 tokens a CPU second, 49 % of the 4000" in benchmark.share_line(costs)


def test_the_task_has_the_sizes_that_were_asked_for():
    options = SimpleNamespace(labels=3, demonstrations=7, queries=300)
    task = benchmark.make_task(options)
    assert len(task.shown) == len(task.words) == 7
    assert len(task.queries) == len(set(task.queries)) == 300
    assert sorted(set(task.words)) == task.labels == ["account access", "delivery status", "product question"]
    assert not set(task.shown) & set(task.queries)
    assert benchmark.make_task(options, short=True).labels == ["account", "delivery", "product"]
    with pytest.raises(SystemExit, match="--demonstrations: there are not so many"):
        benchmark.make_task(SimpleNamespace(labels=3, demonstrations=200, queries=3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ways", "skorch,all"], "'all' is none of"),
        (["--labels", "9"], "--labels must be at most 8"),
        (["--queries", "1"], "--queries must be at least 2"),
        (["--words", "some"], "'some' is neither short nor long"),
    ],
)
def test_bad_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(arguments)
    assert message in capsys.readouterr().err


def test_the_tables_are_written(tmp_path):
    folder, page = save_pair("gpt2", tmp_path / "model"), tmp_path / "page.md"
    sizes = ["--demonstrations", "3", "--queries", "4", "--labels", "2", "--words", "short", "--ways", "prompts,pairs"]
    benchmark.main(["--model", folder, *sizes, "--markdown", str(page)])
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith("3 demonstrations, 4 queries, 2 labels.")
    rows = [line for line in lines if line.startswith("| every") or line.startswith("| `ICL")]
    assert len(rows) == 3
    assert sum(line.startswith("| plain forward pass") for line in lines) == 1
    assert all("100.0 %" in row for row in rows)
