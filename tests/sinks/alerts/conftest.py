"""Certificates, made once."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.sinks.alerts.servers import certificate


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of localhost's certificate."""
    return certificate(tmp_path_factory.mktemp("certificates") / "localhost")


@pytest.fixture(scope="session")
def other_tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of another host's certificate."""
    return certificate(tmp_path_factory.mktemp("certificates") / "other", "other.example")
