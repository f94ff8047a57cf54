"""Tables of the command line: delimited text files, read with their row numbers and written atomically.

Every error is a :class:`TableError` whose message names the file, the rows as a spreadsheet numbers
them (the header is row 1 unless blank rows precede it) and what to do.
"""

import csv
import gzip
import io
import os
import re
import shutil
import stat
import sys
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, lookup
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_GZIP = b"\x1f\x8b"
_NOT_TEXT = {
    b"PK\x03\x04": "a spreadsheet or another zip archive (.xlsx, .ods)",
    b"\xd0\xcf\x11\xe0": "an Excel workbook of the old kind (.xls)",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF file",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}
_EXPORT = "Open it where it was made and save or export it as CSV (UTF-8)."
# Endings of files that are no delimited text: what they are, and what reads them in Python.
_SPREADSHEET, _JSON = ("a spreadsheet", "pandas.read_excel"), ("JSON", "pandas.read_json")
_OTHER_ENDINGS = dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), _SPREADSHEET)
_OTHER_ENDINGS |= dict.fromkeys((".json", ".jsonl", ".ndjson"), _JSON)
_OTHER_ENDINGS |= {".parquet": ("a Parquet file", "pandas.read_parquet")}
_OTHER_ENDINGS |= dict.fromkeys((".feather", ".arrow"), ("an Arrow file", "pandas.read_feather"))
_STANDARD_OUTPUT = "-"
_OPEN_FILE = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_SHOWN_ROWS = 5
_SHOWN_COLUMNS = 30


class TableError(Exception):
    """A table that cannot be read, used or written; the message is meant for the user."""


@dataclass(frozen=True)
class Table:
    """A delimited text file."""

    path: str  # as the user named it
    header: list  # of str: names of the columns, without surrounding white space
    rows: list  # of list of str: cells, as many as the header has
    numbers: list  # of int: row numbers as a spreadsheet shows them
    encoding: str  # of tables that are derived from this one
    line_end: str
    delimiter: str

    def column(self, name, option):
        """Cells of the column `name`, which the command-line option `option` asked for."""
        if name in self.header:
            position = self.header.index(name)
            return [cells[position] for cells in self.rows]
        lower = {other.lower(): other for other in reversed(self.header) if other}
        nearest = get_close_matches(name.strip().lower(), lower, n=1)
        meant = f" Did you mean {lower[nearest[0]]!r}?" if nearest else ""
        shown = ", ".join(repr(other) for other in self.header[:_SHOWN_COLUMNS])
        more = len(self.header) - _SHOWN_COLUMNS
        raise TableError(
            f"{self.path} has no column {name!r} ({option}).{meant} Its columns are: {shown}"
            + (f" and {more} more." if more > 0 else ".")
            + _other_delimiter(self.header, self.delimiter)
        )


def read_table(path, *, delimiter=None, encoding=None, quotes=True):
    """Read a delimited text file whose first row names the columns.

    Blank rows at the end are left out; other blank rows are kept as rows of empty cells. A file compressed by gzip is
    recognised by its content. Without a delimiter the name of the file tells it; without an encoding it is UTF-8, with
    or without a byte-order mark; without quotes, double quotes are characters as any other.
    """
    raw = _read_bytes(path)
    delimiter = delimiter_of(path) if delimiter is None else delimiter
    text = _decode(path, raw, encoding)
    number, header, rows = _split_header(path, _parse(path, text, delimiter, quotes))
    numbers = list(range(number + 1, number + 1 + len(rows)))
    _check_names(path, header)
    _check_widths(path, header, rows, numbers, delimiter)
    if encoding is None:
        encoding = "utf-8-sig" if raw.startswith(BOM_UTF8) else "utf-8"
    line_end = "\r\n" if "\r\n" in text[: text.find("\n") + 1] else "\n"
    return Table(str(path), header, rows, numbers, encoding, line_end, delimiter)


def delimiter_of(path):
    """Delimiter by the name of a file: a comma for .csv, a tab for .tsv and .tab, also before .gz."""
    name = Path(path).name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in _OTHER_ENDINGS:
        kind, reader = _OTHER_ENDINGS[suffix]
        raise TableError(
            f"{path}: the ending {suffix} is that of {kind}, and tables are CSV here. To read it, save or export it as "
            f"CSV (UTF-8), or convert it in Python: {reader}(...).to_csv(...). To write, name a .csv file, which "
            "spreadsheet programs open. Delimited text under such a name needs --delimiter."
        )
    if suffix not in _DELIMITERS:
        raise TableError(
            f"{path}: the ending {suffix or '(none)'} does not tell the delimiter, as .csv, .tsv, .csv.gz "
            "and .tsv.gz do. Rename the file, or pass --delimiter, for example --delimiter comma."
        )
    return _DELIMITERS[suffix]


def check_encoding(encoding):
    """Raise TableError unless `encoding` names a text encoding."""
    try:
        b"a".decode(encoding)
    except UnicodeError:
        return  # a lone byte need not be valid
    except (LookupError, ValueError):
        raise TableError(
            f"--encoding {encoding!r} is not a known text encoding. Common ones are utf-8, utf-16, cp1252 "
            "(Western European Windows), latin-1, cp1251, shift_jis, gb18030 and big5."
        ) from None


def show_rows(numbers):
    """``rows 2, 5, 9, 12, 40 and 3 more``: the first row numbers of a list, in words."""
    shown = ", ".join(str(number) for number in numbers[:_SHOWN_ROWS])
    more = len(numbers) - _SHOWN_ROWS
    return ("rows " if len(numbers) > 1 else "row ") + shown + (f" and {more} more" if more > 0 else "")


def open_file_number(path):
    """Number of the open file that `path` stands for, 1 for ``-`` and ``/dev/stdout``; None for any other path."""
    known = {_STANDARD_OUTPUT: 1, "/dev/stdout": 1, "/dev/stderr": 2}
    match = _OPEN_FILE.fullmatch(path)
    return int(match[1]) if match else known.get(path)


def is_stream(path):
    """Whether what is written to `path` cannot be replaced as a whole: an open file, a pipe or a device."""
    if open_file_number(path) is not None:
        return True
    with suppress(OSError):
        mode = os.stat(path).st_mode
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
    return False


def check_output(path, inputs):
    """Find out, before any work, whether a table can be written to `path`, which must not be one of the files `inputs`.

    A symbolic link stands for its target; - stands for the standard output.
    """
    number = open_file_number(path)
    if number is not None:
        try:
            os.fstat(number)
        except OSError as error:
            raise TableError(f"--out {path} is not open: {error.strerror}.") from None
        return
    for other in inputs:
        with suppress(OSError):  # a file that does not exist is not the same file
            if os.path.samefile(path, other):
                raise TableError(f"--out {path} is the input {other}: it would be overwritten. Choose another name.")
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise TableError(f"--out {path} is a folder: name a file in it, for example predictions.csv.")
    if os.path.exists(target) and not (os.path.isfile(target) or is_stream(path)):
        raise TableError(
            f"--out {path} is neither a file nor a pipe or device. Choose a file name such as predictions.csv."
        )
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise TableError(f"--out {path} is write-protected. Choose another name, or allow writing to it.")
    if is_stream(path):
        return
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise TableError(f"--out {path}: the folder {folder} does not exist. Create it, or choose another one.")
    try:
        with _temporary_file(folder) as file:
            file.write(b"\n")  # a full disk may still hold an empty file
            file.flush()
    except OSError as error:
        raise TableError(f"--out {path}: cannot write to the folder {folder}: {error.strerror}.") from None


def write_table(path, header, rows, *, delimiter=None, encoding="utf-8", line_end="\n", quotes=True):
    """Write a table atomically: `path` holds the old content or all of the new, never a part.

    To a stream (the standard output, a pipe, a device), which has no old content, it is written as it is. Otherwise the
    table is written to a temporary file in the same folder, flushed to the disk and then renamed; the temporary file is
    removed if anything stops the writing. A name that ends in .gz is compressed, a symbolic link stands for its target.
    Without quotes cells are written as they are, and none may hold the delimiter or a line end.
    """
    target = os.path.realpath(path)
    text = io.StringIO(newline="")
    delimiter = delimiter or delimiter_of(path)
    if quotes:
        writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
        writer.writerow(header)
        writer.writerows(rows)
    else:
        text.writelines(delimiter.join(cells) + line_end for cells in [header, *rows])
    raw = text.getvalue().encode(encoding)
    if target.lower().endswith(".gz"):
        raw = gzip.compress(raw, mtime=0)  # no time stamp: the same table gives the same bytes
    if is_stream(path):
        _write_to_stream(path, raw, encoding)
        return
    try:
        with _temporary_file(os.path.dirname(target)) as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
            if os.path.exists(target):
                shutil.copymode(target, file.name)
            file.close()
            os.replace(file.name, target)
    except OSError as error:
        unchanged = " Its old content is unchanged." if os.path.exists(target) else ""
        raise TableError(f"cannot write {path}: {error.strerror or error}.{unchanged}") from None


def _write_to_stream(path, raw, encoding):
    """Write bytes to an open file, a pipe or a device, as they are."""
    number = open_file_number(path)
    try:
        if number == 1:
            sys.stdout.flush()
            if hasattr(sys.stdout, "buffer"):
                sys.stdout.buffer.write(raw)
            else:  # replaced by a stream of texts
                sys.stdout.write(raw.decode(encoding))
            sys.stdout.flush()
            return
        with open(path if number is None else os.dup(number), "wb") as file:
            file.write(raw)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        raise
    except OSError as error:
        raise TableError(f"cannot write {path}: {error.strerror or error}. A part may have been written.") from None


@contextmanager
def _temporary_file(folder):
    """A new binary file in `folder`, removed at the end unless it was renamed."""
    path = os.path.join(folder, f".skicl-{os.urandom(8).hex()}.tmp")
    try:
        # Unlike the files of the module tempfile, it gets the permissions of any other new file.
        with open(path, "xb") as file:
            yield file
    finally:
        with suppress(FileNotFoundError):
            os.remove(path)


def _read_bytes(path):
    """Content of a file, decompressed; what is no text is refused."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except FileNotFoundError:
        raise TableError(f"{path} does not exist. The current folder is {os.getcwd()}.") from None
    except IsADirectoryError:
        raise TableError(f"{path} is a folder: name a file in it.") from None
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror or error}.") from None
    if raw.startswith(_GZIP):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise TableError(f"cannot decompress {path}: {error}. The file is damaged or incomplete.") from None
    for signature, kind in _NOT_TEXT.items():
        if raw.startswith(signature):
            raise TableError(f"{path} is {kind}, not a CSV file, whatever its name. {_EXPORT}")
    return raw


def _decode(path, raw, encoding):
    """Bytes as a text, without a byte-order mark."""
    if encoding is None and raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise TableError(f"{path} is in UTF-16 (Excel calls it Unicode text), not UTF-8: pass --encoding utf-16.")
    name = lookup(encoding or "utf-8").name
    skipped = len(BOM_UTF8) if name in ("utf-8", "utf-8-sig") and raw.startswith(BOM_UTF8) else 0
    name = "utf-8" if name == "utf-8-sig" else name
    try:
        text = raw[skipped:].decode(name)
    except UnicodeDecodeError as error:
        start = skipped + error.start
        line = raw[:start].decode(name, errors="replace").count("\n") + 1
        asked = f"--encoding {encoding}" if encoding else "the default of --encoding"
        raise TableError(
            f"{path} is not valid {name} ({asked}): byte 0x{raw[start]:02x} at offset {start}, line {line}"
            f"{_context(raw, start)}. Pass the encoding the file was saved in, for example --encoding cp1252 "
            "for files of Western European Windows programs, or save the file again as UTF-8."
        ) from None
    except UnicodeError as error:  # raised by some codecs without a position
        raise TableError(
            f"{path} is not valid {name}: {error}. Pass the encoding of the file with --encoding."
        ) from None
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise TableError(
            f"{path} is not a text table: it holds NUL characters, the first on line {line}. It may be a "
            f"binary file, or text in UTF-16 (then pass --encoding utf-16). {_EXPORT}"
        )
    return text


def _context(raw, start):
    """The words around a byte that could not be decoded, its line being all there is to go by."""
    before = raw[max(start - 20, 0) : start].rpartition(b"\n")[2]
    after = raw[start : start + 20].partition(b"\n")[0]
    around = (before + after).decode("cp1252", errors="replace").strip()
    return f" (near {around!r} if read as cp1252)" if around else ""


@contextmanager
def _unlimited_cells(length):
    """Allow cells of up to `length` characters: the csv module has one limit for the whole process."""
    limit = csv.field_size_limit()
    csv.field_size_limit(min(max(limit, length), 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _parse(path, text, delimiter, quotes):
    """Cells of all rows of a text."""
    rows = []
    try:
        with _unlimited_cells(len(text)):
            # One by one, so that after an error the length tells the row.
            lines = io.StringIO(text, newline="")
            quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
            for cells in csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True):
                rows.append(cells)
    except csv.Error as error:
        if (other := _fitting_delimiter(text, delimiter)) is not None:
            raise TableError(
                f"{path}: row {len(rows) + 1} cannot be read with a {_name(delimiter)} between its cells, and the "
                f"whole table can with a {_name(other)}: pass --delimiter {_name(other)}."
            ) from None
        what = "a double quote opens a cell and is never closed"
        if "expected after" in str(error):
            what = "a cell in double quotes goes on after its closing quote"
        raise TableError(
            f"{path}: row {len(rows) + 1} is not valid: {what}. Inside a quoted cell a double quote must be "
            "written twice, as spreadsheets do when they export. If double quotes mean nothing special in this "
            "table, pass --no-quotes."
        ) from None
    return rows


def _fitting_delimiter(text, delimiter):
    """Another delimiter with which the text is a table of two columns or more, or None."""
    for other in _DELIMITER_NAMES:
        with suppress(csv.Error), _unlimited_cells(len(text)):
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=other, strict=True)
            widths = {len(cells) for cells in lines if cells}
            if other != delimiter and len(widths) == 1 and max(widths) > 1:
                return other
    return None


def _split_header(path, rows):
    """Row number and cells of the header, and the rows below it without blank ones at the end."""
    filled = [i for i, cells in enumerate(rows) if any(cell.strip() for cell in cells)]
    if not filled:
        raise TableError(f"{path} is empty: expected a row of column names, then one row per text.")
    first, last = filled[0], filled[-1]
    header = [name.strip() for name in rows[first]]
    # A blank line stands for a row of empty cells.
    blank = set(range(first + 1, last)) - set(filled)
    body = [[""] * len(header) if i in blank else rows[i] for i in range(first + 1, last + 1)]
    return first + 1, header, body


def _check_names(path, header):
    """Refuse two columns of one name."""
    twice = [repr(name) for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise TableError(f"{path}: more than one column is named {', '.join(twice)}. Rename or remove all but one.")


def _check_widths(path, header, rows, numbers, delimiter):
    """Refuse rows that have more or fewer cells than the header."""
    ragged = [(number, len(cells)) for number, cells in zip(numbers, rows) if len(cells) != len(header)]
    if ragged:
        number, width = ragged[0]
        raise TableError(
            f"{path}: {len(ragged)} of {len(rows)} rows have more or fewer cells than the header, which "
            f"has {len(header)}: {show_rows([row for row, _ in ragged])}; row {number} has {width}. A cell "
            f"that contains the delimiter ({_name(delimiter)}) must be in double quotes."
            + _other_delimiter(header, delimiter)
        )


def _other_delimiter(header, delimiter):
    """A hint for a file that was cut at the wrong character."""
    counts = {other: sum(name.count(other) for name in header) for other in _DELIMITER_NAMES if other != delimiter}
    other = max(counts, key=counts.get)
    if len(header) > 1 or not counts[other]:
        return ""
    return f" The header looks as if the delimiter were a {_name(other)}: pass --delimiter {_name(other)}."


def _name(delimiter):
    """A delimiter in words."""
    return _DELIMITER_NAMES.get(delimiter, delimiter)
