"""What each script makes: the captures, their programs, and the rows of pcaps/README.md."""

from __future__ import annotations

import datetime
import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pcaps.make.network import PYTHON, ROOT, Network, Trouble

PCAPS = ROOT / "pcaps"
README = PCAPS / "README.md"
HEAD = "| file | programs and versions | packets | what it shows | script | date |"
PLUMBING = ("iproute2", "ethtool", "tcpdump", "openssl", "util-linux")
LARGEST = 2_000_000


@dataclass(frozen=True)
class Capture:
    """One capture: `programs` are Debian packages, or ``pypi:NAME`` for a package of requirements.txt."""

    name: str
    programs: tuple[str, ...]
    shows: str
    users: int
    script: str
    make: Callable[[Network], None]


CAPTURES: dict[str, Capture] = {}


def capture(name: str, programs: str, shows: str, users: int = 1) -> Callable[[Callable[[Network], None]], Callable[[Network], None]]:
    """Register a function that makes ``NAME.pcap``: it starts the servers, calls `net.capture()`, and runs the clients."""

    def register(function: Callable[[Network], None]) -> Callable[[Network], None]:
        script = "make/" + function.__module__.rsplit(".", 1)[-1] + ".py"
        CAPTURES[name] = Capture(name, tuple(programs.split()), shows, users, script, function)
        return function

    return register


def install(captures: list[Capture]) -> None:
    """Install the Debian packages the captures name, with no service started, and the Python packages in a venv here."""
    names = sorted({program for one in captures for program in one.programs if ":" not in program} | set(PLUMBING))
    missing = [name for name in names if not version(name)]
    if missing:
        policy = Path("/usr/sbin/policy-rc.d")
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            subprocess.run(
                ["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            )
        finally:
            if ours:
                policy.unlink()
    if any(program.startswith("pypi:") for one in captures for program in one.programs) and not PYTHON.exists():
        subprocess.run(["python3", "-m", "venv", PYTHON.parents[1]], check=True)
        subprocess.run([PYTHON, "-m", "pip", "install", "-q", "-r", PCAPS / "make" / "requirements.txt"], check=True)


def version(program: str) -> str:
    """The upstream version of a Debian or PyPI package, '' if it isn't installed."""
    if program.startswith("pypi:"):
        ask = f"import importlib.metadata as m; print(m.version({program[5:]!r}))"
        return subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", program], capture_output=True, text=True, check=False
    ).stdout.split()
    return said[1].split(":")[-1].rsplit("-", 1)[0] if len(said) == 2 and said[0] == "installed" else ""


def packets(path: Path) -> int:
    """Count the records of a little-endian microsecond pcap file; Trouble if the last one is cut off."""
    data = path.read_bytes()
    if data[:4] != b"\xd4\xc3\xb2\xa1":
        raise Trouble(f"{path}: no little-endian pcap file")
    at, count = 24, 0
    while at + 16 <= len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        count += 1
    if at != len(data):
        raise Trouble(f"{path}: the last record is cut off")
    return count


def build(one: Capture) -> str:
    """Make one capture and give its row. The file appears whole or not at all."""
    target = PCAPS / f"{one.name}.pcap"
    with Network(one.users) as net:
        part = net.folder / "part.pcap"
        one.make(net)
        net.captured()
        size, count = part.stat().st_size, packets(part)
        if not count >= 2 or size > LARGEST:
            raise Trouble(f"{one.name}: {count} packets, {size} bytes: want some, but at most {LARGEST} bytes")
        temporary = target.with_suffix(".new")
        temporary.write_bytes(part.read_bytes())
        temporary.replace(target)
    programs = ", ".join(f"{program.split(':')[-1]} {version(program)}".strip() for program in one.programs)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"| {target.name} | {programs} | {count} | {one.shows} | {one.script} | {day} |"


def record(row: str) -> None:
    """Put a row into the README's table, in the place of the one of the same file if there is one."""
    lines = README.read_text().splitlines()
    start = lines.index(HEAD) + 2
    end = start
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    rows = {line.split("|")[1].strip(): line for line in lines[start:end]}
    rows[row.split("|")[1].strip()] = row
    README.write_text("\n".join([*lines[:start], *(rows[name] for name in sorted(rows)), *lines[end:]]) + "\n")
