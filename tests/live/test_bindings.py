"""Bindings of a probe that reads a wire: changed while frames come, none of which is missed or counted for another."""
from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.identity.test_following import write
from tests.live.probe import Run
from tests.live.wire import Wire, send


def test_an_address_moves_while_it_is_read(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same four flows before and after; a file with an error in between changes nothing."""
    file = tmp_path / "bindings.csv"
    write(file, "S1,10.1.0.0/16,")
    config = tmp_path / "own.toml"
    config.write_text(f'[identity]\nbindings = {json.dumps(str(file))}\nlocal_networks = "10.0.0.0/8"\n')
    monkeypatch.setenv("FULLSPAN_CONFIG", str(config))
    probe = Run(cable, tmp_path)
    log = probe.process.stderr
    assert log is not None
    assert send(cable, 1000, 4, each=100) == 1000
    time.sleep(0.2)
    write(file, "S1,10.1.0.0/16,", "S9,10.1.0.0/16,")
    line = log.readline().decode()
    assert 'msg="bindings not taken"' in line and "overlaps in time with line 2" in line
    assert send(cable, 500, 4, each=100) == 500
    time.sleep(0.2)
    began = time.time()
    file.write_text("service_id,prefix,valid_from,valid_to,probe\n"
                    f"S1,10.1.0.0/16,,{_time(began)},\nS2,10.1.0.0/16,{_time(began)},,elsewhere\n")
    assert "msg=bindings lines=2" in log.readline().decode() and time.time() - began < 5
    time.sleep(0.5)             # the worker takes them between two blocks, of which one may be on its way
    assert send(cable, 700, 4, each=100) == 700
    time.sleep(0.3)
    assert probe.end()["packets"] == 2200
    assert probe.ask("SELECT client_service_id, sum(client_packets), uniqExact(client_port), countIf(client_duplicate), countIf(NOT client_local), "
                     "countIf(server_local OR server_service_id != '') FROM flows GROUP BY 1 ORDER BY 1") == [
        ("S1", 1500, 4, 0, 0, 0), ("S2", 700, 4, 4, 0, 0)]


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"
