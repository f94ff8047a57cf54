"""Reading and writing of tables: row numbers, encodings, delimiters, errors, atomic writing."""

import csv
import errno
import gzip
import io
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from skicl._command_line import _tables
from skicl._command_line._tables import (
    TableError,
    check_encoding,
    check_output,
    delimiter_of,
    is_stream,
    read_table,
    show_rows,
    write_table,
)

TEXT = 'text,label\nhello,a\n"two\nlines, quoted ""so""",b\n'


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def refused(path, *parts, **options):
    """The table is refused, and the message holds all parts."""
    with pytest.raises(TableError) as caught:
        read_table(str(path), **options)
    for part in (os.path.basename(str(path)), *parts):
        assert part in str(caught.value)


def leftovers(folder):
    return [name for name in os.listdir(folder) if name.startswith(".skicl")]


# Reading


def test_read_table_as_the_csv_module_does(tmp_path):
    table = read_table(write(tmp_path / "t.csv", TEXT))
    assert table.header == ["text", "label"]
    assert table.rows == [["hello", "a"], ['two\nlines, quoted "so"', "b"]]
    assert table.numbers == [2, 3]  # a cell of two lines is in one row of a spreadsheet
    assert table.column("label", "--label-column") == ["a", "b"]


@pytest.mark.parametrize(
    ("encoding", "given"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-8-sig", "utf-8"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
    ],
)
def test_encodings_and_marks(tmp_path, encoding, given):
    path = write(tmp_path / "t.csv", "text,label\ncafé,ä\n".encode(encoding))
    table = read_table(path, encoding=given)
    assert table.header == ["text", "label"]
    assert table.rows == [["café", "ä"]]


def test_mark_in_the_text_of_a_codec_that_keeps_it(tmp_path):
    path = write(tmp_path / "t.csv", "\ufefftext,label\nx,y\n".encode("utf-16-le"))
    assert read_table(path, encoding="utf-16-le").header == ["text", "label"]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(("name", "character"), [("t.csv", ","), ("t.tsv", "\t"), ("T.TAB", "\t")])
def test_delimiter_by_name_and_compression_by_content(tmp_path, name, character, compress):
    content = f"text{character}label\nx y{character}z\n".encode()
    path = tmp_path / (name + ".gz" if compress else name)
    assert read_table(write(path, gzip.compress(content) if compress else content)).rows == [["x y", "z"]]


def test_a_gz_name_alone_does_not_make_it_compressed(tmp_path):
    assert read_table(write(tmp_path / "t.csv.gz", TEXT)).header == ["text", "label"]


def test_unknown_ending_asks_for_the_delimiter(tmp_path):
    path = write(tmp_path / "t.txt", "a;b\n1;2\n")
    refused(path, "--delimiter", ".txt")
    assert read_table(path, delimiter=";").rows == [["1", "2"]]
    assert delimiter_of("x/y.tsv.gz") == "\t"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path, line_end):
    table = read_table(write(tmp_path / "t.csv", line_end.join(["a,b", "1,2", "3,4", ""])))
    assert table.rows == [["1", "2"], ["3", "4"]]
    assert table.line_end == ("\r\n" if line_end == "\r\n" else "\n")


def test_blank_rows_count_as_in_a_spreadsheet(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "\n,\ntext,label\nx,a\n\n ,\n  \ny,b\n,\n\n"))
    assert table.header == ["text", "label"]  # row 3
    assert table.rows == [["x", "a"], ["", ""], ["", ""], ["", ""], ["y", "b"]]
    assert table.numbers == [4, 5, 6, 7, 8]


def test_long_cells_and_the_limit_of_the_csv_module_left_alone(tmp_path):
    before = csv.field_size_limit()
    table = read_table(write(tmp_path / "t.csv", "text,label\n" + "word " * 50_000 + ",a\n"))
    assert len(table.rows[0][0]) == 250_000
    assert csv.field_size_limit() == before


# Errors of reading


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "none.csv", "does not exist", os.getcwd())
    refused(tmp_path, "folder")


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", " , \n"])
def test_empty_file(tmp_path, content):
    refused(write(tmp_path / "t.csv", content), "is empty")


def test_wrong_encoding_names_byte_offset_line_and_option(tmp_path):
    good = b"text,label\nfirst,a\n"
    path = write(tmp_path / "t.csv", good + "un café,b\n".encode("latin-1"))
    refused(path, "0xe9", f"offset {len(good) + 6}", "line 3", "--encoding", "un café")
    path = write(tmp_path / "u.csv", b"\xef\xbb\xbf" + good + "un café,b\n".encode("latin-1"))
    refused(path, f"offset {3 + len(good) + 6}", "line 3", "utf-8")
    refused(path, "ascii", "offset 0", encoding="ascii")


def test_utf_16_gets_a_hint(tmp_path):
    refused(write(tmp_path / "t.csv", TEXT.encode("utf-16")), "--encoding utf-16")
    refused(write(tmp_path / "u.csv", TEXT.encode("utf-16-le")), "NUL", "line 1", "--encoding utf-16")


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0rest", b"PAR1rest", b"text,l\x00abel\n"])
def test_files_that_are_not_text(tmp_path, content):
    refused(write(tmp_path / "t.csv", content), "export it as CSV")
    if not content.startswith(b"text"):
        refused(write(tmp_path / "t.csv.gz", gzip.compress(content)), "export it as CSV")


@pytest.mark.parametrize("cut", [5, 15, 30])
def test_damaged_compression(tmp_path, cut):
    refused(write(tmp_path / "t.csv.gz", gzip.compress(TEXT.encode())[:cut]), "decompress")


def test_ragged_rows(tmp_path):
    rows = ["a,b"] + ["1,2", "1,2,3", "1"] * 3
    refused(write(tmp_path / "t.csv", "\n".join(rows)), "6 of 9 rows", "rows 3, 4, 6, 7, 9 and 1 more", "row 3 has 3")


@pytest.mark.parametrize(("character", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_wrong_delimiter_gets_a_hint(tmp_path, character, name):
    content = f"text{character}label\nyes, indeed{character}a\n"
    refused(write(tmp_path / "t.csv", content), f"--delimiter {name}")
    table = read_table(write(tmp_path / "u.csv", content.replace(", ", " ")))
    with pytest.raises(TableError, match=f"--delimiter {name}"):
        table.column("text", "--text-column")


def test_broken_quotes_name_the_row(tmp_path):
    refused(write(tmp_path / "t.csv", 'a,b\n"one\ntwo",2\n"open,2\n3,4\n'), "row 3", "never closed")
    refused(write(tmp_path / "u.csv", 'a,b\n"one" two,2\n'), "row 2", "after its closing quote")


def test_duplicated_names(tmp_path):
    refused(write(tmp_path / "t.csv", "a,b, a ,c,b\n1,2,3,4,5\n"), "'a', 'b'")
    assert read_table(write(tmp_path / "u.csv", ",a,\n1,2,3\n")).rows == [["1", "2", "3"]]  # unnamed columns


def test_missing_column_lists_the_columns_and_the_nearest(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "id,Message,intent\n1,2,3\n"))
    with pytest.raises(TableError, match=r"no column 'mesage' \(--text-column\). Did you mean 'Message'\?") as caught:
        table.column("mesage", "--text-column")
    assert "'id', 'Message', 'intent'." in str(caught.value)
    with pytest.raises(TableError) as caught:
        table.column("zzz", "--text-column")
    assert "Did you mean" not in str(caught.value)


def test_many_columns_are_not_all_listed(tmp_path):
    table = read_table(write(tmp_path / "t.csv", ",".join(f"c{i}" for i in range(100)) + "\n"))
    with pytest.raises(TableError, match=r"'c29' and 70 more\."):
        table.column("other", "--text-column")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "cp1252", "latin-1", "utf-16", "shift_jis"])
def test_known_encodings(encoding):
    check_encoding(encoding)


@pytest.mark.parametrize("encoding", ["utf-9", "", "base64", "rot13", "a\0b"])
def test_unknown_encodings(encoding):
    with pytest.raises(TableError, match=r"--encoding .* is not a known text encoding"):
        check_encoding(encoding)


def test_show_rows():
    assert show_rows([7]) == "row 7"
    assert show_rows([2, 3, 4, 5, 6]) == "rows 2, 3, 4, 5, 6"
    assert show_rows(list(range(10))) == "rows 0, 1, 2, 3, 4 and 5 more"


# Writing


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.csv.gz", "o.tsv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_is_written_is_read_back(tmp_path, name, encoding):
    header = ["text", "label, with comma", "ünï"]
    rows = [["a\tb", 'say "so"', ""], ["two\nlines", "x,y", "日本"], ["", "", "z"]]
    path = str(tmp_path / name)
    write_table(path, header, rows, encoding=encoding)
    table = read_table(path, encoding=encoding)
    assert (table.header, table.rows) == (header, rows)
    assert not leftovers(tmp_path)
    content = (tmp_path / name).read_bytes()
    write_table(path, header, rows, encoding=encoding)
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_permissions_are_those_of_a_new_or_of_the_old_file(tmp_path):
    (tmp_path / "plain").write_text("")
    path = tmp_path / "o.csv"
    write_table(str(path), ["a"], [["1"]])
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    path.chmod(0o640)
    write_table(str(path), ["a"], [["2"]])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_a_symbolic_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "o.csv"
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    check_output(str(link), [])
    write_table(str(link), ["a"], [["1"]])
    assert link.is_symlink()
    assert target.read_text() == "a\n1\n"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_half_written(tmp_path, monkeypatch, call, error):
    path = tmp_path / "o.csv"
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, call, fail)
    expected = TableError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_table(str(path), ["a"], [["1"]])
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["o.csv"]
    if expected is TableError:
        assert re.search(r"o\.csv: No space left on device\. Its old content is unchanged\.", str(caught.value))


def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource")  # a limit on the size of files stands for the full disk
    signal = pytest.importorskip("signal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        with pytest.raises(TableError, match="cannot write"):
            write_table(str(tmp_path / "o.csv"), ["a"], [["x" * 30_000]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []


# Checks before the work


def test_check_output_leaves_nothing_behind(tmp_path):
    check_output(str(tmp_path / "o.csv"), [str(tmp_path / "i.csv")])
    assert os.listdir(tmp_path) == []


def test_output_equal_to_an_input(tmp_path, monkeypatch):
    path = write(tmp_path / "i.csv", TEXT)
    monkeypatch.chdir(tmp_path)
    os.link(path, tmp_path / "hard.csv")
    for out in ("i.csv", "./i.csv", path, "hard.csv"):
        with pytest.raises(TableError, match="is the input"):
            check_output(out, ["other.csv", path])


def test_output_in_impossible_places(tmp_path, monkeypatch):
    with pytest.raises(TableError, match="is a folder"):
        check_output(str(tmp_path), [])
    with pytest.raises(TableError, match=r"the folder .*missing does not exist"):
        check_output(str(tmp_path / "missing" / "o.csv"), [])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(TableError, match="neither a file nor a pipe or device"):
            check_output(str(tmp_path / "socket"), [])

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(TableError, match=r"cannot write to the folder .*: Permission denied"):
        check_output(str(tmp_path / "o.csv"), [])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_write_protected_output(tmp_path):
    (tmp_path / "o.csv").write_text("old")
    (tmp_path / "o.csv").chmod(0o444)
    with pytest.raises(TableError, match="write-protected"):
        check_output(str(tmp_path / "o.csv"), [])
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(TableError, match="Permission denied"):
            check_output(str(tmp_path / "new.csv"), [])
    finally:
        tmp_path.chmod(0o755)


# Streams, other delimiters, other kinds of files


def test_a_stream_is_written_as_it_is(tmp_path, capsysbinary):
    write_table(os.devnull, ["a"], [["1"]], delimiter=",")
    assert is_stream(os.devnull)
    assert not is_stream(str(tmp_path / "new.csv"))
    for path in ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        check_output(path, [])
        write_table(path, ["a", "b"], [["1", "é"]], delimiter=";", encoding="utf-8-sig")
        assert capsysbinary.readouterr().out == "a;b\n1;é\n".encode("utf-8-sig")
    with pytest.raises(TableError, match="not open"):
        check_output("/dev/fd/999", [])


def test_a_replaced_standard_output_without_bytes(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr("sys.stdout", text)
    write_table("-", ["a"], [["é"]], delimiter=",")
    assert text.getvalue() == "a\né\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe(tmp_path):
    pipe, read = str(tmp_path / "pipe"), []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(open(pipe, "rb").read()))
    reader.start()
    check_output(pipe, [])  # without opening it, which would wait
    write_table(pipe, ["a"], [["1"]], delimiter=",")
    reader.join()
    assert read == [b"a\n1\n"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_a_stream_without_room():
    with pytest.raises(TableError, match=r"cannot write /dev/full: No space left on device\. A part may"):
        write_table("/dev/full", ["a"], [["1"]], delimiter=",")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "shutil.copymode"])
def test_a_killed_process_leaves_the_old_table(tmp_path, step):
    path = tmp_path / "t.csv"
    path.write_text("old")
    program = f"import os, shutil, signal; {step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    program += f"from skicl._command_line._tables import write_table; write_table({str(path)!r}, ['a'], [['1']] * 9999)"
    root = str(Path(_tables.__file__).parents[2])
    killed = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": root})
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


@pytest.mark.parametrize(("character", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
def test_quoted_cells_of_another_delimiter_name_it(tmp_path, character, name):
    rows = [["text", "label"], ["hi, you", "a"], ["two\nlines", "b"]]
    content = "".join(character.join(f'"{cell}"' for cell in cells) + "\n" for cells in rows)
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(TableError, match=f"--delimiter {name}") as caught:
        read_table(path)
    assert "--no-quotes" not in str(caught.value)
    assert read_table(path, delimiter=character).rows == rows[1:]


@pytest.mark.parametrize(
    ("ending", "reader"),
    [
        (".xlsx", "read_excel"),
        (".xls", "read_excel"),
        (".ods", "read_excel"),
        (".json", "read_json"),
        (".jsonl", "read_json"),
        (".parquet", "read_parquet"),
        (".json.gz", "read_json"),
    ],
)
def test_endings_of_other_kinds_are_not_to_be_renamed(ending, reader):
    with pytest.raises(TableError, match=rf"export it as CSV .*pandas\.{reader}") as caught:
        delimiter_of("t" + ending)
    assert "Rename" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PAR1..", "Parquet"),
        (b"ARROW1..", "Arrow"),
        (b"%PDF-1.7", "PDF"),
        (b"SQLite format 3\0", "SQLite"),
        (b"BZh91", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd..", "zstd"),
    ],
)
def test_contents_of_other_kinds_are_told_whatever_the_name(tmp_path, content, kind):
    refused(write(tmp_path / "t.csv", content), kind, "not a CSV file")


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    assert read_table(write(tmp_path / "t.csv", "text,label\n")).rows == []
