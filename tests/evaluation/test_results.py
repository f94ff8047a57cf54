"""The results file is complete after every record, whatever happens to the process."""

import pytest

from skicl.evaluation._results import ResultsFile

COLUMNS = ("dataset", "estimator", "k", "accuracy", "fit_seconds")


def record(k, accuracy=0.1 + 0.2, dataset='a, "b"\nc'):
    return {"dataset": dataset, "estimator": "lr", "k": k, "accuracy": accuracy, "fit_seconds": 1e-17}


def test_what_is_read_is_what_was_written(tmp_path):
    file = ResultsFile(tmp_path / "r.csv", COLUMNS)
    for k in (8, 16):
        file.append(record(k))
    assert ResultsFile(tmp_path / "r.csv", COLUMNS).records == [record(8), record(16)]


def test_every_record_is_on_disk_at_once_and_nothing_else_is_left(tmp_path):
    file = ResultsFile(tmp_path / "r.csv", COLUMNS)
    for k in (8, 16, 32):
        file.append(record(k))
        assert [read["k"] for read in ResultsFile(tmp_path / "r.csv", COLUMNS).records][-1] == k
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = ResultsFile(tmp_path / "r.csv", COLUMNS)
    file.append(record(8))
    before = (tmp_path / "r.csv").read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        file.append(record(16))
    assert (tmp_path / "r.csv").read_bytes() == before


def test_without_a_path_records_stay_in_memory():
    file = ResultsFile(None, COLUMNS)
    file.append(record(8))
    assert file.records == [record(8)]


def test_other_columns_are_refused(tmp_path):
    ResultsFile(tmp_path / "r.csv", COLUMNS).append(record(8))
    with pytest.raises(ValueError, match=r"holds other columns .*choose another file"):
        ResultsFile(tmp_path / "r.csv", (*COLUMNS, "brier"))
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match="holds other columns \\(nothing\\)"):
        ResultsFile(tmp_path / "empty.csv", COLUMNS)


@pytest.mark.parametrize("line", ["d,lr,8\n", "d,lr,eight,0.5,1.0\n"])
def test_a_broken_line_is_named(tmp_path, line):
    (tmp_path / "r.csv").write_text(",".join(COLUMNS) + "\n" + line, encoding="utf-8")
    with pytest.raises(ValueError, match=r"r\.csv.*line 2 cannot be read"):
        ResultsFile(tmp_path / "r.csv", COLUMNS)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`results_file`: the folder .*missing.* does not exist"):
        ResultsFile(tmp_path / "missing" / "r.csv", COLUMNS)
