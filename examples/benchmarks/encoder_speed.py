"""Encoding texts: SentenceEncoder against SentenceTransformer.encode, its layers, caches, precision and memory.

    python examples/benchmarks/encoder_speed.py --data FOLDER [--device cuda] [--markdown FILE]

Both use the same weights and turn over the same texts (the first ones of the test part of each set, see
``few_shot_text.py``), and take turns; the best of several runs counts. On a CPU, CPU seconds of one thread; on a GPU,
wall-clock. ``SentenceTransformer.encode`` has its default batch size, or that of SentenceEncoder, whichever is faster.
Peak memory is that of a process of its own, with a small network of random weights that gives vectors of the same size:
what the network needs for one batch does not depend on the number of texts.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from data_sets import TEXT, find_sets, read_set
from tables import markdown_table

REPETITIONS = 5
SHORT, LONG = 1_000, 100_000
MB = 2**20


def main(arguments=None):
    options = parse(arguments)
    torch.set_num_threads(1)
    sections = []
    for part in options.parts:
        sections.append(PARTS[part](options))
        print(sections[-1], "\n", flush=True)
    if options.markdown:
        options.markdown.write_text("\n\n".join([setting(options), *sections]) + "\n", encoding="utf-8")


def encoder(options, **parameters):
    from skicl import SentenceEncoder

    return SentenceEncoder(device=options.device, **{"dtype": "float32", **parameters}).fit(["a text"])


def texts_of(name, options):
    return read_set(options.data, name)[1].X[: options.texts]


def reference(device):
    """The default model as sentence-transformers loads it, from the same files."""
    from sentence_transformers import SentenceTransformer

    from skicl._models._files import DEFAULT_MODEL, find_model

    return SentenceTransformer(str(find_model(DEFAULT_MODEL)), device=device, local_files_only=True)


def setting(options):
    import sentence_transformers
    import transformers

    versions = {"torch": torch, "transformers": transformers, "sentence-transformers": sentence_transformers}
    named = ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
    on_gpu = options.device.startswith("cuda")
    device = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU, one thread"
    return f"{device}; {named}; the default model, {options.repeats} runs, at most {options.texts} texts of each set."


# -- speed -----------------------------------------------------------------------------------------

SPEED_HEADER = [
    "set",
    "texts",
    "tokens a text",
    "SentenceTransformer.encode",
    "SentenceEncoder",
    "ratio",
    f"ratio, each text {REPETITIONS} times",
    "largest difference",
    "least cosine",
]


def speed_section(options):
    ours, theirs = encoder(options), reference(options.device)
    rows = [speed_row(name, texts_of(name, options), ours, theirs, options) for name in options.sets]
    return "### Texts a second\n\n" + markdown_table(SPEED_HEADER, rows)


def speed_row(name, texts, ours, theirs, options):
    """One line: texts a second of both, as they are and repeated, and how far the vectors are apart."""
    sizes = (32, ours.batch_size)
    ours.transform(texts[:50])
    theirs.encode(texts[:50])
    seconds = {"ours": [], **{size: [] for size in sizes}}
    for _ in range(options.repeats):
        seconds["ours"].append(timed(lambda: ours.transform(texts), options))
        for size in sizes:
            seconds[size].append(timed(lambda size=size: theirs.encode(texts, batch_size=size), options))
    best = {key: min(values) for key, values in seconds.items()}
    fastest = min(best[size] for size in sizes)
    # SentenceTransformer.encode takes so many times longer for so many copies; it is not run to see that.
    shuffled = [texts[i] for i in np.random.default_rng(0).permutation(len(texts) * REPETITIONS) % len(texts)]
    repeated = min(timed(lambda: ours.transform(shuffled), options) for _ in range(options.repeats))
    mine, reference = ours.transform(texts), theirs.encode(texts)
    tokens = np.mean([min(256, len(ids)) for ids in theirs.tokenizer(texts, verbose=False)["input_ids"]])
    rates = [f"{len(texts) / fastest:.0f}", f"{len(texts) / best['ours']:.0f}", f"{fastest / best['ours']:.2f}"]
    rates.append(f"{REPETITIONS * fastest / repeated:.2f}")
    apart = [f"{np.abs(mine - reference).max():.0e}", f"{cosines(mine, reference).min():.6f}"]
    return [name, len(texts), f"{tokens:.0f}", *rates, *apart]


def timed(function, options):
    """Seconds of a call: of this process on a CPU, of the clock on the wall otherwise."""
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    start = clock()
    function()
    return clock() - start


def cosines(first, second):
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first.astype(np.float64) * second).sum(axis=1) / lengths


# -- layers ----------------------------------------------------------------------------------------

LAYER_SETS = {"None": None, '"auto"': "auto", "all": [0.0, *(number / 6 for number in range(1, 6)), 1.0]}
LAYER_HEADER = ["set", "texts", *(f"`layers={name}`" for name in LAYER_SETS), '"auto", time more', "all, time more"]


def layer_section(options):
    encoders = [encoder(options, layers=layers) for layers in LAYER_SETS.values()]
    rows = [layer_row(name, texts_of(name, options), encoders, options) for name in options.sets]
    seconds = np.array([row[2:5] for row in rows])
    more = [f"{100 * share:+.1f} %" for share in seconds[:, 1:].sum(0) / seconds[:, 0].sum() - 1]
    shown = [[*row[:2], *(f"{value:.2f}" for value in row[2:5]), *row[5:]] for row in rows]
    shown.append(["all", sum(row[1] for row in rows), *(f"{value:.2f}" for value in seconds.sum(0)), *more])
    return "### Layers, seconds\n\n" + markdown_table(LAYER_HEADER, shown)


def layer_row(name, texts, encoders, options):
    """One line: seconds without layers, with those of "auto" and with all, in turns; how much more the latter take."""
    for one in encoders:
        one.transform(texts[:50])
    runs = [[timed(lambda one=one: one.transform(texts), options) for one in encoders] for _ in range(options.repeats)]
    best = np.min(runs, axis=0)
    return [name, len(texts), *best, *(f"{100 * (seconds / best[0] - 1):+.1f} %" for seconds in best[1:])]


# -- caches and formats ----------------------------------------------------------------------------

CACHE_HEADER = ["cache", "texts a second, first time", "again", "again, one text, ms", "disk or memory"]


def cache_section(options):
    """Lines: no cache, one in memory, one in a folder."""
    from skicl.encoders import EmbeddingCache

    texts, rows = sorted({text for name in options.sets for text in texts_of(name, options)}), []
    with tempfile.TemporaryDirectory() as folder:
        caches = {"none": None, "memory": EmbeddingCache(), "folder": EmbeddingCache(folder)}
        for name, cache in caches.items():
            encode = encoder(options, cache=cache).transform
            first = timed(lambda encode=encode: encode(texts), options)
            again = timed(lambda encode=encode: encode(texts), options)
            one = np.median([timed(lambda i=i, encode=encode: encode(texts[i : i + 1]), options) for i in range(30)])
            size = "-" if cache is None else f"{cache.stats.n_bytes / len(texts) / 1000:.1f} kB a text"
            rows.append([name, f"{len(texts) / first:.0f}", f"{len(texts) / again:.0f}", f"{1000 * one:.2f}", size])
    return f"### With a cache, {len(texts)} texts\n\n" + markdown_table(CACHE_HEADER, rows)


FORMAT_HEADER = ["`dtype`", "texts a second", "least cosine to float32", "mean cosine"]


def format_section(options):
    """Lines: float32 and bfloat16 against SentenceTransformer.encode in float32."""
    texts = [text for name in options.sets for text in texts_of(name, options)[:50]]
    expected, rows = reference(options.device).encode(texts), []
    for dtype in ("float32", "bfloat16"):
        encode = encoder(options, dtype=dtype).transform
        seconds = timed(lambda encode=encode: encode(texts), options)
        found = cosines(encode(texts), expected)
        rows.append([dtype, f"{len(texts) / seconds:.0f}", f"{found.min():.5f}", f"{found.mean():.5f}"])
    return f"### Number formats, {len(texts)} texts\n\n" + markdown_table(FORMAT_HEADER, rows)


# -- memory ----------------------------------------------------------------------------------------

MEMORY_HEADER = ["cache", f"peak, {SHORT} texts", f"peak, {LONG} texts", "of it texts and vectors", "other growth"]

PROGRAM = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[5])
from memory import peak_bytes
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel
from skicl import SentenceEncoder
from skicl._models._files import DEFAULT_MODEL, find_model
folder, device, n_texts, n_warm = sys.argv[1] or None, sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model = SentenceTransformer(str(find_model(DEFAULT_MODEL)), device=device, local_files_only=True)
small = BertConfig(hidden_size=384, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64)
model[0].model = BertModel(small).to(device).eval()
encoder = SentenceEncoder(model, device=device, cache=folder).fit(["a text"])
encoder.transform([f"warm up {i}" for i in range(n_warm)])
texts = [f"order {i}" for i in range(n_texts)]
vectors = encoder.transform(texts)
print(peak_bytes(), vectors.nbytes + sum(map(sys.getsizeof, texts)))
"""


def memory_section(options):
    rows = [memory_row(where, options.device) for where in ("none", "folder")]
    return "### Peak memory\n\n" + markdown_table(MEMORY_HEADER, rows)


def memory_row(where, device, sizes=(SHORT, LONG)):
    """One line: peak memory of processes that encode few and many texts of equal length."""
    peaks, held = [], []
    for n_texts in sizes:
        with tempfile.TemporaryDirectory() as folder:
            given = (folder if where == "folder" else "", device, str(n_texts), str(SHORT), str(Path(__file__).parent))
            done = subprocess.run([sys.executable, "-c", PROGRAM, *given], capture_output=True, text=True, check=True)
        peak, size = map(int, done.stdout.split())
        peaks.append(peak)
        held.append(size)
    growth = peaks[1] - peaks[0] - (held[1] - held[0])
    return [where, *(f"{number / MB:.0f} MB" for number in (*peaks, held[1], growth))]


PARTS = {
    "speed": speed_section,
    "layers": layer_section,
    "caches": cache_section,
    "formats": format_section,
    "memory": memory_section,
}


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the text sets, see few_shot_text.py")
    parser.add_argument("--sets", help="names, separated by commas (default: all text sets)")
    parser.add_argument("--device", default="cpu", help="where both run (%(default)s)")
    parser.add_argument("--texts", type=int, default=300, help="texts of each set (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the best counts (%(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure (%(default)s)")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args(arguments)
    known = [name for name, kind in find_sets(options.data).items() if kind == TEXT]
    options.sets = options.sets.split(",") if options.sets else known
    if unknown := set(options.sets) - set(known):
        parser.error(f"--sets: no text set is called {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    options.parts = options.parts.split(",")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts: {sorted(unknown)[0]!r} is none of {', '.join(PARTS)}")
    for name in ("texts", "repeats"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


if __name__ == "__main__":
    main()
