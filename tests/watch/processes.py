"""Processes a test starts, waits for and ends; ports of its own; pages it reads."""
from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
Found = TypeVar("Found")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def page(port: int, path: str, accept: str = "*/*", method: str = "GET") -> tuple[int, str, str]:
    """Status, type and body of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


def until(found: Callable[[], Found], seconds: float, what: str) -> Found:
    """The first true answer; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return answer


def write(path: Path, figures: dict[str, Any]) -> None:
    """Figures for a made-up probe, all at once."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(figures))
    beside.rename(path)


@contextlib.contextmanager
def running(*command: str, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process whose stderr goes to `log`; ended at the end, by its id."""
    with log.open("a") as told:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told, text=True, cwd=ROOT, env={**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        if process.stdout:
            process.stdout.close()


@contextlib.contextmanager
def probe(figures: Path, log: Path, port: int = 0, environment: Mapping[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A made-up probe and the port it serves on."""
    with running(sys.executable, "-m", "tests.watch.made_up", str(figures), str(port), log=log, environment=environment) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line, log.read_text()
        yield process, int(line)
