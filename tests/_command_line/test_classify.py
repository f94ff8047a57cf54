"""The command ``classify``: what it writes and prints, and what it refuses before any work."""

import csv
import errno
import gzip
import io
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import skicl
from skicl._command_line._parser import main
from skicl._command_line._tables import read_table

# Short, because the tiny model of the tests reads no more than 30 letters.
LABELLED = {
    "refund": [
        "I want my money back",
        "please refund my payment",
        "you charged me twice",
        "when does the refund come",
        "still no refund, shoes sent",
    ],
    "delivery": [
        "where is my parcel",
        "tracking has not moved, why",
        "deliver on Saturday instead",
        "box left in the rain, see",
        "has it been shipped yet",
    ],
    "account, login": [
        "I cannot log in",
        "how do I reset my password",
        "delete my profile and data",
        "my account is locked",
        "no code came, “try later”",
    ],
}
NEW = ["my money is not back yet", "the van drove past", "password forgotten, help", "two parcels,\none café"]
CLASSES = ["account, login", "delivery", "refund"]
ADDED = ["predicted_intent", "confidence", *(f"probability_{name}" for name in CLASSES)]


def save(path, rows, encoding="utf-8", delimiter=","):
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def labelled_rows():
    return [["message", "intent"], *([text, name] for name, texts in LABELLED.items() for text in texts)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with labelled.csv and new.csv, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    save("labelled.csv", labelled_rows())
    save("new.csv", [["id", "message"], *([str(i), text] for i, text in enumerate(NEW))])
    return tmp_path


@pytest.fixture
def run(folder, capsys, tiny_folder):
    """Run `classify` with the usual tables; options given override them. Returns code, stdout, stderr."""

    def call(*options, write=True, evaluate=False, **changed):
        tables = {"train": "labelled.csv", "text_column": "message", "label_column": "intent"}
        tables |= {"predict": "new.csv", "out": "out.csv"} if write else {}
        arguments = ["classify", "--encoder", tiny_folder, "--device", "cpu", *options]
        for name, value in (tables | changed).items():
            arguments += [f"--{name.replace('_', '-')}", value]
        code = main(arguments + (["--evaluate"] if evaluate else []))
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(run, monkeypatch, folder):
    """Run `classify` with bad input: one line on stderr with all parts, no work, no file."""

    def no_work(*_, **__):
        pytest.fail("the encoder was made before the input was checked")

    monkeypatch.setattr(skicl, "SentenceEncoder", no_work, raising=False)

    def call(*parts, options=(), **changed):
        before = sorted(os.listdir(folder))
        code, _, err = run(*options, **changed)
        assert code == 2
        message = err.splitlines()[-1]
        assert message.startswith("python -m skicl classify: error: ")
        for part in parts:
            assert part in message
        assert "Traceback" not in err
        assert sorted(os.listdir(folder)) == before
        return message

    return call


# Predictions


def test_predictions_are_those_of_the_classifier(run, tiny_folder):
    code, out, err = run()
    assert (code, err) == (0, "")
    table = read_table("out.csv")
    assert table.header == ["id", "message", *ADDED]
    assert [row[:2] for row in table.rows] == [[str(i), text] for i, text in enumerate(NEW)]

    encoder = skicl.SentenceEncoder(tiny_folder, layers="auto", device="cpu")
    texts, labels = zip(*labelled_rows()[1:])
    classifier = skicl.TartClassifier(encoder, device="cpu").fit(list(texts), np.array(labels))
    expected = classifier.predict_proba(NEW)
    assert list(classifier.classes_) == CLASSES
    np.testing.assert_allclose([[float(cell) for cell in row[4:]] for row in table.rows], expected, atol=2e-5)
    assert [row[2] for row in table.rows] == list(classifier.predict(NEW))
    for row in table.rows:
        assert row[3] == row[ADDED.index(f"probability_{row[2]}") + 2]
        assert float(row[3]) == max(float(cell) for cell in row[4:])

    assert "labelled.csv: 15 labelled texts, 3 classes" in out
    assert re.search(r"^  account, login +5$", out, re.MULTILINE)
    assert "new.csv: 4 rows to classify" in out
    assert "encoded 19 texts and 3 class names with" in out
    assert "Learnt from 15 labelled texts and the names of 3 classes." in out
    assert "out.csv: 4 rows written, with 5 new columns" in out


def test_an_existing_output_is_replaced(run):
    Path("out.csv").write_text("old")
    assert run()[0] == 0
    assert read_table("out.csv").header[2:] == ADDED


def test_the_same_call_writes_the_same_bytes(run):
    run()
    first = Path("out.csv").read_bytes()
    run()
    assert Path("out.csv").read_bytes() == first


def test_the_batch_size_does_not_matter(run):
    run(out="many.csv")
    run("--batch-size", "2", out="few.csv")
    tables = [read_table(name).rows for name in ("many.csv", "few.csv")]
    many, few = ([[float(cell) for cell in row[4:]] for row in rows] for rows in tables)
    np.testing.assert_allclose(many, few, atol=1e-5)


def test_rows_without_text_are_kept_and_stay_empty(run):
    save("new.csv", [["id", "message"], ["1", "where is it"], ["2", ""], [], ["4", " "], ["5", "my money"]])
    code, _, err = run()
    assert code == 0
    assert "without a text, whose predictions stay empty: 3 (rows 3, 4, 5)" in err
    rows = read_table("out.csv").rows
    assert [row[:2] for row in rows] == [["1", "where is it"], ["2", ""], ["", ""], ["4", " "], ["5", "my money"]]
    assert [bool(row[2]) for row in rows] == [True, False, False, False, True]
    assert all(row[2:] == [""] * 5 for row in rows[1:4])


@pytest.mark.parametrize(("encoding", "given"), [("utf-8-sig", None), ("cp1252", "cp1252"), ("utf-16", "utf-16")])
def test_the_output_has_the_encoding_of_the_input(run, encoding, given):
    save("labelled.csv", labelled_rows(), encoding)
    save("new.csv", [["message"], ["un café"]], encoding)
    assert run(*(["--encoding", given] if given else []))[0] == 0
    content = Path("out.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf") == (encoding == "utf-8-sig")
    assert content.decode(encoding).splitlines()[1].startswith("un café,")


def test_delimiters_and_compression_by_name(run):
    save("labelled.tsv", labelled_rows(), delimiter="\t")
    Path("labelled.tsv.gz").write_bytes(gzip.compress(Path("labelled.tsv").read_bytes()))
    run()
    reference = read_table("out.csv").rows
    assert run(train="labelled.tsv.gz", out="out.tsv.gz")[0] == 0
    assert read_table("out.tsv.gz").rows == reference


@pytest.mark.parametrize(("name", "character"), [("semicolon", ";"), (";", ";"), ("tab", "\t"), (r"\t", "\t")])
def test_one_delimiter_for_all_tables(run, name, character):
    save("labelled.csv", labelled_rows(), delimiter=character)
    save("new.csv", [["message"], *([text] for text in NEW)], delimiter=character)
    assert run("--delimiter", name, out="out.txt")[0] == 0
    assert read_table("out.txt", delimiter=character).header == ["message", *ADDED]


def test_no_quotes(run):
    rows = ["\t".join(row) for row in labelled_rows()]
    Path("labelled.tsv").write_text("\n".join([*rows, '"where?" he asked\tdelivery', 'my "money\trefund\n']))
    Path("new.tsv").write_text('id\tmessage\n1\t"so" it is\n2\t"\n')
    tables = {"train": "labelled.tsv", "predict": "new.tsv", "out": "out.tsv"}
    code, out, _ = run("--no-quotes", **tables)
    assert code == 0
    assert "labelled.tsv: 17 labelled texts" in out
    table = read_table("out.tsv", quotes=False)
    assert table.header == ["id", "message", *ADDED]
    assert [row[:2] for row in table.rows] == [["1", '"so" it is'], ["2", '"']]
    code, _, err = run(**tables)
    assert code == 2
    assert "row 17" in err
    assert "--no-quotes" in err


def test_skip_empty_leaves_rows_out(run):
    run()
    reference = Path("out.csv").read_bytes()
    rows = labelled_rows()
    save("labelled.csv", [*rows[:4], ["no label", " "], ["", ""], *rows[4:], ["", "refund"], []])
    code, out, err = run("--skip-empty")
    assert code == 0
    assert "labelled.csv: 15 labelled texts" in out
    assert "rows of labelled.csv left out, being empty or incomplete: 3" in err
    assert Path("out.csv").read_bytes() == reference


def test_blank_rows_need_no_option(run):
    rows = labelled_rows()
    save("labelled.csv", [*rows[:4], [], ["", ""], *rows[4:], ["", ""]])
    assert run()[0] == 0


def test_labels_are_stripped_and_lookalikes_pointed_out(run):
    save("labelled.csv", [*labelled_rows(), ["give the money back", " refund "], ["where is it", "Delivery"]])
    code, out, err = run()
    assert code == 0
    assert re.search(r"^  refund +6$", out, re.MULTILINE)
    assert "'delivery' and 'Delivery'" in err


def test_a_wrong_label_column_is_pointed_out(run):
    save("labelled.csv", [["message", "intent"], *([text, text + "\n" + 100 * "so "] for text in NEW)])
    code, out, err = run()
    assert code == 0
    assert "4 classes for 4 texts: is 'intent' the column of the labels?" in err
    assert max(len(line) for line in out.splitlines() if "so so" in line) < 80


def test_many_classes_are_summed_up(run):
    rows = [[f"word{i} number{j}", f"class {i:02}"] for i in range(30) for j in range(2 + (i == 0))]
    save("labelled.csv", [["message", "intent"], *rows])
    code, out, _ = run()
    assert code == 0
    assert "  class 19       2\n  and 10 more classes, 20 rows in all\n" in out
    assert len(read_table("out.csv").header) == 2 + 2 + 30


def test_quiet_prints_nothing_but_scores(run):
    save("new.csv", [["message"], ["where is it"], [""], ["x"]])
    assert run("--quiet") == (0, "", "")
    code, out, err = run("--quiet", evaluate=True)
    assert (code, err) == (0, "")
    assert out.startswith("\nscores on 15 rows of labelled.csv, 5 stratified folds (mean +- sd)\n")


# Evaluation


def scores_of(out):
    """Means by classifier and name from the printed table."""
    lines = out[out.index("scores on") :].splitlines()
    names = lines[1].split()
    found = {}
    for line in lines[2 : lines.index(next(line for line in lines if line.startswith("Accuracy: ")))]:
        name = re.match(r"  (.*?)  ", line).group(1)
        found[name] = dict(zip(names, (float(mean) for mean in re.findall(r"(\S+) \+-", line))))
    return found


def test_evaluation_scores_are_those_of_scikit_learn(run, tiny_folder):
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    code, out, err = run(write=False, evaluate=True)
    assert (code, err) == (0, "")
    assert not os.path.exists("out.csv")
    scores = scores_of(out)
    assert list(scores) == ["TartClassifier", "tuned LogisticRegression", "the same + class names", "difference"]
    assert re.search(r"^  TartClassifier +labelled texts, class names$", out, re.MULTILINE)
    assert list(scores["TartClassifier"]) == ["accuracy", "log-loss", "ECE", "seconds"]

    texts, labels = (np.array(column) for column in zip(*labelled_rows()[1:]))
    encoder = skicl.SentenceEncoder(tiny_folder, layers="auto", device="cpu")
    accuracy, loss = [], []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(texts, labels):
        classifier = skicl.TartClassifier(encoder, device="cpu").fit(texts[train], labels[train])
        accuracy.append(classifier.score(texts[test], labels[test]))
        loss.append(log_loss(labels[test], classifier.predict_proba(texts[test]), labels=CLASSES))
    assert scores["TartClassifier"]["accuracy"] == pytest.approx(np.mean(accuracy), abs=6e-4)
    assert scores["TartClassifier"]["log-loss"] == pytest.approx(np.mean(loss), abs=6e-4)
    for name in ("accuracy", "log-loss", "ECE"):
        difference = scores["TartClassifier"][name] - scores["tuned LogisticRegression"][name]
        assert scores["difference"][name] == pytest.approx(difference, abs=2e-3)


def test_texts_are_encoded_once(run, monkeypatch):
    seen = []
    real = skicl.SentenceEncoder

    class Counting(real):
        def transform(self, X):
            seen.extend(X)
            return super().transform(X)

    monkeypatch.setattr(skicl, "SentenceEncoder", Counting, raising=False)
    code, out, _ = run(evaluate=True)
    assert code == 0
    assert os.path.exists("out.csv")
    assert "scores on 15 rows" in out
    assert seen == [text for text, _ in labelled_rows()[1:]] + NEW + CLASSES


def probabilities(table="out.csv"):
    return np.array([[float(cell) for cell in row[-3:]] for row in read_table(table).rows])


def test_names_of_classes_can_be_left_out(run, tiny_folder):
    code, out, _ = run("--class-names", "none", evaluate=True)
    assert code == 0
    assert "names" not in out
    assert re.search(r"^  TartClassifier +labelled texts$", out, re.MULTILINE)
    assert list(scores_of(out)) == ["TartClassifier", "tuned LogisticRegression", "difference"]
    assert "Learnt from 15 labelled texts." in out
    texts, labels = zip(*labelled_rows()[1:])
    encoder = skicl.SentenceEncoder(tiny_folder, layers="auto", device="cpu")
    classifier = skicl.TartClassifier(encoder, class_texts=None, device="cpu").fit(list(texts), labels)
    np.testing.assert_allclose(probabilities(), classifier.predict_proba(NEW), atol=2e-6)


def test_codes_are_no_names(run):
    header, *rows = labelled_rows()
    save("labelled.csv", [header, *([text, f"class {len(name)}"] for text, name in rows)])
    code, out, _ = run()
    assert code == 0
    assert "the labels in 'intent' are codes, not names: they say nothing of the texts" in out
    assert "Learnt from 15 labelled texts." in out
    coded = probabilities()
    assert "codes" not in run("--class-names", "none")[1]
    np.testing.assert_array_equal(probabilities(), coded)


def test_texts_to_classify_are_learnt_from_when_asked_for(run, tiny_folder):
    code, out, err = run("--use-unlabelled")
    assert (code, err) == (0, "")
    assert "Learnt from 15 labelled texts, the names of 3 classes and the 4 texts of new.csv without labels." in out
    texts, labels = zip(*labelled_rows()[1:])
    encoder = skicl.SentenceEncoder(tiny_folder, layers="auto", device="cpu")
    classifier = skicl.TartClassifier(encoder, device="cpu").fit([*texts, *NEW], [*labels, *[None] * 4])
    together = probabilities()
    np.testing.assert_allclose(together, classifier.predict_proba(NEW), atol=2e-6)

    # What else is in the table matters now, and does not without the option; empty texts do not count.
    save("new.csv", [["message"], [NEW[0]], [""]])
    assert run("--use-unlabelled")[0] == 0
    alone = [float(cell) for cell in read_table("out.csv").rows[0][-3:]]
    assert np.abs(alone - together[0]).max() > 1e-4
    assert run()[0] == 0
    first = [float(cell) for cell in read_table("out.csv").rows[0][-3:]]
    save("new.csv", [["message"], *([text] for text in NEW)])
    assert run()[0] == 0
    np.testing.assert_allclose(first, probabilities()[0], atol=2e-6)


@pytest.mark.parametrize("write", [True, False])
def test_the_evaluation_learns_from_texts_without_labels_too(run, write):
    code, out, _ = run("--use-unlabelled", write=write, evaluate=True)
    assert code == 0
    table = " and new.csv" if write else ""
    assert f"  labelled texts, class names, texts of each test fold{table} without labels\n" in out
    plain = scores_of(run(write=write, evaluate=True)[1])
    found = scores_of(out)
    assert found["TartClassifier"]["log-loss"] != plain["TartClassifier"]["log-loss"]
    for name in ("tuned LogisticRegression", "the same + class names"):
        assert found[name]["log-loss"] == plain[name]["log-loss"]


def test_truncated_texts_are_noted(run):
    save("new.csv", [["message"], ["where is it " * 2000], ["my money " * 2000], ["short"]])
    code, _, err = run()
    assert code == 0
    assert err.startswith("note: 2 of 18 texts are longer than")
    assert "Warning" not in err
    assert err.count("\n") == 1


def test_folds_and_seed(run):
    code, out, _ = run("--folds", "3", "--seed", "7", write=False, evaluate=True)
    assert code == 0
    assert "3 stratified folds" in out
    other = run("--folds", "3", "--seed", "8", write=False, evaluate=True)[1]
    again = run("--folds", "3", "--seed", "7", write=False, evaluate=True)[1]
    without_seconds = [{k: v for k, v in row.items() if k != "seconds"} for row in scores_of(out).values()]
    assert without_seconds == [{k: v for k, v in row.items() if k != "seconds"} for row in scores_of(again).values()]
    assert without_seconds != [{k: v for k, v in row.items() if k != "seconds"} for row in scores_of(other).values()]


def test_folds_are_reduced_to_the_smallest_class(run):
    save("labelled.csv", labelled_rows()[:-3])
    code, out, err = run("--folds", "4", write=False, evaluate=True)
    assert code == 0
    assert "note: 2 folds instead of 4: the smallest class tested has 2 rows" in err
    assert "scores on 12 rows of labelled.csv, 2 stratified folds" in out


def test_classes_with_a_single_row_are_explained(run):
    save("labelled.csv", [*labelled_rows(), ["are you hiring", "jobs"]])
    code, out, err = run(write=False, evaluate=True)
    assert code == 0
    assert "classes with a single row, which is always learnt from and never tested: 1 ('jobs')" in err
    assert "scores on 15 rows of labelled.csv, 5 stratified folds" in out
    assert "note" not in run()[2], "they matter to the evaluation only"


def test_repeated_texts_are_pointed_out(run):
    save("labelled.csv", [*labelled_rows(), *labelled_rows()[1:3]])
    assert "rows that repeat the text of another row: 2" in run(write=False, evaluate=True)[2]


# Refusals, before any work


def test_missing_files(refused):
    refused("none.csv does not exist", train="none.csv")
    refused("none.csv does not exist", predict="none.csv")


def test_missing_columns(refused):
    refused("labelled.csv has no column 'mesage' (--text-column)", "'message'?", text_column="mesage")
    refused("labelled.csv has no column 'label' (--label-column)", "'message', 'intent'", label_column="label")
    save("new.csv", [["Message", "id"], ["x", "1"]])
    refused("new.csv has no column 'message'", "Did you mean 'Message'?")


def test_empty_cells(refused):
    rows = labelled_rows()
    save("labelled.csv", [*rows[:3], ["", "refund"], ["no label", ""], ["too", " "], *rows[3:], ["\t", "delivery"]])
    refused("labelled.csv has empty cells", "2 in 'message' (rows 4, 20)", "2 in 'intent' (rows 5, 6)", "--skip-empty")
    save("new.csv", [["message"], [""], [" "]])
    refused("new.csv holds no text", options=["--skip-empty"])


def test_ragged_rows_duplicated_names_and_workbooks(refused):
    Path("new.csv").write_text("id,message\n1,hello, you\n")
    refused("new.csv", "row 2 has 3", "in double quotes")
    Path("new.csv").write_text("message,message\n1,2\n")
    refused("new.csv", "more than one column is named 'message'")
    Path("new.csv").write_bytes(b"PK\x03\x04 and so on")
    refused("new.csv", "spreadsheet", "export it as CSV")
    os.rename("new.csv", "new.xlsx")
    refused("new.xlsx", "spreadsheet", "export it as CSV", predict="new.xlsx")


def test_encodings(refused):
    refused("--encoding 'utf-9'", "not a known text encoding", options=["--encoding", "utf-9"])
    Path("new.csv").write_bytes("message\ncafé\n".encode("latin-1"))
    refused("new.csv", "byte 0xe9 at offset 11, line 2", "--encoding cp1252")


def test_outputs(refused):
    refused("--out new.csv is the input new.csv", out="new.csv")
    refused("--out ./labelled.csv is the input labelled.csv", out="./labelled.csv")
    refused("the folder", "does not exist", out="missing/out.csv")
    refused("is a folder", out=".")
    refused("--delimiter", ".xlsx", out="out.xlsx")
    refused("with --no-quotes", "--delimiter", options=["--no-quotes"], out="out.tsv")


@pytest.mark.parametrize("name", ADDED)
def test_column_clash(refused, name):
    save("new.csv", [["message", name], ["x", "y"]])
    refused(f"new.csv already has the column {name!r}")


def test_too_few_classes(refused):
    save("labelled.csv", [["message", "intent"], ["x", "a"], ["y", "a"]])
    refused("at least two classes", "the only one is 'a'")
    save("labelled.csv", [["message", "intent"]])
    refused("at least two classes", "no labelled row")


def test_classes_too_small_to_evaluate(refused):
    save("labelled.csv", [["message", "intent"], ["x", "a"], ["y", "b"], ["z", "a"]])
    refused("--evaluate needs two classes or more with at least two rows", "labelled.csv has 1", evaluate=True)


def test_options_that_do_not_go_together(refused):
    refused("nothing to do", "--evaluate", write=False)
    refused("--out needs --predict", write=False, evaluate=True, out="out.csv")
    refused("both 'message'", label_column="message")


def test_device_and_encoder(run, folder):
    code, _, err = run("--device", "abacus")
    assert code == 2
    assert "--device abacus" in err
    assert "Traceback" not in err
    code, _, err = run("--encoder", str(folder / "no-model"))
    assert code == 2
    assert "no-model" in err
    assert "Traceback" not in err
    assert not os.path.exists("out.csv")


# Interrupts, full disks, terminals


def test_nothing_is_written_when_interrupted(run, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    for name in ("fsync", "replace"):
        with monkeypatch.context() as context:
            context.setattr(os, name, interrupt)
            code, _, err = run()
        assert code == 130
        assert "interrupted" in err
        assert sorted(os.listdir(folder)) == ["labelled.csv", "new.csv"]


def test_full_disk(run, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run()
    assert code == 2
    assert "cannot write out.csv: No space left on device." in err
    assert sorted(os.listdir(folder)) == ["labelled.csv", "new.csv"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("options", "shown"), [([], True), (["--no-progress"], False), (["--quiet"], False)])
def test_progress_is_for_terminals(run, monkeypatch, options, shown):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert run(*options, evaluate=True)[0] == 0
    assert ("encoding" in sys.stderr.getvalue()) == shown
    assert ("evaluating" in sys.stderr.getvalue()) == shown


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_the_standard_output_holds_the_table_alone(run, out):
    assert run()[0] == 0
    with open("out.csv", encoding="utf-8", newline="") as file:
        expected = file.read()
    before = sorted(os.listdir())
    code, printed, err = run(out=out, evaluate=True)
    assert (code, printed) == (0, expected)
    for part in (f"{out}: 4 rows written", "scores on 15 rows", "15 labelled texts"):
        assert part in err
    assert sorted(os.listdir()) == before


def test_a_stream_has_the_delimiter_of_the_table_to_classify(run):
    save("new.tsv", [["message"], ["my money"]], delimiter="\t")
    assert run(predict="new.tsv", out="-")[1].splitlines()[0].split("\t") == ["message", *ADDED]
    assert run("--delimiter", "comma", "--no-quotes", predict="new.csv", out=os.devnull)[0] == 2
    save("new.csv", [["message"], ["my money"]], delimiter=";")
    save("labelled.csv", labelled_rows(), delimiter=";")
    assert run("--delimiter", "semicolon", out="-")[1].startswith("message;predicted_intent;")


def test_a_table_of_semicolons_names_the_option(refused):
    with open("labelled.csv", "w", newline="") as file:
        csv.writer(file, delimiter=";", quoting=csv.QUOTE_ALL).writerows(labelled_rows())
    assert "--no-quotes" not in refused("labelled.csv", "pass --delimiter semicolon")


def test_spreadsheets_are_to_be_saved_as_csv(refused):
    assert "Rename" not in refused("spreadsheet", "name a .csv file", out="out.xlsx")
