"""Usage and a server that is too old to compute it: said once, and left alone."""
from __future__ import annotations

import contextlib

import pytest

from dpi.errors import UserError
from dpi.store import open_store
from dpi.usage.computing import Job
from dpi.usage.metering import Metering
from tests.delivery.servers import Server


def test_an_old_server_computes_none(server: Server) -> None:
    with contextlib.closing(open_store(server.url("usage"))) as store:
        with Metering(lambda: store, every=0.01) as metering:
            metering._thread.join(20)           # it ends by itself: there is nothing to wait for
        assert metering.health().failures == 1 and "usage can't be computed by ClickHouse 18.16" in metering.health().trouble
        with pytest.raises(UserError, match="server of 21 or later"):
            Job(store)
        assert not store.query("SELECT count() FROM usage_slots").value()
