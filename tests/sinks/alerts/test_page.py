"""docs/alerts.md: the script that verifies does, the payload is the one that is sent, and every kind has its section."""
from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from dpi.sinks.alerts import kinds
from dpi.sinks.alerts.webhook import event, signature
from dpi.sinks.discretion import masked
from tests.sinks.alerts.servers import SAMPLE, private

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "alerts.md").read_text()


def test_the_script_of_the_page_verifies(tmp_path: Path) -> None:
    script = tmp_path / "verify.py"
    source = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert source and len(source[1].splitlines()) <= 10
    script.write_text(source[1])
    secret = private(tmp_path / "secret", "s3cret")
    body, now = json.dumps(event(SAMPLE), ensure_ascii=False).encode(), int(time.time())

    def verified(header: str, content: bytes, file: str = secret) -> tuple[int, str]:
        done = subprocess.run([sys.executable, script, file, header], input=content, capture_output=True, timeout=60, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()

    well = signature("s3cret", now, body)
    assert verified(well, body) == (0, "verified\n")
    for header, content in ((well, body + b" "), (signature("other", now, body), body), (well[:-1] + "x", body), (well.replace(f"{now}", f"{now + 1}"), body)):
        code, words = verified(header, content)
        assert code == 1 and "another secret" in words
    code, words = verified(signature("s3cret", now - 400, body), body)
    assert code == 1 and "five minutes ago" in words


def test_the_payload_of_the_page_is_what_is_sent() -> None:
    shown = re.search(r"```json\n(.*?)```", PAGE, re.S)
    assert shown and json.loads(shown[1]) == event(masked(SAMPLE))


def test_every_kind_has_a_section_and_a_row() -> None:
    sections = re.findall(r"^## (\w+)$", PAGE, re.M)
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|", PAGE, re.M)
    assert set(sections) == {name for name, *_ in rows} == set(kinds()) and len(sections) == len(rows)
    for name, secret, states in rows:
        kind = kinds()[name]
        assert secret.startswith("none") == (kind.secret == "none") and secret.startswith("needed") == (kind.secret == "needed")
        assert states == ("all" if len(kind.states) == 3 else "raised, cleared")
