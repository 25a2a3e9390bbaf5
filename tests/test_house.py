"""File <-> registry <-> docs: what is in a folder is known, and what is known is in a folder."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

from dpi.classify import registry
from dpi.cli.main import OWN
from dpi.schema import TABLES

ROOT = Path(__file__).resolve().parents[1]
DRAWERS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc"}


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows."""
    found = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in found if (ROOT / name).is_file()]


def test_every_protocol_file_is_a_parser_with_a_source() -> None:
    files = {path.stem for path in (ROOT / "dpi" / "classify" / "protocols").glob("*.py")} - {"__init__"}
    known = {Path(one.file).stem: one.protocol for one in registry.parsers()}
    assert set(known) == files
    for name, protocol in known.items():
        assert protocol.source and protocol.claims and protocol.name, name


def test_every_protocol_has_a_test_that_names_it() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "tests" / "classify" / "protocols").glob("test_*.py"))
    assert [one.protocol.name for one in registry.parsers() if Path(one.file).stem not in text] == []


def test_commands_and_tables_have_their_pages() -> None:
    commands, schema = ((ROOT / "docs" / name).read_text() for name in ("commands.md", "schema.md"))
    assert {name for name in OWN if f"fullspan {name}" in commands} == set(OWN)
    assert set(re.findall(r"^## `?(\w+)`?$", schema, re.M)) >= set(TABLES)


def test_the_tree_keeps_its_rules() -> None:
    sources = [path for path in tracked("dpi/*.py", "bss/*.py") if path.parent.name != "versions"]
    assert [str(path) for path in sources if path.stem in DRAWERS] == []
    assert [(path.name, lines) for path in sources if (lines := len(path.read_text().splitlines())) > 420] == []


def test_pages_link_to_what_exists() -> None:
    for page in [ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
