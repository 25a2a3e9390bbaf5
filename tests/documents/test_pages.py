"""The generated pages say what the code says."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
