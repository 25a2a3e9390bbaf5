"""pcaps/: every capture has its row of origin, every row its capture, and both say the same."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
HEAD = "| file | programs and versions | packets | what it shows | script | date |"
TOTAL = 3_000_000
LARGEST = 2_000_000
MINUTE = 60


def rows() -> dict[str, list[str]]:
    """The README's table: file name -> (programs, packets, what it shows, script, date)."""
    lines = (PCAPS / "README.md").read_text().splitlines()
    found: dict[str, list[str]] = {}
    for line in lines[lines.index(HEAD) + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 6, line
        assert cells[0] not in found, f"two rows for {cells[0]}"
        found[cells[0]] = cells[1:]
    return found


def records(path: Path) -> list[tuple[int, int, int]]:
    """(second, captured, wire length) of each record of a little-endian microsecond Ethernet pcap; the file must end with the last one."""
    data = path.read_bytes()
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert magic == 0xA1B2C3D4 and link == 1, path.name
    at, found = 24, []
    while at < len(data):
        second, _, captured, wire = struct.unpack_from("<IIII", data, at)
        found.append((second, captured, wire))
        at += 16 + captured
    assert at == len(data), f"{path.name}: the last record is cut off"
    return found


FILES = sorted(path.name for path in PCAPS.glob("*.pcap"))
ROWS = rows()


MADE = re.compile(r'@capture\(\s*"([a-z0-9-]+)"')


def test_rows_and_files_are_the_same() -> None:
    assert sorted(ROWS) == FILES
    assert list(ROWS) == sorted(ROWS), "the rows are in the order of the names"


@pytest.mark.parametrize("name", FILES)
def test_row_is_true(name: str) -> None:
    programs, packets, shows, script, date = ROWS[name]
    found = records(PCAPS / name)
    assert int(packets) == len(found)
    assert all(captured == wire <= 1514 for _, captured, wire in found), "whole frames of a cable's size"
    assert (PCAPS / script).is_file() and name.removesuffix(".pcap") in MADE.findall((PCAPS / script).read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date) and shows
    for program in programs.split(", "):
        assert re.fullmatch(r"[a-z0-9.+-]+ \d\S*", program), f"a program without its version: {program}"


def test_scripts_make_nothing_else() -> None:
    made = {f"{name}.pcap" for path in (PCAPS / "make").glob("*.py") for name in MADE.findall(path.read_text())}
    assert made == set(ROWS)


def test_many_programs_and_small() -> None:
    programs = {program.split()[0] for row in ROWS.values() for program in row[0].split(", ")}
    assert len(programs) >= 20
    sizes = [(PCAPS / name).stat().st_size for name in FILES]
    assert max(sizes) <= LARGEST and sum(sizes) <= TOTAL


def test_demo_has_two_minute_boundaries() -> None:
    seconds = [second for second, _, _ in records(PCAPS / "demo.pcap")]
    assert max(seconds) // MINUTE - min(seconds) // MINUTE >= 2
    assert 2000 <= len(seconds) <= 6000
