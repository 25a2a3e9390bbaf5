"""What a capture must give: its flow rows and transactions in a form a person can read and a diff can show."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dpi.batch import Batch
from dpi.outcome import Outcome
from dpi.replaying import ReplayOptions, run
from dpi.sinks.files import json_lines

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
GOLDEN = Path(__file__).resolve().parent / "rows"
#: Columns that depend on the moment, the machine or the line of a rule, not on the capture.
LEFT_OUT = {"stored_time", "rules_version", "capture_id", "probe", "source", "sampling_rate"}
EMPTY: tuple[Any, ...] = (None, "", 0, False, [], "::", "0")


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def write(self, batch: Batch) -> None:
        self.batches.append(batch.whole())

    def close(self) -> None:
        pass

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table as JSON has them."""
        return [json.loads(line) for batch in self.batches if batch.table == table for line in bytes(json_lines(batch)).splitlines()]


def replayed(path: Path, **options: Any) -> tuple[Kept, Outcome]:
    """A capture through the whole pipeline."""
    kept = Kept()
    return kept, run([str(path)], sinks=[kept], options=ReplayOptions(**options))


def golden(kept: Kept) -> list[str]:
    """One line a row: table, then what is not empty, in the order of the schema; sorted, for the order of export is no promise."""
    lines = []
    for table in ("flows", "dns", "tls", "http", "files"):
        for row in kept.rows(table):
            shown = {name: value for name, value in row.items() if name not in LEFT_OUT and value not in EMPTY}
            if "evidence" in shown:
                shown["evidence"] = re.sub(r":\d+\)", ")", shown["evidence"])
            lines.append(f"{table} {json.dumps(shown, ensure_ascii=False)}")
    return sorted(lines)


def place(path: Path) -> Path:
    """Where the golden rows of a capture are."""
    return GOLDEN / f"{path.stem}.txt"
