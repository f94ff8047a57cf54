"""A results file that survives a kill: one CSV row per record, replaced as a whole and never half-written."""

import csv
import io
import json
import os
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

_TEXT = frozenset({"dataset", "task", "estimator", "setting", "curve"})
_CHECKSUM = "checksum"
_WHOLE = frozenset({"k", "repeat", "n_classes", "n_queries"})


class ResultsFile:
    """Records in a CSV file that is at every moment complete and readable; with a path of None, in memory only.

    Each new record writes the whole file beside the old one and moves it into place: a process that is killed at any
    moment leaves the file as it was after the last full record, and so do a machine that stops and a full disk. One
    process may write to a file at a time. Numbers are written with all their digits, so they are read back unchanged.
    A last column holds a checksum of each record; a file of an earlier version has none and gets it with the next one.
    """

    def __init__(self, path, columns):
        # A link is followed, or the first record would put a file into its place.
        self.path = None if path is None else Path(os.path.realpath(path))
        self.columns = tuple(columns)
        self.records = []
        self._text = _csv_line((*self.columns, _CHECKSUM))
        if self.path is None:
            return
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"`results_file`: the folder {str(self.path.parent)!r} does not exist.")
        if self.path.is_dir():
            raise IsADirectoryError(f"`results_file` must be a file, and {str(self.path)!r} is a folder.")
        if self.path.exists():
            self.records = self._read()
            self._text += "".join(self._line(record) for record in self.records)
        self._try_to_write()

    def append(self, record):
        """Add a record and bring the file up to date."""
        text = self._text + self._line(record)
        if self.path is not None:
            with self._partial(text) as partial:
                os.replace(partial, self.path)
        self.records.append(record)
        self._text = text

    @contextmanager
    def _partial(self, text):
        """A file with `text` beside the results, on the disk and not only in its queue; gone afterwards."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with partial.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            yield partial
        finally:
            partial.unlink(missing_ok=True)

    def _try_to_write(self):
        """Find out now, not after the first fit, whether a record can be written."""
        try:
            with self._partial(self._text):
                pass
        except OSError as error:
            error.add_note(f"`results_file`: nothing can be written to the folder {str(self.path.parent)!r}.")
            raise

    def _line(self, record):
        """A record as a line of the file."""
        fields = [_written(record[name]) for name in self.columns]
        return _csv_line([*fields, self._checksum(fields)])

    def _checksum(self, fields):
        """Digest of the fields of a line and the names of their columns."""
        return blake2b(json.dumps([self.columns, fields]).encode(), digest_size=8).hexdigest()

    def _read(self):
        """The records of the file."""
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"`results_file` {str(self.path)!r} is damaged, or no CSV file in UTF-8 ({error}); restore it, or "
                "choose another file."
            ) from error
        if not rows or tuple(rows[0]) not in (self.columns, (*self.columns, _CHECKSUM)):
            columns = ", ".join(rows[0]) if rows else "nothing"
            raise ValueError(
                f"`results_file` {str(self.path)!r} holds other columns ({columns}) than this run writes "
                f"({', '.join(self.columns)}); choose another file."
            )
        has_checksums = len(rows[0]) > len(self.columns)
        return [self._record(number, row, has_checksums) for number, row in enumerate(rows[1:], start=2)]

    def _record(self, number, row, has_checksum):
        """The record in a row of the file, checked."""
        try:
            if has_checksum:
                *row, checksum = row or [""]
                if checksum != self._checksum(row):
                    raise ValueError("it does not have its checksum, so it is damaged or was edited")
            return {name: _read_as(name, value) for name, value in zip(self.columns, row, strict=True)}
        except ValueError as error:
            raise ValueError(
                f"`results_file` {str(self.path)!r}: line {number} cannot be read ({error}); remove it, and "
                "its record will be computed again."
            ) from error


def _written(value):
    """A field as text, numbers with all their digits."""
    return repr(float(value)) if isinstance(value, float) else str(value)


def _read_as(name, value):
    """The value of a field, of the type that its name tells."""
    if name in _TEXT:
        return value
    return int(value) if name in _WHOLE else float(value)


def _csv_line(fields):
    """Fields as one line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()
