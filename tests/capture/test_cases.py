"""The file of cases: what it says, and every way of writing it wrong. What cases open is in test_ring.py."""
from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpi.capture.cases import MOST_CASES, Case, Tables, read
from dpi.errors import UserError

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
WHOLE = """
[[case]]
number = "2026-0131"
reason = "spam"
approved_by = ["Li Na", "Wang Wei"]
addresses = ["192.0.2.7", "2001:db8:1::/64"]
filter = "tcp port 25"
until = 2026-12-01T18:00:00+08:00
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "cases.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_a_case_is_what_the_file_says(tmp_path: Path) -> None:
    case, = read(written(tmp_path, WHOLE), NOW)
    until = int(datetime(2026, 12, 1, 10, tzinfo=UTC).timestamp()) * 1_000_000
    assert case == Case("2026-0131", "spam", ("Li Na", "Wang Wei"), ("192.0.2.7/32", "2001:db8:1::/64"), "tcp port 25", until)
    assert case.words["until"] == "2026-12-01T10:00:00+00:00"
    tables = Tables((case,), 1)
    assert tables.count == 2 and tables.rows[0]["until"] == until and tables.rows[0]["stop"] == len(tables.instructions) > 3
    assert read(tmp_path / "cases.toml", until / 1e6) == ()         # it is over
    assert read(tmp_path / "none.toml", NOW) == () == read(written(tmp_path, ""), NOW)


@pytest.mark.parametrize(("old", "new", "words"), [
    ('number = "2026-0131"', "", "a case has no number"), ('"2026-0131"', '" "', "a case has no number"), ('reason = "spam"', "", "no reason"),
    ('"Wang Wei"', '" li na"', "two people"), (', "Wang Wei"', "", "two people"), ('"Wang Wei"', "7", "two people"),
    ('["192.0.2.7", "2001:db8:1::/64"]', "[]", "no addresses"), ('"192.0.2.7"', '"192.0.2.7/24"', "no address or prefix"),
    ('"192.0.2.7"', '"192.0.0.0/16"', "too wide"),
    ('"192.0.2.7"', "7", "no address or prefix"), ("2001:db8:1::/64", "2001:db8::/32", "too wide"), ('"tcp port 25"', "25", "filter is no text"),
    ("18:00:00+08:00", "18:00:00", "offset from UTC"), ("until = 2026-12-01T18:00:00+08:00", "", "no end"), ("2026-12-01", "2027-01-01", "more than 31 days"),
    ('reason = "spam"', 'reason = "spam"\nwhy = 1', "unknown: why"), ("[[case]]", "[case]", r"something else than tables \[\[case\]\]"),
    ("[[case]]", "[[cases]]", "something else"), ("[[case]]", "[[case]", "not TOML"), ('"spam"', '"sp\\u0007am"', "no reason"),
])
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in WHOLE
    with pytest.raises(UserError, match=words) as caught:
        read(written(tmp_path, WHOLE.replace(old, new)), NOW)
    assert str(tmp_path / "cases.toml") in str(caught.value)


def test_who_may_write_the_file_and_how_much(tmp_path: Path) -> None:
    file = written(tmp_path, WHOLE)
    file.chmod(0o660)
    with pytest.raises(UserError, match="others may write it"):
        read(file, NOW)
    with pytest.raises(UserError, match="two cases have the same number"):
        read(written(tmp_path, WHOLE * 2), NOW)
    with pytest.raises(UserError, match="more than 16 cases"):
        read(written(tmp_path, "".join(WHOLE.replace("0131", str(k)) for k in range(MOST_CASES + 1))), NOW)
    with pytest.raises(UserError, match="case 2026-0131: .*syntax error"):
        Tables(read(written(tmp_path, WHOLE.replace("port 25", "port and")), NOW), 1)
