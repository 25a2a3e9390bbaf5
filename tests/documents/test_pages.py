"""The generated pages say what the code says."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from dpi.classify.registry import parsers
from dpi.rules import load
from dpi.schema import TABLES

ROOT = Path(__file__).resolve().parents[2]


def test_generated_pages_are_current() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_column_is_on_its_page() -> None:
    page = (ROOT / "docs" / "schema.md").read_text()
    for table in TABLES.values():
        section = page.partition(f"\n## {table.name}\n")[2].partition("\n## ")[0]
        for column in table.columns:
            assert f"| `{column.name}` |" in section, (table.name, column.name)


def test_every_protocol_is_on_its_page() -> None:
    """Files, registry, rules and page name the same protocols, each once."""
    page = (ROOT / "docs" / "protocols.md").read_text()
    parsed, rest = page.partition("\n## Parsed")[2].split("\n## Known by first bytes")
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| [^|]+ \| ([^|]*) \| .* \| \[[^]]+\]\(\.\./([^)]+)\) \|$", parsed, re.M)
    files = {f"dpi/classify/protocols/{path.name}" for path in (ROOT / "dpi" / "classify" / "protocols").glob("[!_]*.py")}
    assert {file for *_, file in rows} == files == {one.file for one in parsers()} and len(rows) == len(files)
    flows = {column.name for column in TABLES["flows"].columns}
    for name, _, fields, file in rows:
        assert set(re.findall("`([^`]+)`", fields)) <= flows | set(TABLES), (name, file)
    named = {word.partition(".")[0] for name, also, *_ in rows for word in (name, *re.findall("`([^`]+)`", also))}
    ruled = re.findall(r"^\| `([^`]+)` \|", rest, re.M)
    assert len(ruled) == len(set(ruled)) and not named & set(ruled)
    assert named | set(ruled) == set(load().protocols) - {""}
