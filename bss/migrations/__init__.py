"""Versions of the database (Alembic): each a file in versions/, run once, in order, by `fullspan bss init` and `upgrade`."""
from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

HERE = Path(__file__).resolve().parent


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    return config


def current(engine: Engine) -> tuple[str, str]:
    """The version that a database has, '' none, and the one this program wants."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found or "", ScriptDirectory.from_config(_config()).get_current_head() or ""


def upgrade(engine: Engine) -> None:
    """Bring a database to the version that is wanted, in one transaction."""
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
