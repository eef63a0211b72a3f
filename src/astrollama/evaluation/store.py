"""What a model said, kept on disk: a table in an SQLite file, and one line where that cannot be used."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from astrollama.errors import RunError


class Rows:
    """The rows of an open store."""

    def __init__(self, database: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
        self._database = database
        self._select = f"SELECT {', '.join(columns)} FROM {table} WHERE key = ?"
        self._insert = f"INSERT OR REPLACE INTO {table} VALUES (?{', ?' * len(columns)})"

    def get(self, key: bytes) -> tuple[Any, ...] | None:
        """The values of a key, or None."""
        row: tuple[Any, ...] | None = self._database.execute(self._select, (key,)).fetchone()
        return row

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Write rows of a key and its values: they are on the disk when this returns."""
        with self._database:
            self._database.executemany(self._insert, rows)


class Store:
    """One table in one file.

    Args:
        columns: their names, each with its SQL type; before them stands the key.
    """

    def __init__(self, path: Path, table: str, columns: dict[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._table = table
        self._columns = columns

    @contextmanager
    def opened(self) -> Iterator[Rows]:
        """The rows, of a file that is made if there is none.

        Raises:
            RunError: the file is damaged, or cannot be read or written.
        """
        typed = ", ".join(f"{name} {kind}" for name, kind in self._columns.items())
        try:
            with closing(sqlite3.connect(self._path)) as database:
                database.execute(f"CREATE TABLE IF NOT EXISTS {self._table} (key BLOB PRIMARY KEY, {typed})")
                yield Rows(database, self._table, list(self._columns))
        except sqlite3.OperationalError as error:  # a full disk, another process, no permission
            raise RunError(f"{self._path} cannot be used ({error})", "mend that, and give the command again") from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(str(error)) from error

    def damaged(self, why: str) -> RunError:
        """The error that tells it."""
        return RunError(f"{self._path} is damaged ({why})", "delete it, and give the command again")


def key_of(*parts: str) -> bytes:
    """A key that no other parts have."""
    return hashlib.sha256(json.dumps(parts).encode()).digest()
