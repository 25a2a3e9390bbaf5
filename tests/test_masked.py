"""What Grafana's user sees of flows and usage: no address of a person, no customer by name."""
from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.batch import Coded, Texts
from dpi.store import open_store
from dpi.store.masked import VIEWS
from tests.rows import batch

pytestmark = pytest.mark.compiled
SIDES = {"v4 person": "10.1.2.3", "v6 person": "2001:db8:1:2::9", "v4 server": "203.0.113.77", "v6 server": "2001:db8:ffff::53"}


def octets(text: str) -> list[int]:
    address = ipaddress.ip_address(text)
    return list((address if address.version == 6 else ipaddress.IPv6Address(f"::ffff:{text}")).packed)


def filled(place: Path) -> Any:
    """A flow for each pair of sides and flags, in which the client is a person of ours: local, bound, or of a network that nobody said is local."""
    pairs = [(client, server, mine, theirs, bound) for client, server in (("v4 person", "v4 server"), ("v6 person", "v6 server"))
             for mine in (0, 1) for theirs in (0, 1) for bound in ("", "svc-Li-Na") if bound or mine or not theirs]
    opened = open_store(f"chdb://{place}")
    count = len(pairs)
    opened.write(batch("flows", count, client_ip=np.array([octets(SIDES[one[0]]) for one in pairs], np.uint8),
                       server_ip=np.array([octets(SIDES[one[1]]) for one in pairs], np.uint8), client_local=np.array([one[2] for one in pairs], np.uint8),
                       server_local=np.array([one[3] for one in pairs], np.uint8), client_service_id=Coded.of([one[4] for one in pairs]),
                       client_customer_id=Coded.of(["cust-Li-Na" if one[4] else "" for one in pairs]), server_service_id=Coded.of([""] * count)))
    for table in ("usage_1m", "usage_1h"):
        opened.write(batch(table, 60, service_id=Coded.of([f"svc-{k % 20}" if k % 20 else "" for k in range(60)]),
                           customer_id=Coded.of([f"cust-{k % 6}" if k % 20 else "" for k in range(60)]), revision=np.ones(60, np.uint32)))
    opened.flush()
    return opened


def test_addresses_are_whole_only_of_the_other_side(tmp_path: Path) -> None:
    with_rows = filled(tmp_path / "store")
    shown = with_rows.query("SELECT client_local, server_local, toString(client_network), toString(server_network) FROM grafana_flows").rows
    assert len(shown) == 14
    for mine, theirs, client, server in shown:
        assert client in ("::ffff:10.1.2.0", "2001:db8:1::"), client
        whole = bool(mine) and not theirs
        assert server in (("::ffff:203.0.113.77", "2001:db8:ffff::53") if whole else ("::ffff:203.0.113.0", "2001:db8:ffff::")), (mine, theirs, server)
    for name in VIEWS:
        text = repr(with_rows.query(f"SELECT * FROM {name}").rows)
        assert "10.1.2.3" not in text and "1:2::9" not in text and "Li-Na" not in text and "cust-" not in text and "svc-" not in text, name
    with_rows.close()


def test_alerts_name_networks_and_pseudonyms_in_their_newest_state(tmp_path: Path) -> None:
    ends = {"10.1.2.3": "10.1.2.0/24", "10.1.2.0/24": "10.1.2.0/24", "10.1.2.128/25": "10.1.2.0/24", "10.0.0.0/8": "10.0.0.0/8",
            "2001:db8:1:2::9": "2001:db8:1::/48", "2001:db8:1:2::/64": "2001:db8:1::/48", "2001:db8::/32": "2001:db8::/32", "::ffff:10.1.2.3": "::/48",
            "52:54:00:12:34:56": "***", "": "",
            "52-54-00-12-34-56": "***", "alices-phone.lan": "***", "Li-Na@example.com": "***", "core link 1": "core link 1", "10.1.2.3:53": "***"}
    count = 2 * len(ends)
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as store:
        for table, extra in (("alerts", {"revision": np.array([1, 2] * len(ends), np.uint32), "state": Coded.of(["raised", "cleared"] * len(ends))}),
                             ("detections", {})):
            texts = {name: Texts.of(["10.1.2.3 and 2001:db8:1:2::9 of Li-Na"] * count) for name in ("evidence", "summary", "summary_zh", "dedup_key")
                     if table == "alerts" or name == "evidence"}
            store.write(batch(table, count, alert_id=Texts.of([f"id{k // 2}" for k in range(count)]), source=Texts.of([one for one in ends for _ in "12"]),
                              target=Texts.of([one for one in ends for _ in "12"]), customer_id=Coded.of(["cust-Li-Na"] * count),
                              service_id=Coded.of(["svc-Li-Na"] * count), **texts, **extra))
        store.flush()
        shown = store.query("SELECT alert_id, source, target, state, customer, service FROM grafana_alerts").rows
        assert {row[0]: (str(row[1]), str(row[2]), str(row[3])) for row in shown} == {f"id{k}": (one, one, "cleared") for k, one in enumerate(ends.values())}
        assert len(shown) == len(ends) and {str(row[4])[:2] + str(row[5])[:2] for row in shown} == {"c-s-"}
        for view in ("grafana_alerts", "grafana_detections"):
            text = repr(store.query(f"SELECT * FROM {view}").rows)
            assert not [word for word in ("10.1.2.3", "1:2::9", "Li-Na", "cust-", "52:54", "52-54", "alice") if word in text], view


def test_a_server_that_is_called_by_its_address_or_in_a_house_has_no_name(tmp_path: Path) -> None:
    names = ["10.1.2.3", "10.1.2.3:8080", "2001:db8:1:2::9", "Alices-iPhone.local", "alices-laptop.lan", "nas.home.arpa", "7.2.1.10.in-addr.arpa",
             "www.example.com", "lan.example.com"]
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as store:
        store.write(batch("flows", len(names), server_name=Texts.of(names)))
        store.flush()
        shown = sorted({str(row[0]) for row in store.query("SELECT server_name FROM grafana_flows").rows})
        assert shown == ["", "arpa", "lan.example.com", "local", "www.example.com"]
        assert {str(row[0]) for row in store.query("SELECT name FROM names_1h").rows} <= {"", "local", "example.com", "10.in-addr.arpa"}


def test_a_pseudonym_lasts_as_long_as_the_store_and_tells_customers_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pseudonyms(store: Any) -> dict[str, set[str]]:
        return {kind: {row[0] for row in store.query(f"SELECT DISTINCT {kind} FROM {view}").rows}
                for kind, view in (("customer", "grafana_usage_1m"), ("service", "grafana_services_1d"))}

    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "cache"))
    store = filled(tmp_path / "store")
    first = pseudonyms(store)
    assert len(first["customer"]) == 7 and len(first["service"]) == 20 and "" in first["customer"]
    assert all(one == "" or one[:2] in ("c-", "s-") and len(one) == 12 for found in first.values() for one in found)
    joined = store.query("SELECT uniqExact(customer) FROM grafana_usage_1h INNER JOIN grafana_services_1d USING (customer, service) WHERE customer != "
                         "''").value()
    assert joined == 6
    store.close()
    store = open_store(f"chdb://{tmp_path}/store")
    assert pseudonyms(store) == first
    store.query("TRUNCATE TABLE fullspan_schema")
    store.query("INSERT INTO fullspan_schema (version, digest) VALUES (1, 'older')")      # an upgrade keeps the key
    store.close()
    store = open_store(f"chdb://{tmp_path}/store")
    assert pseudonyms(store) == first
    store.close()
    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "elsewhere"))
    other = filled(tmp_path / "other")
    assert not (pseudonyms(other)["customer"] & first["customer"]) - {""}
    other.close()
