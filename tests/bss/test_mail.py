"""Mail, as a worker sends it."""
from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.settings import Mail
from bss.tables import Job
from bss.working import mail, worker
from tests.bss.conftest import Clock

LEASE = timedelta(seconds=60)


def jobs(office: Office) -> list[Job]:
    with office.reading() as desk:
        return desk.session.query(Job).order_by(Job.key).all()


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    signed = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


class Post:
    """What a mail server got. refuse: what it says to a recipient instead of yes."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.refuse = ""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        assert session.ssl is not None
        self.got.append(envelope.content)
        return "250 OK"


@pytest.fixture
def post(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    handler = Post()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(handler, hostname="127.0.0.1", port=port, tls_context=context, require_starttls=True)
    server.start()
    office.settings = office.settings.model_copy(update={"mail": Mail(server=f"localhost:{port}", sender="Fullspan <noc@example.cn>")})
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    yield handler
    server.stop()


def test_mail_is_sent_encrypted_and_once_by_its_key(office: Office, post: Post) -> None:
    def ask_for(desk: Desk) -> list[bool]:
        return [mail.write(desk, "wang@example.cn", "订单 O1\r\nBcc: x@y", "到期 tomorrow", "remind O1") for _ in range(2)]

    assert office.act(SYSTEM, ask_for) == [True, False]
    assert worker.step(office, "w", LEASE) == 1
    (content,) = post.got
    got = message_from_bytes(content, policy=default)
    assert got["To"] == "wang@example.cn" and got["Subject"] == "订单 O1 Bcc: x@y" and got["Bcc"] is None and got.get_content().strip() == "到期 tomorrow"
    assert got["Message-ID"].endswith("@example.cn>") and jobs(office)[0].done and not jobs(office)[0].trouble


def test_mail_waits_for_a_server_that_can_be_trusted(office: Office, post: Post, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path / "other")[0]))
    office.act(SYSTEM, lambda desk: mail.write(desk, "wang@example.cn", "s", "t", "k"))
    worker.step(office, "w", LEASE)
    assert "CertificateVerification" in jobs(office)[0].trouble or "CERTIFICATE_VERIFY" in jobs(office)[0].trouble
    assert not post.got and jobs(office)[0].done is None
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    post.refuse = "451 busy"
    clock.forward(minutes=1)
    worker.step(office, "w", LEASE)
    assert jobs(office)[0].done is None
    post.refuse = "550 nobody"
    clock.forward(minutes=1)
    worker.step(office, "w", LEASE)
    assert jobs(office)[0].done and "refuses the recipient" in jobs(office)[0].trouble and not post.got


def test_without_a_server_no_mail_is_asked_for(office: Office) -> None:
    assert not office.act(SYSTEM, lambda desk: mail.write(desk, "wang@example.cn", "s", "t", "k")) and not jobs(office)
