"""The bindings file as people write it: what is refused says where and how to mend it, and nothing of a file with an error is taken."""
from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dpi.errors import UserError
from dpi.identity.bindings import ALWAYS, COLUMNS, KINDS, NEVER, read
from dpi.identity.networks import local

HEADER = ",".join(COLUMNS)


def made(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    file = tmp_path / "bindings.csv"
    file.write_text("\n".join((header, *lines)) + "\n")
    file.chmod(0o600)
    return file


def test_every_kind_of_line(tmp_path: Path) -> None:
    file = made(tmp_path, "S1,C1,192.0.2.0/24,,,,,,2026-01-01T00:00:00Z,2026-02-01T08:00:00+08:00,p1,eth1", "S2,C1,2001:db8::/48,100,,,,,,,,",
                "S3,C2,10.0.0.1,100,7,,,,,,,", "S4,,,,,AABB.ccdd.EEFF,,,,,,",
                'S5,C3,,,,,"user, first",,,,,', "S6,C3,,,,,,line-7,2026-01-01,,,", "", "S7,C4,,200,,,,,,,,")
    found = read(file)
    assert len(found) == 7 and found.warnings == []
    every = {words.pop("line"): words for words in map(found.words, range(1, 8))}
    assert every == {
        "2": {"service_id": "S1", "customer_id": "C1", "prefix": "192.0.2.0/24", "valid_from": "2026-01-01T00:00:00Z", "valid_to": "2026-02-01T00:00:00Z",
              "probe": "p1", "interface": "eth1"},
        "3": {"service_id": "S2", "customer_id": "C1", "prefix": "2001:db8::/48", "vlan": "100"},
        "4": {"service_id": "S3", "customer_id": "C2", "prefix": "10.0.0.1/32", "vlan": "100", "inner_vlan": "7"},
        "5": {"service_id": "S4", "mac": "aa:bb:cc:dd:ee:ff"}, "6": {"service_id": "S5", "customer_id": "C3", "user": "user, first"},
        "7": {"service_id": "S6", "customer_id": "C3", "circuit": "line-7", "valid_from": "2026-01-01T00:00:00Z"},
        "9": {"service_id": "S7", "customer_id": "C4", "vlan": "200"}}
    assert {KINDS[kind] for kind in found.lines["kind"][1:].tolist()} == set(KINDS[1:])
    assert found.in_force(1_767_225_600_000_000) == 7 and found.in_force(0) == 5 and found.in_force(1_769_904_000_000_000) == 6
    assert {ALWAYS, NEVER} <= {*found.lines["valid_from"].tolist(), *found.lines["valid_to"].tolist()}


@pytest.mark.parametrize("lines, where, what", [
    (["S,C,10.0.0.0/33,,,,,,,,,"], 2, "its length is 0 to 32"), (["S,C,10.0.0.1/24,,,,,,,,,"], 2, "write 10.0.0.0/24"),
    (["S,C,10.0.0,,,,,,,,,"], 2, "not a network"),
    (["S,C,::ffff:10.0.0.1,,,,,,,,,"], 2, "write it as IPv4"), (["S,C,::/0,,,,,,,,,"], 2, "2000::/3"),
    (["S,C,2001:db8::1/64,,,,,,,,,"], 2, "write 2001:db8::/64"),
    (["S,C,10.0.0.0/٢,,,,,,,,,"], 2, "its length"),
    ([",C,10.0.0.1,,,,,,,,,"], 2, "no service_id"), (["S,C,,,,,,,,,,"], 2, "nothing says what it binds"), (["S,C,,,5,,,,,,,"], 2, "nothing says"),
    (["S,C,10.0.0.1,,5,,,,,,,"], 2, "an inner VLAN without an outer one"), (["S,C,,4095,,,,,,,,"], 2, "not a VLAN id"),
    (["S,C,,x,,,,,,,,"], 2, "not a VLAN id"),
    (["S,C,,,,00:00:00:00:00:00,,,,,,"], 2, "not a MAC"), (["S,C,,,,zz:bb:cc:dd:ee:ff,,,,,,"], 2, "not a MAC"),
    (["S,C,,5,,02:00:00:00:00:01,,,,,,"], 2, "a VLAN and a mac"),
    (["S,C,10.0.0.1,,,,u,,,,,"], 2, "prefix and user in one line"), (["S,C,10.0.0.1,,,,,,yesterday,,,"], 2, "not a time"),
    (["S,C,10.0.0.1,,,,,,2026-01-02,2026-01-02,,"], 2, "it ends before it begins"), (["S,C,10.0.0.1"], 2, "3 cells, 12 are needed"),
    (['S,C,"10.0.0.1,,,,,,,,,'], 2, "not CSV"), (["S\x07,C,10.0.0.1,,,,,,,,,"], 2, "not a name"), ([f"{'S' * 256},C,10.0.0.1,,,,,,,,,"], 2, "not a name"),
    (["S1,C,10.0.0.0/8,,,,,,,2026-02-01,,", "S2,C,10.0.0.0/9,,,,,,,,,", "S3,C,10.0.0.0/8,,,,,,2026-01-31T23:59:59,,,"], 4, "overlaps in time with line 2"),
    (["S1,C,,,,,u,,,,,", "S2,C,,,,,u,,,,,"], 3, "binds the same user"),
])
def test_what_is_refused(tmp_path: Path, lines: list[str], where: int, what: str) -> None:
    file = made(tmp_path, *lines)
    with pytest.raises(UserError, match=what) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}:{where}: ") and refused.value.mend


@pytest.mark.parametrize("header, what", [("service,prefix", "no column 'service' is known"), ("prefix", "the header is missing"),
                                          ("", "the header is missing"),
                                          ("service_id,prefix,prefix", "a column is there twice")])
def test_a_header_that_is_none(tmp_path: Path, header: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        read(made(tmp_path, header=header))


def test_neighbours_in_time_do_not_overlap_and_columns_may_be_left_out(tmp_path: Path) -> None:
    file = made(tmp_path, "10.0.0.1,S1,,2026-01-01", "10.0.0.1,S2,2026-01-01,2026-01-02", "10.0.0.1,S3,2026-01-02,",
                header="prefix,service_id,valid_from,valid_to")
    found = read(file)
    assert len(found) == 3 and len(found.groups()) == 1 and [found.words(k)["service_id"] for k in (1, 2, 3)] == ["S1", "S2", "S3"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read(tmp_path / "none.csv")
    file = made(tmp_path, "S,C,10.0.0.1,,,,,,,,,")
    file.write_bytes(b"service_id,prefix\nS\xff,10.0.0.1\n")
    with pytest.raises(UserError, match="not UTF-8 at byte 19"):
        read(file)
    file.write_text("\ufeffservice_id,prefix\r\nS,10.0.0.1\r\n")
    os.chmod(file, 0o640)
    found = read(file)
    assert len(found) == 1 and "mode 0640" in found.warnings[0] and "chmod 600" in found.warnings[0]


def test_local_networks() -> None:
    ten = (0xFFFF << 32) + (10 << 24)
    assert local("10.0.0.0/8, 2001:db8::/32,", "x") == ((ten, ten + (1 << 24) - 1), (0x20010DB8 << 96, (0x20010DB9 << 96) - 1))
    assert local("", "x") == ()
    with pytest.raises(UserError, match=r"--local-networks: '10.0.0.1/8' has bits beyond its length \(write 10.0.0.0/8"):
        local("10.0.0.1/8", "--local-networks")


@pytest.mark.compiled
def test_a_hundred_thousand_lines_take_about_a_second(tmp_path: Path) -> None:
    file = made(tmp_path, *(f"S{k},C{k // 3},10.{k >> 14}.{k >> 6 & 255}.{k << 2 & 255}/30,,,,,,2026-01-01T00:00:{k % 60:02d}Z,,," for k in range(100_000)))
    began = time.process_time()
    assert len(read(file)) == 100_000 and time.process_time() - began < 4
