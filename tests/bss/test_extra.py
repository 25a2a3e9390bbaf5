"""Without the extra `bss` its commands say what is missing, in a line."""
from __future__ import annotations

import subprocess
import sys


def test_what_is_not_installed_is_said_in_a_line() -> None:
    code = "import sys; sys.modules['sqlalchemy'] = None; from dpi.cli.main import main; sys.argv = ['fullspan', 'bss', 'order', 'list']; main()"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'fullspan[bss]'" in done.stderr and "Traceback" not in done.stderr, done.stderr
