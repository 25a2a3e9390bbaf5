"""Log lines as a daemon writes them: one an event, whatever is in it."""
from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi import logs
from dpi.errors import UserError

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The process's own logging, after each test."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks


def line(form: str, message: str, *args: object, level: int = logging.WARNING, **extra: object) -> str:
    stream = io.StringIO()
    logs.configure(form, "debug", stream, {})
    logging.getLogger("dpi.store").log(level, message, *args, extra=extra)
    told = stream.getvalue()
    assert told.endswith("\n") and len(told.splitlines()) == 1
    return told[:-1]


def test_logfmt() -> None:
    told = line("logfmt", "store %s", "away", store="tcp://[::1]:9000", rows=5, words='a "b" = \\', late=None, up=False)
    assert re.fullmatch(f"time={TIME} " + re.escape(r'level=warning logger=dpi.store msg="store away" store=tcp://[::1]:9000 rows=5 words="a \"b\" = \\" '
                                                      r"late= up=false"), told), told
    assert 'msg="a\\nb\\u001b[2J\\u009b\\u2028"' in line("logfmt", "a\nb\x1b[2J\x9b\u2028")
    assert 'msg=""' in line("logfmt", "") and "msg=你好" in line("logfmt", "你好") and 'msg="\\ud800"' in line("logfmt", "\ud800")
    assert "odd_key_=1" in line("logfmt", "x", **{"odd key\n": 1})


def test_json() -> None:
    told = json.loads(line("json", "store %s", "away", rows=5, lag=0.5, late=None, up=False, path=Path("/x"), endless=float("inf")))
    assert re.fullmatch(TIME, told.pop("time"))
    assert told == {"level": "warning", "logger": "dpi.store", "msg": "store away", "rows": 5, "lag": 0.5, "late": None, "up": False, "path": "/x",
                    "endless": "inf"}


@pytest.mark.parametrize("form", logs.FORMS)
@given(message=st.text(), value=st.text())
@settings(max_examples=150, deadline=None, database=None)
def test_any_text_is_one_line_without_control_characters(form: str, message: str, value: str) -> None:
    record = logging.makeLogRecord({"name": "n", "msg": message, "value": value, "levelno": 20, "levelname": "INFO"})
    told = logs.Lines(form).format(record)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", told)
    if form == "json":
        assert json.loads(told)["value"] == value and json.loads(told)["msg"] == message


def test_an_exception_is_in_the_line() -> None:
    stream = io.StringIO()
    logs.configure("logfmt", "info", stream, {})
    try:
        try:
            raise OSError(111, "Connection\nrefused")
        except OSError as error:
            raise ValueError("no rows") from error
    except ValueError:
        logging.getLogger("dpi").exception("can't write")
    told = stream.getvalue()
    assert told.count("\n") == 1 and 'error="ValueError: no rows <- ' in told and "[Errno 111] Connection\\nrefused" in told
    assert re.search(r'at="watch/test_logs\.py:\d+ test_an_exception_is_in_the_line"', told)

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    assert "<Odd without words: RuntimeError>" in line("logfmt", "x", odd=Odd())
    wrong = logging.makeLogRecord({"msg": "%d rows", "args": ("five",)})        # the wrong argument for its words
    assert "msg=\"%d rows ('five',)\"" in logs.Lines().format(wrong)
    assert len(line("logfmt", "x" * 1_000_000)) < logs.LONGEST + 200


def test_levels_and_settings() -> None:
    stream = io.StringIO()
    logs.configure("logfmt", "warning", stream, {})
    logs.configure("logfmt", "warning", stream, {})         # lines don't come twice
    logging.getLogger("dpi").info("not told")
    logging.getLogger("dpi").warning("told")
    assert stream.getvalue().count("\n") == 1 and "msg=told" in stream.getvalue()
    with pytest.raises(UserError, match="it may be logfmt or json"):
        logs.configure("xml")
    with pytest.raises(UserError, match="debug or info or warning or error"):
        logs.configure("json", "loud")


SCRIPT = """
import logging, threading, warnings
from dpi import logs
logs.configure()
logging.getLogger("dpi").info("begun")
warnings.warn("old setting")
thread = threading.Thread(target=lambda: {}["absent"]); thread.start(); thread.join()
raise SystemError("lost\\nits way")
"""


def run(environment: dict[str, str], stderr: Path) -> list[str]:
    """Lines a process of its own writes to the file."""
    with stderr.open("w") as file:
        done = subprocess.run([sys.executable, "-c", SCRIPT], stderr=file, env={**os.environ, **environment}, timeout=60)
    assert done.returncode == 1
    return stderr.read_text().splitlines()


def test_a_process_writes_lines_only_and_the_journal_gets_priorities_instead_of_times(tmp_path: Path) -> None:
    stderr = tmp_path / "stderr"
    stderr.touch()
    journal = {"JOURNAL_STREAM": f"{stderr.stat().st_dev}:{stderr.stat().st_ino}"}
    plain = run({"JOURNAL_STREAM": "1:2"}, stderr)
    assert len(plain) == 4 and all(re.match(f"time={TIME} level=", one) for one in plain)
    told = run(journal, stderr)
    assert [one[:3] + one[3:].split()[0] for one in told] == ["<6>level=info", "<4>level=warning", "<2>level=critical", "<2>level=critical"]
    assert "old setting" in told[1] and "error=\"KeyError: 'absent'\"" in told[2] and 'error="SystemError: lost\\nits way"' in told[3]


def test_a_stderr_that_cannot_be_written_ends_nothing() -> None:
    code = "import logging; from dpi import logs; logs.configure(); logging.getLogger('x').error('y'); print('on')"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stderr=full, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "on\n"
