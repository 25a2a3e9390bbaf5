"""Mail: postfix, aiosmtpd, dovecot and curl."""

from __future__ import annotations

from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, certificate

MESSAGE = "From: alice@example.com\r\nTo: bob@example.com\r\nSubject: A note\r\nMessage-ID: <1@example.com>\r\n\r\n" + "A line of a letter.\r\n" * 20


def postfix(net: Network) -> None:
    """Start postfix with a queue of its own; mail for example.com is thrown away."""
    config, queue, data = net.folder / "postfix", net.folder / "queue", net.folder / "postfix-data"
    for folder in (config, queue, data):
        folder.mkdir()
    cert, key = certificate(net.folder, "mail.example.com")
    (config / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\nmyhostname = mail.example.com\nmydestination =\n"
        f"inet_interfaces = all\n"
        "inet_protocols = ipv4\nmynetworks = 192.0.2.0/24\nsmtpd_relay_restrictions = permit_mynetworks, reject\nrelay_domains = example.com\n"
        f"transport_maps = static:discard:\nsmtpd_tls_cert_file = {cert}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = may\n"
        f"alias_maps =\nmaillog_file =\n"
        "smtpd_peername_lookup = no\n"
    )
    (config / "master.cf").write_text(
        "smtp inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix "
        "- - n 1000? 1 tlsmgr\n"
        "rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n"
        "discard unix - - n - - discard\nerror unix - - n - - error\nanvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\n"
    )
    net.run("server", ["chown", "postfix", data])
    net.run("server", ["postfix", "-c", config, "check"])
    net.start("server", ["/usr/lib/postfix/sbin/master", "-c", config, "-d"], tcp=25)


@capture("smtp", "postfix curl", "SMTP: a letter in clear, then one after STARTTLS")
def smtp(net: Network) -> None:
    """Mail to a server."""
    postfix(net)
    net.capture()
    for more in ([], ["--ssl-reqd", "-k"]):
        net.run(
            "client",
            [
                "curl",
                "-sv",
                *more,
                f"smtp://{SERVER}/client.example.com",
                "--mail-from",
                "alice@example.com",
                "--mail-rcpt",
                "bob@example.com",
                "-T",
                "-",
            ],
            stdin=MESSAGE,
        )


@capture("smtp-submission", "pypi:aiosmtpd curl", "SMTP submission on port 587 at another kind of server, with AUTH PLAIN")
def submission(net: Network) -> None:
    """Mail from a user who says a password."""
    net.start("server", net.call("mail.smtp_server", [SERVER, 587]), tcp=587)
    net.capture()
    net.run(
        "client",
        [
            "curl",
            "-s",
            f"smtp://{SERVER}:587/client.example.com",
            "-u",
            "alice:secret",
            "--login-options",
            "AUTH=PLAIN",
            "--mail-from",
            "alice@example.com",
            "--mail-rcpt",
            "bob@example.com",
            "-T",
            "-",
        ],
        stdin=MESSAGE,
    )


def smtp_server(host: str, port: int) -> None:
    """A server that takes every letter and every password."""
    import asyncio

    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import SMTP, AuthResult

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        made = lambda: SMTP(Sink(), auth_require_tls=False, authenticator=lambda *_: AuthResult(success=True), hostname="mail.example.com")  # noqa: E731
        server = await loop.create_server(made, host, port)
        await server.serve_forever()

    asyncio.run(serve())


def dovecot(net: Network) -> None:
    """Start dovecot with one user, alice, whose mailbox holds two letters."""
    cert, key = certificate(net.folder, "mail.example.com")
    home = net.folder / "mailbox"
    for part in ("new", "cur", "tmp"):
        (home / "Maildir" / part).mkdir(parents=True)
    for one in (1, 2):
        (home / "Maildir" / "new" / f"{one}.letter").write_text(MESSAGE.replace("\r", ""))
    (net.folder / "users").write_text(f"alice:{{PLAIN}}secret:{_number('mail')}:{_number('mail')}::{home}\n")
    net.run("server", ["chown", "-R", "mail:mail", home])
    config = net.folder / "dovecot.conf"
    config.write_text(
        f"base_dir = {net.folder}/dovecot\nstate_dir = {net.folder}/dovecot-state\nprotocols = imap pop3\nlog_path = "
        f"{net.folder}/dovecot.log\nssl = yes\nssl_cert = <{cert}\n"
        f"ssl_key = <{key}\ndisable_plaintext_auth = no\nfirst_valid_uid = 1\nmail_location = maildir:~/Maildir\nlisten = {SERVER}\n"
        f"passdb {{\n driver = passwd-file\n args = {net.folder}/users\n}}\nuserdb {{\n driver = passwd-file\n args = {net.folder}/users\n}}\n"
        "service stats {\n  client_limit = 100\n}\n"
    )
    net.start("server", ["dovecot", "-F", "-c", config], tcp=143)


def _number(name: str) -> int:
    for line in Path("/etc/passwd").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split(":")[2])
    return 0


@capture("imap", "dovecot-imapd curl", "IMAP: a login and two fetches in clear, then STARTTLS, then IMAPS on port 993")
def imap(net: Network) -> None:
    """Reading mail."""
    dovecot(net)
    net.capture()
    user = ["-u", "alice:secret"]
    net.run("client", ["curl", "-s", *user, f"imap://{SERVER}/INBOX;MAILINDEX=1", f"imap://{SERVER}/INBOX;MAILINDEX=2"])
    net.run("client", ["curl", "-sk", "--ssl-reqd", *user, f"imap://{SERVER}/INBOX", "-X", "STATUS INBOX (MESSAGES)"])
    net.run("client", ["curl", "-sk", *user, f"imaps://{SERVER}/INBOX;MAILINDEX=1"])


@capture("pop3", "dovecot-pop3d curl", "POP3: a login and one letter in clear, then POP3S on port 995")
def pop3(net: Network) -> None:
    """Fetching mail."""
    dovecot(net)
    net.capture()
    net.run("client", ["curl", "-s", "-u", "alice:secret", f"pop3://{SERVER}/1"])
    net.run("client", ["curl", "-sk", "-u", "alice:secret", f"pop3s://{SERVER}/2"])
