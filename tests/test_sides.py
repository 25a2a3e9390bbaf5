"""When it is said that an interface gives one direction only, and when it is taken back."""
from __future__ import annotations

import logging

import pytest

from dpi.sides import LEAST, Sides


def test_it_is_said_once_and_taken_back_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sides, total = Sides({"interface": "span0", "worker": 0}), {"tcp_packets": 0, "one_sided_packets": 0}
    said = []
    # half of it is not most; between a quarter and a half nothing changes; too little says nothing
    for packets, one_sided in ((LEAST, 0), (LEAST, LEAST // 2), (LEAST, LEAST // 2 + 1), (5 * LEAST, 5 * LEAST), (LEAST - 1, 0), (LEAST, LEAST // 3),
                               (LEAST, 10), (LEAST - 1, LEAST - 1), (LEAST, LEAST)):
        total["tcp_packets"] += packets
        total["one_sided_packets"] += one_sided
        caplog.clear()
        assert sides.take(total) == {"tcp_packets": packets, "one_sided_packets": one_sided}
        said.append([(record.levelname, record.share) for record in caplog.records])       # type: ignore[attr-defined]
    assert said == [[], [], [("WARNING", 0.501)], [], [], [], [("INFO", 0.01)], [], [("WARNING", 1.0)]]
