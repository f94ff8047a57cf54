"""What ``--evaluate`` does: TartClassifier and logistic regression, cross-validated on the same vectors."""

import time

_SCORES = ("accuracy", "log-loss", "ECE", "seconds")
_TART, _LOGISTIC, _LOGISTIC_NAMES = "TartClassifier", "tuned LogisticRegression", "the same + class names"


def evaluate(evidence, splits, after_each):
    """Scores of each classifier by its name, shape (n_folds, 4); `after_each` is called after each fold."""
    import numpy as np

    scores = {}
    for train, test in splits:
        for name, fit in _fits(evidence.for_test(test)).items():
            scores.setdefault(name, []).append(_score(lambda fit=fit, train=train: fit(train), evidence, test))
        after_each()
    return {name: np.asarray(values) for name, values in scores.items()}


def _fits(evidence):
    """Functions from numbers of labelled rows to fitted classifiers, by name."""
    from skicl._command_line._baseline import tuned_logistic_regression

    fits = {
        _TART: evidence.fit,
        _LOGISTIC: lambda train: tuned_logistic_regression().fit(evidence.X[train], evidence.y[train]),
    }
    if evidence.names:
        fits[_LOGISTIC_NAMES] = lambda train: tuned_logistic_regression().fit(*evidence.with_names_as_rows(train))
    return fits


def _score(fit, evidence, test):
    """Accuracy, log-loss, ECE and wall seconds of fitting and predicting on one fold."""
    from sklearn.metrics import accuracy_score, log_loss

    from skicl.evaluation import expected_calibration_error

    begin = time.perf_counter()
    classifier = fit()
    probabilities = classifier.predict_proba(evidence.X[test])
    seconds = time.perf_counter() - begin
    classes, y = classifier.classes_, evidence.y[test]
    return (
        accuracy_score(y, classes[probabilities.argmax(axis=1)]),
        log_loss(y, probabilities, labels=classes),
        expected_calibration_error(y, probabilities, labels=classes),
        seconds,
    )


def show_scores(scores):
    """Table of the scores of each classifier, and of the first two's differences fold by fold."""
    lines = {**scores, "difference": (scores[_TART] - scores[_LOGISTIC])[:, :-1]}
    width = max(map(len, lines))
    shown = [" " * (width + 4) + "".join(f"{name:<20}" for name in _SCORES)]
    for name, values in lines.items():
        sign = "+" if name == "difference" else ""
        cells = (f"{m:{sign}.3f} +- {s:.3f}" for m, s in zip(values.mean(axis=0), values.std(axis=0, ddof=1)))
        shown.append(f"  {name:<{width}}  " + "".join(f"{cell:<20}" for cell in cells))
    shown.append("Accuracy: higher is better. Log-loss and ECE (expected calibration error): lower is better.")
    shown.append("Seconds: fit and predict, per fold, without the encoding of the texts.")
    return "\n".join(line.rstrip() for line in shown)


def explain(evidence, path):
    """What each classifier learnt from; the table at `path` holds the rows to classify, if there are any."""
    ours = ["labelled texts"]
    if evidence.names:
        ours.append("class names")
    if evidence.use_unlabelled:
        tables = f"each test fold and {path}" if len(evidence.new) else "each test fold"
        ours.append(f"texts of {tables} without labels")
    lines = {_TART: ours, _LOGISTIC: ["labelled texts"]}
    if evidence.names:
        lines[_LOGISTIC_NAMES] = ["labelled texts", "class names as texts of their classes"]
    width = max(map(len, lines))
    return "\n".join(["Learnt from:", *(f"  {name:<{width}}  {', '.join(parts)}" for name, parts in lines.items())])
