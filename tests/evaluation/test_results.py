"""The results file is complete after every record, whatever happens to the process."""

import errno

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


@pytest.mark.parametrize("failing", ["os.fsync", "os.replace"])
def test_a_full_disk_costs_nothing_that_was_there(tmp_path, monkeypatch, failing):
    """The part that fitted is removed, and the record that could not be written can be appended again later."""
    file = ResultsFile(tmp_path / "r.csv", COLUMNS)
    file.append(record(8))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failing, full)
    with pytest.raises(OSError, match="No space left"):
        file.append(record(16))
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]
    assert file.records == [record(8)]
    monkeypatch.undo()
    file.append(record(16))
    assert ResultsFile(tmp_path / "r.csv", COLUMNS).records == [record(8), record(16)]


def test_a_folder_that_takes_no_file_is_found_out_before_any_work(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    ResultsFile(tmp_path / "r.csv", COLUMNS).append(record(8))
    monkeypatch.setattr("pathlib.Path.open", refused)
    with pytest.raises(PermissionError) as caught:
        ResultsFile(tmp_path / "other.csv", COLUMNS)
    assert "`results_file`: nothing can be written to the folder" in caught.value.__notes__[0]


def test_the_first_look_changes_nothing_and_clears_what_a_kill_left(tmp_path):
    (tmp_path / ".r.csv.partial").write_text("half a rec", encoding="utf-8")
    ResultsFile(tmp_path / "r.csv", COLUMNS)
    assert not list(tmp_path.iterdir())


def test_a_link_is_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "r.csv").symlink_to(tmp_path / "far" / "r.csv")
    for k in (8, 16):
        ResultsFile(tmp_path / "r.csv", COLUMNS).append(record(k))
    assert (tmp_path / "r.csv").is_symlink()
    assert ResultsFile(tmp_path / "far" / "r.csv", COLUMNS).records == [record(8), record(16)]


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
    with pytest.raises(IsADirectoryError, match="`results_file` must be a file"):
        ResultsFile(tmp_path, COLUMNS)


def test_a_file_of_an_earlier_version_is_continued_and_gets_its_checksums(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(",".join(COLUMNS) + "\nd,lr,8,0.5,1.0\n", encoding="utf-8")
    file = ResultsFile(path, COLUMNS)
    assert file.records == [record(8, 0.5, "d") | {"fit_seconds": 1.0}]
    file.append(record(16))
    assert ResultsFile(path, COLUMNS).records == file.records
    path.write_text(path.read_text(encoding="utf-8").replace("0.5", "0.6"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 cannot be read \(it does not have its checksum"):
        ResultsFile(path, COLUMNS)


def test_a_byte_that_changes_anywhere_is_noticed(tmp_path):
    """Or what was read is equal: a quote more or less around a field says the same."""
    path = tmp_path / "r.csv"
    file = ResultsFile(path, COLUMNS)
    for k in (8, 16):
        file.append(record(k))
    sound = path.read_bytes()
    for i in range(len(sound)):
        for flipped in (1, 4, 128):
            path.write_bytes(sound[:i] + bytes([sound[i] ^ flipped]) + sound[i + 1 :])
            try:
                found = ResultsFile(path, COLUMNS).records
            except ValueError as error:
                found = str(error)
            assert found == file.records or f"`results_file` '{path}'" in found, (i, flipped)
    path.write_bytes(sound[:-20])
    with pytest.raises(ValueError, match="line 3 cannot be read"):
        ResultsFile(path, COLUMNS)
