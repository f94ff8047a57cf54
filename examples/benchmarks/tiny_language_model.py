"""Train the tiny language model that comes with the package, measure it, and put it where it ships.

    python examples/benchmarks/tiny_language_model.py train --state RUN        # about 35 minutes on one core
    python examples/benchmarks/tiny_language_model.py release --state RUN

The second command writes weights, tokenizer and a card with the measurements of :func:`accuracy_in_context`: how often
the model is right after so many examples, for each rule family, also of those that it was not trained on, and what is
left when the labels of the examples say nothing.
"""

import argparse
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from skicl._storage._tensors import seal_folder
from skicl.pretraining import EpisodePrior, EpisodeSchedule, tiny_language_model, train_language_model
from skicl.pretraining._language_models._rules import HELD_OUT_FAMILIES, TRAINING_FAMILIES

SHIPPED = Path(__file__).parents[2] / "skicl" / "_models" / "weights" / "skicl-tiny"
FAMILIES = tuple(family.__name__ for family in TRAINING_FAMILIES)


def schedule(steps, tokens, lengths, parts, decay, seed):
    return EpisodeSchedule(
        steps=steps,
        tokens=tokens,
        lengths=lengths,
        parts=parts,
        decay=decay,
        seed=seed,
        warmup=50,
        precision="bfloat16",
    )


# To look an answer up comes first; what else can decide is learned by a network that can already do that.
STAGES = (
    (EpisodePrior(families=("lookup",), plain=1.0, meaningful=0.0), schedule(800, 2048, (128,), (1.0,), 0.0, 1)),
    (
        EpisodePrior(families=("lookup",) * len(FAMILIES) + FAMILIES, plain=0.7, meaningful=0.0),
        schedule(1500, 2048, (128, 256), (0.5, 1.0), 0.0, 2),
    ),
    (EpisodePrior(), schedule(5000, 4096, (256, 512, 1024), (0.5, 0.9, 1.0), 0.5, 3)),
)
SHOTS = (0, 1, 2, 4, 8, 16, 32)


@torch.no_grad()
def accuracy_in_context(network, tokenizer, prior, *, shots=SHOTS, n_episodes=200, seed=1):
    """Share of right answers after so many examples, over episodes of two classes.

    The answer is the word of the episode with the larger probability, all tokens of which are scored.

    Parameters
    ----------
    network, tokenizer
        A causal language model.
    prior : EpisodePrior
        Where the episodes come from.
    shots : tuple of int
        Numbers of examples before the question.
    n_episodes : int, default=200
        How many.
    seed : int, default=1
        Of the episodes.

    Returns
    -------
    dict of int to float
        By number of examples.
    """
    rng = random.Random(seed)
    right = {k: [] for k in shots}
    for _ in range(n_episodes):
        episode = prior.sample(rng, n_examples=max(shots) + 1)
        for k in shots:
            start, _ = episode.answers[k]
            word = episode.words[episode.codes[k]]
            scores = [answer_score(network, tokenizer, episode.text[:start], f" {w}\n") for w in episode.words]
            right[k].append(np.argmax(scores) == episode.words.index(word))
    return {k: float(np.mean(values)) for k, values in right.items()}


def answer_score(network, tokenizer, prompt, answer):
    """Log-probability of all tokens of an answer."""
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
    assert whole[: len(before)] == before
    whole = whole[-network.config.max_position_embeddings :]
    n_answer = len(tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]) - len(before)
    logits = network(torch.tensor([whole])).logits[0, -n_answer - 1 : -1].float().log_softmax(dim=1)
    return logits[torch.arange(n_answer), torch.tensor(whole[-n_answer:])].sum().item()


def measurements(network, tokenizer, n_episodes):
    """Accuracy by family and number of examples; scrambled for all held-out families together."""
    table = {}
    for family in (*TRAINING_FAMILIES, *HELD_OUT_FAMILIES):
        prior = EpisodePrior(families=(family.__name__,), max_classes=2, meaningful=0.0, balanced=1.0)
        name = family.__name__ + (" (held out)" if family in HELD_OUT_FAMILIES else "")
        table[name] = accuracy_in_context(network, tokenizer, prior, n_episodes=n_episodes)
        print(f"{name:32s}" + "".join(f"{value:8.2f}" for value in table[name].values()), flush=True)
    held_out = tuple(family.__name__ for family in HELD_OUT_FAMILIES)
    for name, prior in (
        ("held out, all", EpisodePrior(families=held_out, max_classes=2, balanced=1.0)),
        ("held out, scrambled labels", EpisodePrior(families=held_out, max_classes=2, balanced=1.0, scrambled=True)),
        *(
            (f"{name}, words that mean it", EpisodePrior(families=(name,), max_classes=2, meaningful=1.0, balanced=1.0))
            for name in ("topic", "opinion")
        ),
    ):
        table[name] = accuracy_in_context(network, tokenizer, prior, n_episodes=2 * n_episodes)
        print(f"{name:32s}" + "".join(f"{value:8.2f}" for value in table[name].values()), flush=True)
    return table


def train(state):
    """Run all stages, or what is left of them; the network, the tokenizer and a list of what each stage did."""
    network, tokenizer = tiny_language_model()
    done = []
    for i, (prior, plan) in enumerate(STAGES):
        run = train_language_model(
            network,
            tokenizer,
            prior,
            schedule=plan,
            state=stage_file(state, i),
            log=lambda line: print(line, file=sys.stderr, flush=True),
        )
        done.append(
            {
                "prior": asdict(prior),
                "schedule": asdict(plan),
                "steps": run.step,
                "tokens": run.tokens,
                "seconds": round(run.seconds),
                "loss": round(run.loss, 4),
            }
        )
    return network, tokenizer, done


def stage_file(state, i):
    """Where the state of a stage is kept."""
    return state.with_name(f"{state.name}{i + 1}.safetensors")


def release(state, folder, n_episodes):
    """Write the model in half precision, its tokenizer and its card, after measuring exactly what is written."""
    network, tokenizer, done = train(state)
    network.half().float()
    card = {
        "what": "A language model for examples and tests of skicl: it answers in context in a small vocabulary.",
        "parameters": network.num_parameters(),
        "torch": torch.__version__,
        "command": "python examples/benchmarks/tiny_language_model.py release --state RUN",
        "accuracy by number of examples, two classes": measurements(network, tokenizer, n_episodes),
        "stages": done,
    }
    folder.mkdir(parents=True, exist_ok=True)
    network.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    seal_folder(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "measure", "release"))
    parser.add_argument("--state", type=Path, required=True, help="path of the run, without suffix; it is continued")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write; default: the one that ships")
    parser.add_argument("--episodes", type=int, default=200, help="episodes of each measurement")
    options = parser.parse_args()
    if options.what == "release":
        release(options.state, options.out, options.episodes)
    else:
        network, tokenizer, _ = train(options.state)
        if options.what == "measure":
            measurements(network, tokenizer, options.episodes)


if __name__ == "__main__":
    main()
