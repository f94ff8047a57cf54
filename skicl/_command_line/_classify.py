"""What ``python -m skicl classify`` does: read, check, encode, predict, report.

Everything the user can get wrong is found before the encoder is loaded. Texts are encoded once, with the names of the
classes. Results go to the standard output, notes and progress to the standard error.
"""

import sys
import time
import warnings
from collections import Counter
from textwrap import shorten

from skicl._command_line._evaluate import evaluate, explain, show_scores
from skicl._command_line._evidence import Evidence, names_to_embed
from skicl._command_line._tables import (
    TableError,
    check_encoding,
    check_output,
    delimiter_of,
    is_stream,
    open_file_number,
    read_table,
    show_rows,
    write_table,
)
from skicl._progress import progress_bar

_SHOWN_CLASSES = 20
_SHOWN_WIDTH = 50


def classify(arguments):
    """Carry out the command, with the options by their names; errors are TableError, with a message for the user."""
    _check_options(arguments)
    texts, labels = _read_labelled(arguments)
    new = _read_new(arguments, set(labels)) if arguments.predict else None
    splits = _plan_folds(texts, labels, arguments) if arguments.evaluate else None
    # An empty text says nothing: its row is kept, its predictions stay empty.
    new_texts = new.column(arguments.text_column, "--text-column") if new else []
    filled = [i for i, text in enumerate(new_texts) if text.strip()]
    names = _names_to_embed(labels, arguments)

    device = _resolve_device(arguments.device)
    vectors = _encode(texts + [new_texts[i] for i in filled], names, arguments)
    evidence = Evidence.of_vectors(vectors, labels, names, device=device, use_unlabelled=arguments.use_unlabelled)
    if new:
        _predict(evidence, filled, new, arguments)
    if arguments.evaluate:
        _evaluate(evidence, splits, arguments)


def _check_options(arguments):
    """Refuse options that do not fit together, and an output that cannot be written."""
    if not arguments.predict and not arguments.evaluate:
        raise TableError("nothing to do: pass --predict FILE --out FILE, or --evaluate, or both.")
    if bool(arguments.predict) != bool(arguments.out):
        given, missing = ("--predict", "--out") if arguments.predict else ("--out", "--predict")
        raise TableError(f"{given} needs {missing} FILE as well.")
    if arguments.text_column == arguments.label_column:
        raise TableError(f"--text-column and --label-column are both {arguments.text_column!r}: name two columns.")
    if arguments.encoding:
        check_encoding(arguments.encoding)
    if arguments.out:
        check_output(arguments.out, [arguments.train, arguments.predict])
        if not arguments.delimiter:
            _check_endings(arguments)


def _check_endings(arguments):
    """Refuse names of tables that do not tell the delimiters, or tell different ones where they must be one."""
    delimiter = delimiter_of(arguments.predict if is_stream(arguments.out) else arguments.out)
    others = (arguments.train, arguments.predict)
    if arguments.no_quotes and any(delimiter_of(path) != delimiter for path in others):
        raise TableError(
            "with --no-quotes the tables must have one delimiter, because a cell cannot hold it: give --train, "
            "--predict and --out the same ending, or pass --delimiter."
        )


def _read(path, arguments):
    """The table at a path, read with the options of all tables."""
    return read_table(path, delimiter=arguments.delimiter, encoding=arguments.encoding, quotes=not arguments.no_quotes)


def _read_labelled(arguments):
    """Texts and labels of the training table, checked, without rows that lack one of them."""
    table = _read(arguments.train, arguments)
    texts = table.column(arguments.text_column, "--text-column")
    labels = [label.strip() for label in table.column(arguments.label_column, "--label-column")]
    if not arguments.skip_empty:
        _check_no_empty_cells(table, {arguments.text_column: texts, arguments.label_column: labels})
    complete = [(text, label) for text, label in zip(texts, labels) if text.strip() and label]
    texts, labels = [text for text, _ in complete], [label for _, label in complete]
    counts = Counter(labels)
    if len(counts) < 2:
        only = f"the only one is {labels[0]!r}" if labels else "there is no labelled row"
        raise TableError(
            f"{table.path}: a classifier needs at least two classes in {arguments.label_column!r}, {only}."
        )
    _report_labelled(table, counts, arguments)
    return texts, labels


def _check_no_empty_cells(table, columns):
    """Refuse empty cells of these columns; rows without any content do not count."""
    filled_rows = [any(cell.strip() for cell in cells) for cells in table.rows]
    reports = []
    for name, column in columns.items():
        rows = zip(table.numbers, column, filled_rows)
        empty = [number for number, cell, filled in rows if filled and not cell.strip()]
        if empty:
            reports.append(f"{len(empty)} in {name!r} ({show_rows(empty)})")
    if reports:
        raise TableError(
            f"{table.path} has empty cells: {' and '.join(reports)}. Fill them in, or pass --skip-empty to leave these "
            "rows out."
        )


def _report_labelled(table, counts, arguments):
    """Say what was read, and note what looks like a mistake."""
    n_texts = sum(counts.values())
    _say(arguments, f"{table.path}: {n_texts} labelled texts, {len(counts)} classes")
    _say(arguments, _show_counts(counts, "class"))
    if n_texts < len(table.rows):
        _note(arguments, f"rows of {table.path} left out, being empty or incomplete: {len(table.rows) - n_texts}")
    if 2 * len(counts) > n_texts + 2:
        _note(
            arguments,
            f"{len(counts)} classes for {n_texts} texts: is {arguments.label_column!r} the column of the labels?",
        )
    _note_lookalikes(arguments, counts)


def _read_new(arguments, classes):
    """The table to classify, checked."""
    table = _read(arguments.predict, arguments)
    texts = table.column(arguments.text_column, "--text-column")
    clash = [name for name in _new_columns(arguments.label_column, sorted(classes)) if name in table.header]
    if clash:
        raise TableError(
            f"{table.path} already has the column {clash[0]!r}, which is to be added to --out. Rename or remove it."
        )
    empty = [number for number, text in zip(table.numbers, texts) if not text.strip()]
    if len(empty) == len(texts):
        raise TableError(f"{table.path} holds no text to classify in its column {arguments.text_column!r}.")
    _say(arguments, f"{table.path}: {len(texts)} rows to classify")
    if empty:
        _note(
            arguments,
            f"rows of {table.path} without a text, whose predictions stay empty: {len(empty)} ({show_rows(empty)})",
        )
    return table


def _new_columns(label_column, classes):
    """Names of the columns that are added to the table to classify."""
    return [f"predicted_{label_column}", "confidence", *(f"probability_{name}" for name in classes)]


def _note_lookalikes(arguments, counts):
    """Point out labels that are probably one class in two spellings."""
    spellings = {}
    for name in counts:
        spellings.setdefault(" ".join(name.casefold().split()), []).append(name)
    alike = [" and ".join(repr(name) for name in names) for names in spellings.values() if len(names) > 1]
    if alike:
        _note(arguments, f"classes that differ in upper and lower case or spaces only: {'; '.join(alike)}")


def _plan_folds(texts, labels, arguments):
    """Splits of the evaluation, with notes on what the smallest classes do not allow."""
    from skicl._command_line._baseline import stratified_splits

    counts = Counter(labels)
    single = sorted(name for name, count in counts.items() if count == 1)
    smallest = min((count for count in counts.values() if count > 1), default=0)
    if len(counts) - len(single) < 2:
        raise TableError(
            "--evaluate needs two classes or more with at least two rows, one to learn from and one to test "
            f"on; {arguments.train} has {len(counts) - len(single)}. Label more rows, or use --predict alone."
        )
    if single:
        shown = ", ".join(repr(name) for name in single[:5]) + (", ..." if len(single) > 5 else "")
        _note(
            arguments,
            f"classes with a single row, which is always learnt from and never tested: {len(single)} "
            f"({shown}); the scores say nothing of them",
        )
    folds = min(arguments.folds, smallest)
    if folds < arguments.folds:
        _note(
            arguments,
            f"{folds} folds instead of {arguments.folds}: the smallest class tested has {smallest} rows",
        )
    repeated = len(texts) - len(set(texts))
    if repeated:
        _note(
            arguments,
            f"rows that repeat the text of another row: {repeated}; the scores are too good if both are in "
            "different folds",
        )
    return stratified_splits(labels, folds, arguments.seed)


def _names_to_embed(labels, arguments):
    """Names of the classes, a dict from labels; empty where they play no part, with a note if they are codes."""
    if arguments.class_names == "none":
        return {}
    names = names_to_embed(sorted(set(labels)))
    if not names:
        _say(arguments, f"the labels in {arguments.label_column!r} are codes, not names: they say nothing of the texts")
    return names


def _resolve_device(name):
    """The device of this name; errors name the option."""
    from skicl._validation._environment import resolve_device

    try:
        return resolve_device(name)
    except (ValueError, RuntimeError) as error:
        raise TableError(f"--device {name}: {error}") from None


def _encode(texts, names, arguments):
    """Vectors (n_texts + n_names, n_features) of all texts and of the names of the classes, encoded once."""
    import numpy as np
    import torch

    from skicl import SentenceEncoder

    encoder = SentenceEncoder(
        arguments.encoder, layers="auto", batch_size=arguments.batch_size, device=arguments.device
    )
    # Short enough for the bar to move, long enough to form batches of similar length.
    chunk = max(8 * arguments.batch_size, len(texts) // 20)
    begin, vectors = time.perf_counter(), []
    bar = _progress(len(texts), "encoding", "text", arguments)
    try:
        with warnings.catch_warnings(record=True) as caught, bar:
            warnings.simplefilter("always", UserWarning)
            encoder.fit(texts)
            for first in range(0, len(texts), chunk):
                vectors.append(encoder.transform(texts[first : first + chunk]))
                bar.update(len(vectors[-1]))
            if names:
                vectors.append(encoder.transform(list(names.values())))
    except (OSError, ValueError, ImportError) as error:
        raise TableError(f"--encoder {arguments.encoder}: {error}") from None
    except torch.cuda.OutOfMemoryError:
        raise TableError(
            f"the device has too little memory for --batch-size {arguments.batch_size}: pass a smaller one, "
            "or --device cpu."
        ) from None
    if caught:  # such as truncated texts
        message = str(caught[0].message).partition(". ")[0]
        _note(arguments, message + (f", and {len(caught) - 1} more such notes" if len(caught) > 1 else ""))
    vectors = np.concatenate(vectors)
    _say(
        arguments,
        f"encoded {len(texts)} texts{f' and {len(names)} class names' if names else ''} with {arguments.encoder}: "
        f"{vectors.shape[1]} features, {time.perf_counter() - begin:.1f} s",
    )
    return vectors


def _predict(evidence, filled, new, arguments):
    """Classify the new rows (rows `filled` of the table `new`), write the table and say what was predicted."""
    classifier = evidence.fit(slice(None))
    probabilities = classifier.predict_proba(evidence.new)
    classes = [str(name) for name in classifier.classes_]
    columns = _new_columns(arguments.label_column, classes)
    added = [[""] * len(columns) for _ in new.rows]
    for row, values in zip(filled, probabilities):
        shown = [f"{value:.6g}" for value in values]
        best = int(values.argmax())
        added[row] = [classes[best], shown[best], *shown]
    write_table(
        arguments.out,
        new.header + columns,
        [cells + more for cells, more in zip(new.rows, added)],
        delimiter=arguments.delimiter or (new.delimiter if is_stream(arguments.out) else None),
        encoding=new.encoding,
        line_end=new.line_end,
        quotes=not arguments.no_quotes,
    )
    predicted = Counter(cells[0] for cells in added if cells[0])
    _say(arguments, f"\n{arguments.out}: {len(new.rows)} rows written, with {len(columns)} new columns")
    _say(arguments, _show_counts(predicted, columns[0]))
    _say(arguments, f"  mean confidence {probabilities.max(axis=1).mean():.3f}")
    _say(arguments, f"Learnt from {evidence.in_words(arguments.predict)}.")


def _evaluate(evidence, splits, arguments):
    """Cross-validate the classifiers, and print their scores and what they learnt from."""
    with _progress(len(splits), "evaluating", "fold", arguments) as bar:
        scores = evaluate(evidence, splits, bar.update)
    rows = sum(len(test) for _, test in splits)
    title = f"\nscores on {rows} rows of {arguments.train}, {len(splits)} stratified folds (mean +- sd)"
    for text in (title, show_scores(scores), explain(evidence, arguments.predict)):
        print(text, file=_where_to_report(arguments))


def _show_counts(counts, title):
    """Table of the rows of each class, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [(title, "rows"), *((shorten(name, _SHOWN_WIDTH), n) for name, n in ordered[:_SHOWN_CLASSES])]
    width = max(len(name) for name, _ in shown)
    lines = [f"  {name:<{width}}  {count:>6}" for name, count in shown]
    rest = [count for _, count in ordered[_SHOWN_CLASSES:]]
    if rest:
        lines.append(f"  and {len(rest)} more classes, {sum(rest)} rows in all")
    return "\n".join(lines)


def _progress(total, title, unit, arguments):
    """Progress bar on the standard error, at a terminal only; it is gone when it is done."""
    shown = sys.stderr.isatty() and not (arguments.quiet or arguments.no_progress)
    bar = progress_bar(total, title, shown, unit=unit, unasked=False)
    bar.leave = False
    return bar


def _say(arguments, text):
    """Print what was read or done, unless all is to be quiet."""
    if not arguments.quiet:
        print(text, file=_where_to_report(arguments), flush=True)


def _where_to_report(arguments):
    """The standard output, unless the table goes there."""
    taken = arguments.out is not None and open_file_number(arguments.out) == 1
    return sys.stderr if taken else sys.stdout


def _note(arguments, text):
    """Print a note to the standard error, unless all is to be quiet."""
    if not arguments.quiet:
        print(f"note: {text}", file=sys.stderr)
