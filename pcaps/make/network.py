"""A small network of namespaces: one server with a bridge, one client per user, tcpdump on the bridge.

Everything stays inside namespaces made here; nothing has a way out. Addresses are those reserved for documentation:
192.0.2.0/24 and 2001:db8::/64 are the office, 198.51.100.0/24 and 203.0.113.0/24 stand for the internet and are
answered by the server itself. Offloads are off, so that frames have the sizes and checksums a cable would show.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "pcaps" / "make" / ".venv" / "bin" / "python"
SERVER = "192.0.2.1"
SERVER6 = "2001:db8::1"
PACKET_LIMIT = 20_000
"""No capture may hold more packets than this; tcpdump stops there."""


def address(user: int) -> str:
    """The IPv4 address of client number `user` (0, 1, ...)."""
    return f"192.0.2.{10 + user}"


def address6(user: int) -> str:
    """The IPv6 address of client number `user` (0, 1, ...)."""
    return f"2001:db8::{10 + user}"


class Trouble(RuntimeError):
    """A program did not start, did not answer or ended with an error."""


class Network:
    """The server's namespace and `users` client namespaces, removed with everything in them on leaving the block.

    `folder` is a scratch directory readable by every user. Hosts are named "server", "client", "client1", "client2" ...
    """

    def __init__(self, users: int = 1) -> None:
        self.users = users
        self.prefix = f"fsp{os.getpid()}"
        self.folder = Path(tempfile.mkdtemp(prefix="pcaps-"))
        self.folder.chmod(0o755)
        self.started: list[subprocess.Popen[bytes]] = []
        self.dump: subprocess.Popen[bytes] | None = None

    # -- namespaces ---------------------------------------------------------------------------------------------------

    def name(self, host: str) -> str:
        """The namespace of a host."""
        return f"{self.prefix}-{host}"

    def hosts(self) -> list[str]:
        """Every host's name, the server first."""
        return ["server"] + ["client" + (str(user) if user else "") for user in range(self.users)]

    def __enter__(self) -> Network:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ip(self, line: str) -> None:
        subprocess.run(["ip", *line.split()], check=True)

    def _build(self) -> None:
        quiet = (
            "for f in /proc/sys/net/ipv6/conf/default /proc/sys/net/ipv6/conf/all; do echo 0 >$f/accept_dad; echo 0 >$f/router_solicitations; done"
        )
        for host in self.hosts():
            self._ip(f"netns add {self.name(host)}")
            self.run(host, ["sh", "-c", quiet])
            self._ip(f"-n {self.name(host)} link set lo up")
            self._settle(host, f"nameserver {SERVER}\noptions timeout:2 attempts:1\n")
        server = self.name("server")
        self._ip(f"-n {server} link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0")
        for user, host in enumerate(self.hosts()[1:]):
            there, port = self.name(host), f"port{user}"
            self._ip(f"link add {port} netns {server} type veth peer name eth0 netns {there}")
            self._ip(f"-n {there} link set eth0 address 02:00:00:00:01:{10 + user:02x} addrgenmode none")
            self._ip(f"-n {server} link set {port} addrgenmode none master br0 up")
            for where, device in ((there, "eth0"), (server, port)):
                self._offloads(where, device)
            self._ip(f"-n {there} address add {address(user)}/24 dev eth0")
            self._ip(f"-n {there} address add {address6(user)}/64 dev eth0 nodad")
            self._ip(f"-n {there} link set eth0 up")
            self._ip(f"-n {there} route add default via {SERVER}")
        self._offloads(server, "br0")
        self._ip(f"-n {server} link set br0 addrgenmode none")
        self._ip(f"-n {server} link set br0 up")
        self._ip(f"-n {server} address add {SERVER}/24 dev br0")
        self._ip(f"-n {server} address add {SERVER6}/64 dev br0 nodad")
        time.sleep(0.3)

    @staticmethod
    def _offloads(namespace: str, device: str) -> None:
        line = ["ip", "netns", "exec", namespace, "ethtool", "-K", device]
        for feature in ("tx", "sg", "tso", "gso", "gro"):
            subprocess.run([*line, feature, "off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def _settle(self, host: str, resolver: str) -> None:
        """`ip netns exec` binds these files over those in /etc for the programs it runs."""
        folder = Path("/etc/netns") / self.name(host)
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text(resolver)
        (folder / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n{SERVER} server server.example.com\n")
        (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")

    def internet(self, *addresses: str) -> None:
        """Give the server further addresses, which stand for hosts of the internet."""
        for one in addresses:
            self._ip(f"-n {self.name('server')} address add {one}/32 dev br0")

    # -- programs -----------------------------------------------------------------------------------------------------

    def _line(self, host: str, command: Sequence[str | Path], user: str = "") -> list[str]:
        line = ["ip", "netns", "exec", self.name(host)]
        if user:
            line += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", f"HOME={self.folder}"]
        return line + [str(word) for word in command]

    def run(
        self, host: str, command: Sequence[str | Path], *, stdin: str | bytes = b"", seconds: float = 30, check: bool = True, user: str = ""
    ) -> bytes:
        """Run a program to its end on `host` and give what it printed; Trouble if it fails and `check` is set."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(self._line(host, command, user), input=data, capture_output=True, timeout=seconds, check=False, cwd=ROOT)
        if check and done.returncode:
            raise Trouble(
                f"{' '.join(map(str, command))[:200]}: ended with {done.returncode}\n{(done.stdout + done.stderr)[-1500:].decode(errors='replace')}"
            )
        return done.stdout + done.stderr

    def start(
        self, host: str, command: Sequence[str | Path], *, tcp: int = 0, udp: int = 0, unix: Path | None = None, user: str = "", seconds: float = 25
    ) -> subprocess.Popen[bytes]:
        """Start a program that stays, and wait until it listens on the port or socket given."""
        log = self.folder / f"{len(self.started):02d}-{Path(str(command[0])).name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self._line(host, command, user), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=ROOT
            )
        self.started.append(process)
        end = time.monotonic() + seconds
        while tcp or udp or unix:
            if unix is not None:
                ready = unix.exists()
            else:
                ready = bool(self.run(host, ["ss", "-Hln", "-t" if tcp else "-u", f"sport = :{tcp or udp}"]).strip())
            if ready:
                break
            if process.poll() not in (None, 0) or time.monotonic() > end:
                raise Trouble(f"{' '.join(map(str, command))[:200]}: not listening\n{log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.1)
        return process

    def python(self, host: str, function: str, *words: str | int, **how: int | float) -> bytes:
        """Run `module.function(words...)` of a script in this folder to its end."""
        return self.run(host, self.call(function, words), **how)  # type: ignore[arg-type]

    def call(self, function: str, words: Iterable[str | int] = ()) -> list[str]:
        """The command line that calls `module.function(words...)` with the Python that has requirements.txt installed."""
        module, name = function.split(".")
        python = str(PYTHON if PYTHON.exists() else sys.executable)
        return [python, "-c", f"from pcaps.make.{module} import {name} as f; f({', '.join(map(repr, words))})"]

    def stop(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
        """End a program started here, by its id and that of its group."""
        if process.poll() is None:
            os.killpg(process.pid, how)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)

    # -- capture ------------------------------------------------------------------------------------------------------

    def capture(self) -> None:
        """Start tcpdump on the bridge; it writes to `part.pcap` in the scratch folder until `captured` is called."""
        line = ["tcpdump", "-i", "br0", "-n", "-w", self.folder / "part.pcap", "-s", "0", "-U", "-B", "8192", "-Z", "root", "-c", str(PACKET_LIMIT)]
        log = (self.folder / "tcpdump.log").open("wb")
        self.dump = subprocess.Popen(self._line("server", line), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        for _ in range(100):
            if "listening on" in (self.folder / "tcpdump.log").read_text(errors="replace"):
                time.sleep(0.1)
                return
            time.sleep(0.1)
        raise Trouble("tcpdump did not start")

    def captured(self) -> None:
        """Stop tcpdump; Trouble if the kernel dropped packets before it could read them."""
        if self.dump is None:
            return
        time.sleep(1.2)
        self.stop(self.dump)
        self.dump = None
        said = (self.folder / "tcpdump.log").read_text(errors="replace")
        if "\n0 packets dropped by kernel" not in said:
            raise Trouble(f"packets were lost: {said}")

    def close(self) -> None:
        """End every program in the namespaces and remove them and the scratch folder."""
        if self.dump is not None:
            self.stop(self.dump)
        for process in reversed(self.started):
            self.stop(process)
        for host in self.hosts():
            left = subprocess.run(["ip", "netns", "pids", self.name(host)], capture_output=True, text=True, check=False).stdout.split()
            for one in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(one), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", self.name(host)], stderr=subprocess.DEVNULL, check=False)
            shutil.rmtree(Path("/etc/netns") / self.name(host), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Make a self-signed certificate for `names` and give (certificate, key), both PEM and readable by every user."""
    out, key = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    subject = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            f"/CN={names[0]}",
            "-addext",
            f"subjectAltName={subject}",
            "-keyout",
            key,
            "-out",
            out,
        ],
        check=True,
        capture_output=True,
    )
    key.chmod(0o644)
    return out, key
