"""Rules exchanged while flows live: what they are called stays where the rule does, whatever its number is now."""
from __future__ import annotations

from pathlib import Path

import pytest

from dpi.capture.block import Block
from dpi.capture.inputs import find
from dpi.capture.trace import open_trace
from dpi.jit import BUILD
from dpi.output import Limits, Origin
from dpi.rules import load
from dpi.shard import Shard
from tests.flow.test_flows import PCAPS, SMALL, Kept

CAPTURE = PCAPS / "demo.pcap"
SHIFTED = """
[[application]]
name = "Aardvark"
category = "{category}"
names = ["aardvark.example"]
"""


def rows(change_at: int, directory: Path | None) -> list[dict[str, object]]:
    """Rows of the demo with rules read anew (with those of `directory`) before packet `change_at`."""
    kept = Kept()
    shard = Shard(load(), Limits(**SMALL), [kept])
    trace = open_trace(find([str(CAPTURE)])[0])
    shard.begin(Origin("demo"))
    done = 0
    for block in trace.blocks(1):
        if done == change_at:
            shard.adopt(load([str(directory)] if directory else []))
        shard.process(Block(block.data, block.frames, block.count, block.first_number))
        done += block.count
    shard.finish()
    trace.close()
    left_out = ("stored_time", "rules_version", "evidence")
    shown = [{name: value for name, value in row.items() if name not in left_out} for row in kept.rows]
    return sorted(shown, key=lambda row: str(sorted(row.items(), key=str)))


@pytest.mark.skipif(BUILD == "off", reason="slow as plain Python")
def test_names_survive_other_numbers(tmp_path: Path) -> None:
    rules = load()
    (tmp_path / "first.toml").write_text(SHIFTED.format(category=rules.categories[1]))
    other = load([str(tmp_path)])
    assert other.applications.index("YouTube") != rules.applications.index("YouTube") or len(other.reason_table) != len(rules.reason_table)
    usual = rows(-1, None)
    assert len({row["application"] for row in usual}) > 10
    for at in (1, 150, 700):
        assert rows(at, tmp_path) == usual
