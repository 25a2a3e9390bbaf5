"""A store with rows that answers others, for the tests of that."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dpi.batch import Coded
from dpi.store import Store, open_store
from dpi.store.answering import Limits
from tests.rows import batch

UNBOUND = {f"{side}_{what}_id": Coded.same("", 200) for side in ("client", "server") for what in ("service", "customer")}
LIMITS = Limits(seconds=1, rows=5000, bytes=1 << 20, memory=200 << 20, body=20_000, patience=1, waiting=3, connections=6)


@contextmanager
def filled(place: Path) -> Iterator[Store]:
    """A store with 200 rows of flows, dns and captures."""
    opened = open_store(f"chdb://{place}/store")
    for table in ("flows", "dns", "captures"):
        given: dict[str, Any] = {"capture_id": np.arange(200, dtype=np.uint64)} if table == "captures" else UNBOUND if table == "flows" else {}
        opened.write(batch(table, 200, **given))
    opened.flush()
    yield opened
    opened.close()
