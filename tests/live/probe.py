"""A probe that a test runs at the near end of a wire."""
from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from dpi.store import open_store
from tests.live.wire import NEAR, Wire


class Run:
    """A probe at the near end."""
    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, cable: Wire, folder: Path, *options: str, store: bool = True) -> None:
        self.folder = folder
        url = f"chdb://{folder}/store" if store else "none"
        asked = ["-i", NEAR, "--store", url, "--json", "--name", "box", "--listen", "", *options]
        self.process = cable.run(cable.near, [sys.executable, "-m", "dpi.cli.main", "probe", *asked],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(self.process)
        assert self.process.stderr is not None
        said = b""
        for line in self.process.stderr:
            said += line
            if b"reading" in line:
                return
        raise AssertionError(said.decode())

    def end(self, how: int = signal.SIGTERM) -> dict[str, Any]:
        """Its one worker, or the sum of all, after SIGTERM."""
        # to all its processes at once, as systemd and a terminal do: the engine's own goes on until the last row
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for one in (self.process.pid, *map(int, children)):
            os.kill(one, how)
        said, complaints = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, complaints.decode()
        self.workers = json.loads(said)["workers"]
        return {"packets": sum(one["packets"] for one in self.workers), "wire_bytes": sum(one["wire_bytes"] for one in self.workers),
                "kernel": sum(one["lost"]["kernel"] for one in self.workers), "refused": {k: v for one in self.workers for k, v in one["refused"].items()}}

    def ask_beside(self, cable: Wire, sql: str) -> list[str]:
        """What `fullspan query` says beside it: words of one row."""
        asked = [sys.executable, "-m", "dpi.cli.main", "query", "--store", f"chdb://{self.folder}/store", sql]
        return cable.run(cable.near, asked, stdout=subprocess.PIPE).communicate(timeout=60)[0].decode().split("\n")[1].split()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the store it left."""
        with contextlib.closing(open_store(f"chdb://{self.folder}/store", create=False)) as store:
            return store.query(sql).rows


def check(cable: Wire, folder: Path, *options: str, before: tuple[str, ...] = ()) -> tuple[subprocess.Popen[bytes], bytes]:
    """`probe --check` at the near end, ended, and what it complained of."""
    done = cable.run(cable.near, [*before, sys.executable, "-m", "dpi.cli.main", "probe", "--check", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     cwd=folder)
    return done, done.communicate(timeout=60)[1]
