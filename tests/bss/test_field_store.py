"""What event assurance reads of a real store, against sums by hand over the flows that were put into it."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bss.evidence import Evidence
from bss.tickets.watching import seen
from dpi.batch import Batch
from dpi.store import open_store
from dpi.usage.computing import Job
from tests.bss.test_evidence import stamps
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

UNKNOWN = 0xFFFFFFFF        # a round trip that was not measured
START = datetime.fromtimestamp(BEGIN // 1_000_000, UTC)


@pytest.fixture(scope="module")
def made() -> Batch:
    return flows(1500)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory, made: Batch) -> Iterator[Evidence]:
    """An hour of flows; of minute 20 nothing is covered."""
    store = open_store(f"chdb://{tmp_path_factory.mktemp('assurance')}/store")
    put(store, made, coverage([n for n in range(60) if n != 20], frames=500))
    Job(store).run()
    found = Evidence(store.url)
    yield found
    found.close()
    store.close()


def by_hand(made: Batch, service: str) -> dict[int, tuple[int, int, int, int]]:
    """Minute -> TCP packets of both ways, retransmissions of both ways, sum and number of the side's round trips."""
    columns: dict[str, Any] = dict(made.columns)
    found: dict[int, list[int]] = {}
    for side, other in (("client", "server"), ("server", "client")):
        for k, word in enumerate(stamps(made, side)):
            if word != service or columns[f"{side}_duplicate"][k]:
                continue
            one = found.setdefault(int(columns["interval_start"][k] - BEGIN) // MINUTE, [0, 0, 0, 0])
            if columns["ip_protocol"][k] == 6:
                one[0] += int(columns[f"{side}_packets"][k]) + int(columns[f"{other}_packets"][k])
            one[1] += int(columns[f"{side}_retransmissions"][k]) + int(columns[f"{other}_retransmissions"][k])
            if (rtt := int(columns[f"{side}_rtt_us"][k])) != UNKNOWN:
                one[2] += rtt
                one[3] += 1
    return {minute: (a, b, c, d) for minute, (a, b, c, d) in found.items()}


def test_loss_and_round_trips_are_sums_over_both_sides_of_closed_minutes(evidence: Evidence, made: Batch) -> None:
    told = seen(evidence, ["S1", "S2", "nobody"], START, START + timedelta(hours=1))
    assert [one.at for one in told["S1"]] == [START + timedelta(minutes=n) for n in range(60)] and not told["S1"][20].covered and told["S1"][21].covered
    for service in ("S1", "S2"):
        wanted = by_hand(made, service)
        assert any(one[1] for one in wanted.values())
        for n, one in enumerate(told[service]):
            segments, again, rtt, count = wanted.get(n, (0, 0, 0, 0))
            assert one.loss_percent == ((Decimal(100 * again) / segments).quantize(Decimal("0.001")) if segments else None), (service, n)
            assert one.rtt_ms == ((Decimal(rtt) / 1000 / count).quantize(Decimal("0.001")) if count else None), (service, n)
    assert all(not one.down_bytes and one.loss_percent is None for one in told["nobody"])
