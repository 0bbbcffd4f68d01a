"""The connection table: which connection is in which channel, as the functions behind the API see.

All processes of an emulator share it, as all functions share theirs in DynamoDB. Pattern:
github.com/aws-samples/simple-websockets-chat-app, read November 2026.
"""

import sqlite3
from pathlib import Path
from typing import NamedTuple

from harness.core.channels import names_of

_BUSY_S = 5.0

_SCHEMA = """
    CREATE TABLE rows (
        channel TEXT NOT NULL, connection TEXT NOT NULL,
        process INTEGER NOT NULL, has_left INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (channel, connection)
    ) WITHOUT ROWID;
    CREATE INDEX by_connection ON rows (connection);
"""


class Row(NamedTuple):
    """One row as a function reads it.

    Attributes:
        has_left: Whether it is known to the emulator, and not to the function, that it has gone
            and its row was not removed.
    """

    connection: str
    has_left: bool


class ConnectionTable:
    """One process's access to the table.

    Args:
        process: Number of this process; its rows are of connections it holds.
    """

    def __init__(self, file: Path, process: int) -> None:
        self._process = process
        self._database = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")

    @staticmethod
    def make_file(file: Path) -> None:
        """Write an empty table."""
        database = sqlite3.connect(file)
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_SCHEMA)
        database.close()

    def put(self, connection: str, channel: str) -> None:
        """Note that a connection is in a channel."""
        self._database.execute(
            "INSERT OR REPLACE INTO rows (channel, connection, process) VALUES (?, ?, ?)",
            (channel, connection, self._process),
        )

    def remove(self, connection: str, channel: str) -> None:
        """Note that a connection is in a channel no more."""
        self._database.execute(
            "DELETE FROM rows WHERE channel = ? AND connection = ?", (channel, connection)
        )

    def forget(self, connection: str) -> None:
        """Take away all rows of a connection."""
        self._database.execute("DELETE FROM rows WHERE connection = ?", (connection,))

    def note_left(self, connection: str) -> None:
        """Remember that a connection has gone whose rows stay."""
        self._database.execute("UPDATE rows SET has_left = 1 WHERE connection = ?", (connection,))

    def note_all_left(self) -> None:
        """Remember that all connections of this process have gone: it took a killed one's place."""
        self._database.execute("UPDATE rows SET has_left = 1 WHERE process = ?", (self._process,))

    def read(self, channel: str, limit: int) -> list[Row]:
        """Return the rows of a channel and of the wildcards above it, one a connection.

        Args:
            channel: Each of its names is looked up at the same time.
            limit: Rows at most of each name; -1 for all.
        """
        query = "SELECT connection, has_left FROM rows WHERE channel = ? LIMIT ?"
        found: dict[str, bool] = {}
        for name in names_of(channel):
            found.update(self._database.execute(query, (name, limit)).fetchall())
        return [Row(connection, bool(has_left)) for connection, has_left in found.items()]

    def close(self) -> None:
        """Close the file."""
        self._database.close()
