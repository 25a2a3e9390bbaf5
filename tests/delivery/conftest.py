"""One ClickHouse server with its ZooKeeper for all tests of this folder."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.servers import Server, ZooKeeper


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    one = ZooKeeper(tmp_path_factory.mktemp("zookeeper"))
    try:
        one.begin()
        yield one
    finally:
        one.end()


@pytest.fixture(scope="session")
def server(zookeeper: ZooKeeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("one"), zookeeper.port)
    try:
        one.begin()
        yield one
    finally:
        one.end()
