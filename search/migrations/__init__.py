"""Alembic migrations of the store; `upgrade` brings a database to the newest version."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from search.schema import VERSION_TABLE

HEAD = "0003"
"""The newest version. A test proves that the migrations lead to exactly the tables of `search.schema`."""


def upgrade(connection: Connection) -> None:
    """Run all migrations that `connection`'s database lacks, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    command.upgrade(config, "head")
