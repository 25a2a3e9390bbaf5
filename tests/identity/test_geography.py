"""Countries and autonomous systems, from databases that a test writes."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from scapy.all import IP, UDP, Ether, IPv6, wrpcap

from dpi.errors import UserError
from dpi.identity.geography import Geography, Place
from dpi.replaying import ReplayOptions, run
from dpi.settings import Identity, Settings
from tests.golden.rows import Kept


def mapped(text: str) -> bytes:
    from dpi.cli.whois import _address, _octets

    return _octets(_address(text))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Country and AS."""
    folder = tmp_path_factory.mktemp("mmdb")
    country = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Made-Country")
    country.insert_network(IPSet(["1.0.0.0/8", "2001:db8::/32"]), {"country": {"iso_code": "CN"}})
    country.insert_network(IPSet(["2.0.0.0/8"]), {"registered_country": {"iso_code": "DE"}})
    country.insert_network(IPSet(["3.0.0.0/8"]), {"country": {"iso_code": "a country"}})
    asn = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Made-ASN", int_type="u32")
    asn.insert_network(IPSet(["1.0.0.0/16"]), {"autonomous_system_number": 4134, "autonomous_system_organization": "Example"})
    for name, one in (("country", country), ("asn", asn)):
        one.to_db_file(str(folder / f"{name}.mmdb"))
    return str(folder / "country.mmdb"), str(folder / "asn.mmdb")


def test_what_databases_say(databases: tuple[str, str]) -> None:
    places = Geography(*databases)
    said = {text: places.place(mapped(text)) for text in ("1.0.0.1", "1.1.0.1", "2.0.0.1", "3.0.0.1", "10.0.0.1", "2001:db8::1", "::", "1.0.0.1")}
    assert {text: (places.countries[one.country], one.asn) for text, one in said.items()} == {
        "1.0.0.1": ("CN", 4134), "1.1.0.1": ("CN", 0), "2.0.0.1": ("DE", 0), "3.0.0.1": ("", 0), "10.0.0.1": ("", 0), "2001:db8::1": ("CN", 0), "::": ("", 0)}
    assert Geography().place(mapped("1.0.0.1")) == Place()


def test_answers_are_remembered_for_as_many_as_there_is_room(databases: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.identity.geography._CACHED", 4)
    places = Geography(*databases)
    asked: list[bytes] = []
    ask = places._ask
    monkeypatch.setattr(places, "_ask", lambda address: (asked.append(address), ask(address))[1])
    for last in (1, 2, 3, 4, 1, 5, 1, 2):
        places.place(mapped(f"1.0.0.{last}"))
    assert [one[-1] for one in asked] == [1, 2, 3, 4, 5, 2]


def test_rows_have_both_sides(databases: tuple[str, str], tmp_path: Path) -> None:
    ends = (("1.0.0.1", "2.0.0.1"), ("10.0.0.1", "1.0.0.1"), ("1.2.3.4", "9.9.9.9"), ("2001:db8::1", "2001:db9::1"))
    frames: list[Any] = [Ether(dst="02:00:00:00:00:01") / (IPv6 if ":" in one else IP)(src=one, dst=two) / UDP(sport=4000, dport=53) for one, two in ends]
    wrpcap(str(tmp_path / "made.pcap"), frames)

    def rows(country: str, asn: str) -> Any:
        kept = Kept()
        run([str(tmp_path / "made.pcap")], sinks=[kept], options=ReplayOptions(), settings=replace(Settings(), identity=Identity("", "", "", country, asn)))
        return {row["client_ip"]: (row["client_country"], row["client_asn"], row["server_country"], row["server_asn"]) for row in kept.rows("flows")}

    assert rows(*databases) == {"1.0.0.1": ("CN", 4134, "DE", 0), "10.0.0.1": ("", 0, "CN", 4134), "1.2.3.4": ("CN", 0, "", 0), "2001:db8::1": ("CN", 0, "", 0)}
    assert rows("", databases[1])["1.0.0.1"] == ("", 4134, "", 0)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_bytes(b"hello")
    for name in ("x.mmdb", "y.mmdb"):
        with pytest.raises(UserError, match="not an MMDB file"):
            Geography(str(tmp_path / name))
