"""Remote work: OpenSSH (a command, sftp), telnet."""

from __future__ import annotations

import shutil
from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network


def sshd(net: Network) -> list[str]:
    """Start sshd with keys of its own and give the client's options."""
    for name in ("host", "user"):
        net.run("server", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", net.folder / name])
    shutil.copy(net.folder / "user.pub", net.folder / "authorized")
    config = net.folder / "sshd_config"
    config.write_text(
        f"HostKey {net.folder}/host\nAuthorizedKeysFile {net.folder}/authorized\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
        f"PrintMotd no\nSubsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    net.start("server", ["/usr/sbin/sshd", "-D", "-e", "-f", config], tcp=22)
    return ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes", "-i", str(net.folder / "user")]


@capture("ssh", "openssh-server openssh-client", "SSH 2: a command, then an sftp session with a put and a get")
def ssh(net: Network) -> None:
    """A shell command and a file."""
    options = sshd(net)
    net.capture()
    net.run("client", ["ssh", *options, f"root@{SERVER}", "echo hello; uname -s"])
    small = net.folder / "small.txt"
    small.write_text("a line\n" * 300)
    net.run(
        "client",
        ["sftp", *options, "-b", "-", f"root@{SERVER}"],
        stdin=f"put {small} {net.folder}/put.txt\nls -l {net.folder}/put.txt\nget {net.folder}/put.txt {net.folder}/get.txt\n",
    )


@capture("telnet", "inetutils-telnetd telnet socat", "telnet: option negotiation, a few lines typed at a shell")
def telnet(net: Network) -> None:
    """A terminal in clear."""
    shell = net.folder / "shell"
    shell.write_text("#!/bin/sh\nread name\necho hello $name\nread again\n")
    shell.chmod(0o755)
    net.start("server", ["socat", "TCP-LISTEN:23,reuseaddr", f"EXEC:/usr/sbin/telnetd -h -E {shell},nofork"], tcp=23)
    net.capture()
    net.run("client", ["sh", "-c", f"(sleep 0.7; echo alice; sleep 0.7; echo bye; sleep 0.7) | telnet {SERVER}"], check=False, seconds=15)
