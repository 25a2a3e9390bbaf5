"""One store of made-up traffic for all tests of named reports."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dpi.security.alert import Alert
from dpi.security.folding import rows
from dpi.store import Store, open_store
from tests.reports import traffic


@dataclass
class Known:
    """What the store holds, as columns."""
    store: Store
    flows: dict[str, Any]
    octets: Any
    known: Any
    dns: dict[str, Any]
    tls: dict[str, Any]
    alerts: list[Alert]         # every state


@pytest.fixture(scope="module")
def ten_weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    flows = traffic.flows()
    coverage, octets, known = traffic.coverage(flows)
    (dns, messages), (tls, hellos) = traffic.dns(), traffic.tls()
    alerts = traffic.alerts()
    store = open_store(f"chdb://{tmp_path_factory.mktemp('weeks')}/store")
    for batch in (traffic.batch(flows), coverage, messages, hellos, rows(alerts, traffic.END)):
        store.write(batch)
    store.flush()
    yield Known(store, flows, octets, known, dns, tls, alerts)
    store.close()
