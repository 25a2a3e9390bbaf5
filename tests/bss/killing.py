"""kill -9, many times: what was acknowledged is there afterwards, and nothing is half there.

    acknowledged = kills(settings, "tests.bss.deeds:customer", 100)

runs `function(office, n) -> str` again and again in a process of its own (real clock), each answer written to a pipe after its transaction is committed, and
kills that process in the midst of one of its first acts, so many times. What is given back are the answers that came through. `start` runs one
`function(office)` in a process.
"""
from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bss.office import Office
from bss.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def kills(settings: Settings, function: str, count: int, seed: int = 7) -> list[str]:
    """The answers of a function whose process was killed so many times."""
    done = subprocess.run(_command("kill", settings, function, str(count), str(seed)), cwd=ROOT, env=_environment(), capture_output=True, text=True,
                          timeout=60 + 5 * count)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["killed"] == count, told
    return list(told["acknowledged"])


def start(settings: Settings, function: str) -> subprocess.Popen[str]:
    """A process that says `ready`, waits for a line, and runs a function; what it gives back is the last line."""
    return subprocess.Popen(_command("run", settings, function), cwd=ROOT, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _command(*what: Any) -> list[str]:
    return [sys.executable, "-m", "tests.bss.killing", *(one.model_dump_json() if isinstance(one, Settings) else one for one in what)]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _found(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _victim(office: Office, function: Callable[..., Any], first: int, pipe: int) -> None:
    os.write(pipe, b"\n")
    for n in itertools.count(first):
        os.write(pipe, f"{function(office, n)}\n".encode())


def _kill(settings: Settings, function: Callable[..., Any], count: int, seed: int) -> dict[str, Any]:
    chance, killed, office = random.Random(seed), 0, Office(settings)
    acknowledged, took = [], 0.0
    for n in range(3):                  # so that what is killed does not spend its life on getting warm
        begin = time.monotonic()
        acknowledged.append(str(function(office, n)))
        took = time.monotonic() - begin
    office.close()                      # each process has connections of its own
    for k in range(count):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(out)
            try:
                _victim(office, function, (k + 1) * 1_000_000, into)
            finally:
                os._exit(1)
        os.close(into)
        got, before = b"", chance.randrange(3)          # acts that it may finish
        while got.count(b"\n") <= before and (part := os.read(out, 1 << 16)):
            got += part
        time.sleep(chance.uniform(0, 1.2 * took))
        os.kill(child, signal.SIGKILL)
        while part := os.read(out, 1 << 16):
            got += part
        os.close(out)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        acknowledged += [line for line in got.decode().split("\n")[1:-1] if line]           # the last may be cut
    return {"killed": killed, "acknowledged": acknowledged}


if __name__ == "__main__":
    how, asked, name, *rest = sys.argv[1:]
    _settings, _function = Settings.model_validate_json(asked), _found(name)
    if how == "kill":
        print(json.dumps(_kill(_settings, _function, int(rest[0]), int(rest[1]))))
    else:
        _office = Office(_settings)
        print("ready", flush=True)
        sys.stdin.readline()
        print(_function(_office), flush=True)
