"""python -m benchmarks.service: deploy/fullspan-probe.service under a real systemd, as a probe box has it.

A virtual environment of Debian's own python, the package installed there, and systemd as the first process of namespaces made for it (processes, mounts,
network: a cable of its own), with the unit as it is and no other service. It must start when it reads and not before, with CAP_NET_RAW and nothing else,
take a reload, be started again by the watchdog when it hangs and after a kill, and lose nothing at its stop. Exit status 1 where it does not. Root.
"""
from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import commit, machine

ROOT = Path(__file__).resolve().parents[1]
UNIT = "fullspan-probe"
TARGETS = ("boot", "sysinit", "basic", "shutdown", "network-online", "time-sync")
BOOT = """set -e
mount --make-rprivate /
ip link set lo up
ip link add near0 type veth peer name far0
for end in near0 far0; do ip link set $end arp off up; done
for place in /run /opt /var/lib /var/cache; do mount -t tmpfs -o mode=0755 tmpfs $place; done
mkdir -p /run/systemd/system /opt/fullspan
mount --bind {folder}/venv /opt/fullspan
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir -p /mnt/etc/fullspan /mnt/work
echo 'PROBE_OPTIONS=--interface near0' > /mnt/etc/fullspan/probe.env
mount -t overlay -o lowerdir=/mnt/etc:/etc overlay /etc
export container=namespaces SYSTEMD_UNIT_PATH={folder}/units
exec /lib/systemd/systemd --system --unit=boot.target --log-target=null --show-status=0
"""
SEND = """
import socket, time
from tests.live.wire import FAR, frames
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind((FAR, 0))
for number, frame in enumerate(frames(5000, 100)):
    out.send(frame)
    if number % 100 == 0:
        time.sleep(0.001)
"""
SUMS = "SELECT uniqExact(client_port), sum(client_packets) FROM flows WHERE server_port = 9999"


class Box:
    """The namespaces and their systemd."""

    def __init__(self, process: int) -> None:
        self._enter = ("nsenter", "-t", str(process), "-m", "-p", "-n", "-i", "-u")

    def run(self, *command: str, seconds: float = 60) -> str:
        """What a command says there."""
        done = subprocess.run([*self._enter, *command], capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT,
                              env={"PATH": "/opt/fullspan/bin:/usr/bin:/bin:/usr/sbin:/sbin"})
        return (done.stdout + done.stderr).strip()

    def shown(self, name: str) -> str:
        """A property of the unit."""
        return self.run("systemctl", "show", UNIT, "-p", name, "--value")

    def send(self) -> None:
        """5 000 frames of 100 conversations."""
        subprocess.run([*self._enter[:3], "-n", sys.executable, "-c", SEND], check=True, cwd=ROOT, timeout=60)

    def kill(self, how: signal.Signals) -> None:
        """A signal to the unit's first process."""
        self.run("kill", f"-{how.value}", self.shown("MainPID"))

    def sums(self) -> str:
        """Conversations and packets in the store."""
        return self.run("fullspan", "query", "--store", "chdb:////var/lib/fullspan/store", SUMS).splitlines()[-1].replace("\t", " ")


@contextlib.contextmanager
def box() -> Iterator[Box]:
    """Installed and booted; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="fullspan-service-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(folder / "venv")], check=True)
        subprocess.run([str(folder / "venv/bin/pip"), "install", "-q", "--disable-pip-version-check", str(ROOT)], check=True, stderr=subprocess.DEVNULL)
        for script in (folder / "venv/bin").iterdir():         # they name the environment by the place where it will be
            if script.is_file() and not script.is_symlink() and script.read_bytes()[:2] == b"#!":
                script.write_text(script.read_text().replace(f"{folder}/venv", "/opt/fullspan"))
        (folder / "units").mkdir()
        shutil.copy(ROOT / "deploy" / f"{UNIT}.service", folder / "units")
        for target in TARGETS:
            (folder / "units" / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        (folder / "boot").write_text(BOOT.format(folder=folder))
        apart = ("--pid", "--mount", "--uts", "--ipc", "--net", "--mount-proc")
        outer = subprocess.Popen(["unshare", "--fork", "--kill-child", *apart, "bash", str(folder / "boot")])
        try:
            until(lambda: bool(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()), 10)
            one = Box(int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0]))
            until(lambda: one.run("systemctl", "is-active", "boot.target") == "active", 20)
            yield one
        finally:
            outer.kill()
            outer.wait()


def until(found: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true within so many seconds."""
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def main() -> None:
    """Step by step; each is a line."""
    failed = []

    def check(what: str, good: bool, said: str = "") -> None:
        print(f"{'ok    ' if good else 'FAILED'}  {what}{': ' + said if said else ''}", flush=True)
        if not good:
            failed.append(what)
    print(f"commit {commit()}; {machine()}\n{subprocess.run(['systemctl', '--version'], capture_output=True, text=True, check=True).stdout.splitlines()[0]}")
    with box() as one:
        began = time.monotonic()
        complaint = one.run("systemctl", "start", UNIT, seconds=320)
        check("started, as the probe itself told (Type=notify; the first start compiles kernels)", one.shown("ActiveState") == "active" and not complaint,
              f"{time.monotonic() - began:.0f} s {complaint}")
        status = one.run("cat", f"/proc/{one.shown('MainPID')}/status")
        capabilities, user = (re.search(rf"^{name}:\s+(\w+)", status, re.M).group(1) for name in ("CapEff", "Uid"))     # type: ignore[union-attr]
        check("it runs as a user made for it, with CAP_NET_RAW only", int(capabilities, 16) == 1 << 13 and int(user) != 0, f"uid {user}, CapEff {capabilities}")
        one.send()
        check("ready", until(lambda: one.run("curl", "-s", "127.0.0.1:9470/readyz") == "ok", 20))
        check("its status is a line of systemctl", "packets from near0" in one.shown("StatusText"), one.shown("StatusText"))
        complaint = one.run("systemctl", "reload", UNIT)
        counted = until(lambda: "fullspan_reloads_total 1.0" in one.run("curl", "-s", "127.0.0.1:9470/metrics"), 20)
        check("reloaded", not complaint and counted and one.shown("ActiveState") == "active")
        before = one.shown("MainPID")
        check("it stopped", not one.run("systemctl", "stop", UNIT) and one.shown("Result") == "success", f"exit status {one.shown('ExecMainStatus')}")
        check("and lost nothing", one.sums() == "100 5000", f"conversations and packets in the store: {one.sums()}")

        one.run("systemctl", "start", UNIT, seconds=320)
        one.kill(signal.SIGKILL)
        check("killed, it is started again", until(lambda: one.shown("NRestarts") == "1" and one.shown("ActiveState") == "active", 60))
        before = one.shown("MainPID")
        one.kill(signal.SIGSTOP)
        began = time.monotonic()
        check("hanging, the watchdog has it started again", until(lambda: one.shown("NRestarts") == "2" and one.shown("ActiveState") == "active", 120)
              and one.shown("MainPID") != before, f"{time.monotonic() - began:.0f} s")
        one.send()
        one.run("systemctl", "stop", UNIT)
        check("it reads after that as before", one.sums() == "100 10000", f"conversations and packets in the store: {one.sums()}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    assert os.geteuid() == 0, "namespaces need root"
    main()
