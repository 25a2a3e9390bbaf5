"""The command line. Where it is what was started, its modules come out of the bundle of its command."""
from __future__ import annotations

import gc
import os
import sys

from dpi import bundle

_START = 500_000                # objects made between two looks for garbage: a start makes many and throws few away
#: Of the command that was started; None where somebody else imports this.
modules: bundle.Bundle | None = None
if sys.argv[0] == "-m" or os.path.basename(sys.argv[0]) == "fullspan":      # `python -m dpi.cli.main`, which says so until it has found it; `fullspan`
    gc.set_threshold(_START)
    _asked = sys.argv[1] if len(sys.argv) > 1 else ""
    _own = _asked.isidentifier() and os.path.isfile(os.path.join(os.path.dirname(__file__), f"{_asked}.py"))
    if _own or not _asked or _asked.startswith("-"):
        modules = bundle.used(_asked if _own else "fullspan")
