"""Real servers, to be started by `place.serve(SERVER, HOST)`: on every address of the host, with passwords nobody will guess."""
from __future__ import annotations

import random
from pathlib import Path

from benchmarks.attacks.place import CUSTOMERS, RESOLVER, SERVER, SERVER6, Place
from pcaps.make.network import certificate

USER, PASSWORD = "alice", "correct-horse"
TUNNEL = "t.example.com"
"""The zone of a tunnel, whose server is 203.0.113.54."""


def site(place: Place, host: str) -> Path:
    """A folder of pages: small, medium, large; PUT goes to /in/."""
    folder = place.folder / f"site-{host}"
    if folder.exists():
        return folder
    folder.mkdir()
    (folder / "index.html").write_text("<html><head><link rel=stylesheet href=style.css></head><body>" + "<p>A line of a page.</p>\n" * 60 + "</body></html>\n")
    (folder / "style.css").write_text("p { margin: 1em }\n" * 200)
    (folder / "health").write_text("ok\n")
    (folder / "private").mkdir()
    (folder / "private" / "index.html").write_text("<p>For some only.</p>\n")
    noise = random.Random(1)
    for name, size in (("picture.bin", 60_000), ("segment.bin", 400_000), ("package.bin", 8_000_000), ("disk.bin", 30_000_000)):
        (folder / name).write_bytes(noise.randbytes(size))
    for one in folder.rglob("*"):
        one.chmod(0o755 if one.is_dir() else 0o644)
    return folder


def nginx(place: Place, host: str) -> None:
    """nginx on port 80 and, with a certificate of its own, 443; /private/ asks for a password, /form is read to its end before it is passed on to nobody."""
    cert, key = certificate(place.folder, f"{host}.example.com")
    secret = place.run(host, ["openssl", "passwd", "-apr1", PASSWORD]).decode().strip()
    (place.folder / "htpasswd").write_text(f"{USER}:{secret}\n")
    (place.folder / "htpasswd").chmod(0o644)
    inbox = place.folder / f"in-{host}"
    inbox.mkdir()
    inbox.chmod(0o777)
    config = place.folder / f"nginx-{host}.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {place.folder}/nginx-{host}.pid;\n"
        f"error_log {place.folder}/nginx-{host}.err;\nevents {{ worker_connections 2048; }}\n"
        "http { access_log off; keepalive_timeout 20; client_max_body_size 200m; types { text/html html; text/css css; application/octet-stream bin; }\n"
        f" server {{ listen 80 default_server backlog=1024; listen [::]:80; listen 443 ssl;\n"
        f"  listen [::]:443 ssl; ssl_certificate {cert}; ssl_certificate_key {key};\n"
        f"  root {site(place, host)}; location /private/ {{ auth_basic \"private\"; auth_basic_user_file {place.folder}/htpasswd; }}\n"
        f"  location /form {{ proxy_pass http://127.0.0.1:9; }}\n"
        f"  location /in/ {{ alias {inbox}/; client_body_temp_path {inbox}/body; dav_methods PUT; create_full_put_path on; }} }} }}\n")
    place.start(host, ["nginx", "-c", config], tcp=80)


def sshd(place: Place, host: str) -> list[str]:
    """sshd that takes passwords and one key; a client's options with that key."""
    for name in ("host", "user"):
        if not (place.folder / f"{name}-{host}").exists():
            place.run(host, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", place.folder / f"{name}-{host}"])
    config = place.folder / f"sshd-{host}"
    config.write_text(f"HostKey {place.folder}/host-{host}\nAuthorizedKeysFile {place.folder}/user-{host}.pub\nPidFile none\nUsePAM no\n"
                      "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n"
                      "UseDNS no\nPrintMotd no\nSubsystem sftp internal-sftp\nMaxStartups 100\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    place.start(host, ["/usr/sbin/sshd", "-D", "-e", "-f", config], tcp=22)
    return ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes",
            "-i", str(place.folder / f"user-{host}")]


def vsftpd(place: Place, host: str) -> None:
    """vsftpd for users of the machine, of whom none may log in, and for guests, who find a file."""
    folder, empty = place.folder / f"ftp-{host}", place.folder / "empty"
    for one in (folder, empty):
        one.mkdir(exist_ok=True)
        one.chmod(0o555)
    config = place.folder / f"vsftpd-{host}"
    config.write_text(f"listen=YES\nbackground=NO\nanonymous_enable=YES\nlocal_enable=YES\nanon_root={folder}\nsecure_chroot_dir={empty}\npam_service_name=vsftpd\n"
                      "seccomp_sandbox=NO\nftp_username=daemon\nmax_login_fails=3\ndelay_failed_login=0\n")
    place.start(host, ["vsftpd", config], tcp=21)


def dovecot(place: Place, host: str) -> None:
    """IMAP and POP3, in clear and with TLS, with one user; a refused one is answered at once, however often."""
    cert, key = certificate(place.folder, f"mail-{host}.example.com")
    home = place.folder / f"mailbox-{host}"
    for part in ("new", "cur", "tmp"):
        (home / "Maildir" / part).mkdir(parents=True)
    (home / "Maildir" / "new" / "1.letter").write_text("From: a@example.com\nTo: b@example.com\nSubject: A note\n\n" + "A line of a letter.\n" * 20)
    (place.folder / f"users-{host}").write_text(f"{USER}:{{PLAIN}}{PASSWORD}:8:8::{home}\n")
    place.run(host, ["chown", "-R", "mail:mail", home])
    config = place.folder / f"dovecot-{host}.conf"
    config.write_text(
        f"base_dir = {place.folder}/dovecot-{host}\nstate_dir = {place.folder}/dovecot-state-{host}\nprotocols = imap pop3\n"
        f"log_path = {place.folder}/dovecot-{host}.log\n"
        f"ssl = yes\nssl_cert = <{cert}\nssl_key = <{key}\ndisable_plaintext_auth = no\n"
        f"first_valid_uid = 1\nmail_location = maildir:~/Maildir\nlisten = *\nauth_failure_delay = 0\n"
        f"passdb {{\n driver = passwd-file\n args = {place.folder}/users-{host}\n}}\n"
        f"userdb {{\n driver = passwd-file\n args = {place.folder}/users-{host}\n}}\n"
        "service stats {\n  client_limit = 100\n}\nservice anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n")
    place.start(host, ["dovecot", "-F", "-c", config], tcp=143)


def smtp(place: Place, host: str) -> None:
    """aiosmtpd on ports 25 and 587: takes every letter, and one password."""
    for port in (25, 587):
        place.start(host, place.script("responders", "smtp", port, USER, PASSWORD), tcp=port)


def resolver(place: Place, host: str) -> None:
    """dnsmasq on the resolver's address: names of the pages here, NXDOMAIN for what it doesn't know, the tunnel's zone forwarded to its server."""
    names = {"www.example.com": SERVER, "cdn.example.com": "203.0.113.11", "deb.debian.org": "203.0.113.12", "video.example.net": "203.0.113.13",
             "backup.example.org": "203.0.113.14", "mail.example.com": "203.0.113.15", "git.example.org": "203.0.113.16", "broker.example.com": "203.0.113.17",
             "time.example.com": "203.0.113.18"}
    names |= {f"site{one}.example.{end}": f"203.0.113.{20 + one % 30}" for one in range(60) for end in ("com", "net", "org")}
    lines = ["no-daemon", "no-resolv", "no-hosts", "user=root", "bind-interfaces", f"listen-address={RESOLVER}",
             f"pid-file={place.folder}/resolver.pid",
             "local=/com/net/org/info/biz/arpa/", f"server=/{TUNNEL}/203.0.113.54", "local-ttl=60",
             "mx-host=example.com,mail.example.com,10", "dns-forward-max=1000"]
    config = place.folder / "resolver.conf"
    lines += [f"host-record={name},{where}" for name, where in names.items()] + [f"host-record=www.example.com,{SERVER6}"]
    config.write_text("\n".join(lines) + "\n")
    place.start(host, ["dnsmasq", "-C", config], udp=53)


def large_names(place: Place, host: str) -> None:
    """dnsmasq on 203.0.113.30-49, each of which answers TXT example.org with 3 kB: an open resolver, as a reflector is."""
    words = "\n".join(f"txt-record=example.org,{one:02d}{'x' * 240}" for one in range(12))
    config = place.folder / "large.conf"
    config.write_text("no-daemon\nno-resolv\nno-hosts\nuser=root\nbind-interfaces\nedns-packet-max=4096\nlocal=/org/\n"
                      f"pid-file={place.folder}/large.pid\n" + "".join(f"listen-address=203.0.113.{one}\n" for one in range(30, 50)) + words + "\n")
    place.start(host, ["dnsmasq", "-C", config], udp=53)


def own_names(place: Place, host: str) -> None:
    """dnsmasq of a customer, on all of the host's addresses: knows its own zone and no other."""
    config = place.folder / f"own-{host}.conf"
    config.write_text(f"no-daemon\nno-resolv\nno-hosts\nuser=root\npid-file={place.folder}/own-{host}.pid\nlocal=/example.com/\nhost-record=www.example.com,192.0.2.10\n")
    place.start(host, ["dnsmasq", "-C", config], udp=53)


def chronyd(place: Place, host: str) -> None:
    """A time server that leaves the machine's clock alone."""
    config = place.folder / "chrony.conf"
    config.write_text(f"local stratum 8\nallow {CUSTOMERS}\ncmdport 0\npidfile {place.folder}/chronyd.pid\nbindcmdaddress /\n")
    place.start(host, ["chronyd", "-d", "-x", "-u", "root", "-f", config], udp=123)


def snmpd(place: Place, host: str) -> None:
    """An agent on a host's addresses that knows the community `public`."""
    config = place.folder / f"snmpd-{host}.conf"
    config.write_text("agentAddress udp:161\nrocommunity public\nsysName office\n")
    state = f"SNMP_PERSISTENT_DIR={place.folder}/snmp-{host}"
    place.start(host, ["env", state, "snmpd", "-f", "-Lo", "-C", "-c", config, "-p", place.folder / f"snmpd-{host}.pid"], udp=161)


def mosquitto(place: Place, host: str) -> None:
    """A broker in clear."""
    config = place.folder / "mosquitto.conf"
    config.write_text("user root\nallow_anonymous true\nlistener 1883 0.0.0.0\n")
    place.start(host, ["mosquitto", "-c", config], tcp=1883)


def git(place: Place, host: str) -> None:
    """A repository of three files, by the git protocol."""
    folder = place.folder / "project"
    folder.mkdir()
    for one in range(3):
        (folder / f"{one}.txt").write_text(f"A line of file {one}.\n" * 3000)
    line = ["git", "-C", folder, "-c", "user.name=alice", "-c", "user.email=alice@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        place.run(host, [*line, *words])
    place.start(host, ["git", "-c", "safe.directory=*", "daemon", "--export-all", "--reuseaddr", f"--base-path={place.folder}"], tcp=9418)
