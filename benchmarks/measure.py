"""Whole processes, timed from outside: wall and CPU seconds and peak memory by the operating system's own account of the finished child."""
from __future__ import annotations

import math
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Runs:
    """The runs of one command. Seconds, MB."""
    name: str
    command: Sequence[str]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    output: str = ""
    status: int = 0
    fresh: bool = False         # each run in an empty directory of its own, made before the clock starts and left to the end

    def line(self) -> str:
        """Name, then median (minimum, maximum) of each figure."""
        def three(values: list[float], unit: str) -> str:
            return f"{statistics.median(values):8.3f} ({min(values):.3f} .. {max(values):.3f}) {unit}"
        return f"{self.name:34s} wall {three(self.wall, 's')}  cpu {three(self.cpu, 's')}  peak {statistics.median(self.peak):7.0f} MB  exit {self.status}"


def ordinary(environment: Mapping[str, str] | None) -> dict[str, str]:
    """This environment with changes, less what would keep Python from using its compiled modules."""
    return {name: value for name, value in {**os.environ, **(environment or {})}.items() if name != "PYTHONDONTWRITEBYTECODE"}


def once(runs: Runs, cores: set[int] | None = None, environment: Mapping[str, str] | None = None, directory: str | None = None, count: bool = True) -> None:
    """Run the command once more, on these cores."""
    if runs.fresh:
        directory = tempfile.mkdtemp(dir=directory)
    began = time.perf_counter()
    child = subprocess.Popen(runs.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ordinary(environment),
                             cwd=directory, preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores))
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if not count:
        return
    runs.wall.append(time.perf_counter() - began)
    runs.cpu.append(usage.ru_utime + usage.ru_stime)
    runs.peak.append(usage.ru_maxrss / 1024)
    runs.output, runs.status = output.decode(errors="replace"), child.returncode


def in_turn(runs: Sequence[Runs], times: int = 5, cores: set[int] | None = None, environment: Mapping[str, str] | None = None,
            directory: str | None = None) -> None:
    """A B A B ..., after one run of each that is not counted: what drifts, drifts for all."""
    for one in runs:
        once(one, cores, environment, directory, count=False)
    for _ in range(times):
        for one in runs:
            once(one, cores, environment, directory)


def read_anew(path: str) -> str:
    """Have the file in memory as one that was read from its disk, whoever wrote it and in whatever pieces: pages that came together are mapped together, and
    cost next to nothing; those of a file that was written a little at a time are mapped one by one. What was done, in words."""
    with open(path, "rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began, size = time.perf_counter(), 0
        while some := len(file.read(1 << 24)):
            size += some
    return f"dropped from memory and read from its disk once, {size / 1e9:.2f} GB in {time.perf_counter() - began:.1f} s, before the first run"


def ratio(slow: Runs, fast: Runs) -> str:
    """Median of the pairwise wall ratios."""
    pairs = [a / b for a, b in zip(slow.wall, fast.wall, strict=True)]
    return f"{slow.name} / {fast.name}: {statistics.median(pairs):.2f} ({min(pairs):.2f} .. {max(pairs):.2f})"


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def machine() -> str:
    """What ran it."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in described if line.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit measured, with + where the tree differs."""
    name = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    dirty = subprocess.run(["git", "status", "--porcelain", "dpi", "rules"], capture_output=True, text=True, check=False).stdout.strip()
    return name + ("+" if dirty else "")
