"""A store with rows that answers others, for the tests of that."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dpi.store import Store, open_store
from dpi.store.answering import Limits
from tests.rows import batch

LIMITS = Limits(seconds=1, rows=5000, bytes=1 << 20, memory=200 << 20, body=20_000, patience=1, waiting=3, connections=6)


@contextmanager
def filled(place: Path) -> Iterator[Store]:
    """A store with 200 rows of flows, dns and captures."""
    opened = open_store(f"chdb://{place}/store")
    for table in ("flows", "dns", "captures"):
        opened.write(batch(table, 200, **({"capture_id": np.arange(200, dtype=np.uint64)} if table == "captures" else {})))
    opened.flush()
    yield opened
    opened.close()
