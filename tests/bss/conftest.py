"""An office on each database: SQLite, and a PostgreSQL of this test run's own.

A test that is marked `both` runs on each. Of the others every second one runs on SQLite and the rest on PostgreSQL, always the same, for they take minutes;
FULLSPAN_DATABASES=both (and `make proof`) runs all on each."""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, text

from benchmarks.postgresql import server
from bss import pages
from bss.api import application
from bss.office import Office
from bss.settings import Settings, load

DATABASES = ("sqlite", "postgresql")
BEGIN = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)         # a Tuesday, 09:00 in Shanghai


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave every test that is not marked `both` to one database, by its name."""
    if os.environ.get("FULLSPAN_DATABASES") == "both":
        return
    left = [one for one in items if not one.get_closest_marker("both") and _of(one) in DATABASES
            and _of(one) != DATABASES[crc32(one.nodeid.replace(_of(one), "").encode()) % 2]]
    if left:
        gone = set(left)
        items[:] = [one for one in items if one not in gone]
        config.hook.pytest_deselected(items=left)


def _of(item: pytest.Item) -> str:
    """The database of a test, '' where it has none."""
    found = getattr(item, "callspec", None)
    return str(found.params.get("settings", "")) if found is not None else ""


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **given: float) -> None:
        self.now += timedelta(**given)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """URL of a server of our own, without its database's name."""
    with server(fsync=False) as url:
        yield url


def _at(folder: Path, database: str) -> Settings:
    given: dict[str, Any] = {"keys": str(folder / "bss.keys"), "attachments": str(folder / "attachments"), "bindings": str(folder / "bindings.csv"),
                             "store": "none"}
    return load(database=database, **given)


def _execute(server: str, *statements: str) -> None:
    engine = create_engine(server + "postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for one in statements:
            connection.execute(text(one))
    engine.dispose()


@pytest.fixture(params=DATABASES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an office that is not there yet, on each database."""
    if request.param == "sqlite":
        return _at(tmp_path, f"sqlite:///{tmp_path / 'bss.db'}")
    server = request.getfixturevalue("postgresql")
    name = f"t{os.urandom(6).hex()}"
    _execute(server, f"CREATE DATABASE {name}")
    return _at(tmp_path, server + name)


@pytest.fixture(scope="session")
def founded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An office that is copied for each test: making tables takes longer than most tests."""
    folder = tmp_path_factory.mktemp("founded")
    made = _at(folder, f"sqlite:///{folder / 'bss.db'}")
    Office.found(made)
    return made


@pytest.fixture(scope="session")
def founded_postgresql(tmp_path_factory: pytest.TempPathFactory, postgresql: str) -> Settings:
    """The same on PostgreSQL: a template."""
    _execute(postgresql, "CREATE DATABASE founded")
    made = _at(tmp_path_factory.mktemp("founded"), postgresql + "founded")
    Office.found(made)
    return made


_served: dict[str, FastAPI] = {}


def served(office: Office) -> FastAPI:
    """The API of an office: one application for all tests, for it takes longer to make than to ask."""
    return _with("api", office)


def site(office: Office) -> FastAPI:
    """The API with the pages, likewise."""
    return _with("pages", office)


def _with(what: str, office: Office) -> FastAPI:
    if what not in _served:
        _served[what] = application(office) if what == "api" else pages.add_to(application(office), office)
    _served[what].state.office = office
    return _served[what]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def office(settings: Settings, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Office]:
    """An office with nothing in it."""
    kind = "sqlite" if settings.database.startswith("sqlite") else "postgresql"
    founded: Settings = request.getfixturevalue(f"founded_{kind}")
    shutil.copy(founded.keys, settings.keys)
    if kind == "sqlite":
        shutil.copy(founded.database.removeprefix("sqlite:///"), settings.database.removeprefix("sqlite:///"))
    else:
        server, _, name = settings.database.rpartition("/")
        _execute(f"{server}/", f"DROP DATABASE {name}", f"CREATE DATABASE {name} TEMPLATE founded")
    made = Office(settings, clock)
    yield made
    made.close()
