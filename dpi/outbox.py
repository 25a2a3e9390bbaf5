"""Mail that waits to be sent: each message is a file, beside it whom it is for still. A server that is away or refuses gets it later."""
from __future__ import annotations

import contextlib
import json
import logging
import os
import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.reports.period import local
from dpi.settings import Mail

log = logging.getLogger("dpi.reports")
_TYPES = {"pdf": ("application", "pdf"), "xlsx": ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet"), "html": ("text", "html"),
          "csv": ("text", "csv"), "json": ("application", "json"), "table": ("text", "plain")}
#: Seconds until the next attempt, by how many there were; then given up after GIVE_UP, counted from when it was made.
_AGAIN = (60, 300, 900, 3600)
GIVE_UP = 7 * 86400
PASSED_OVER = ".gave-up"


@dataclass(frozen=True)
class Attachment:
    """A file of a message."""
    name: str
    form: str
    content: bytes


class Outbox:
    """A directory of messages, 0700: NAME.eml, and NAME.json with the recipients who have not got it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, name: str, sender: str, recipients: Sequence[str], subject: str, text: str, files: Sequence[Attachment], made: int) -> None:
        """Keep a message until it is sent; one of the same name is the same message. UserError where it can't be written."""
        message = composed(name, sender, recipients, subject, text, made)
        for file in files:
            main, sub = _TYPES[file.form]
            message.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name)
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            self._keep(self.directory / f"{name}.eml", message.as_bytes())
            self._envelope(name, {"from": sender, "to": list(recipients), "made": made, "tries": 0, "next": 0})
        except OSError as error:
            raise UserError(f"mail can't be kept: {error.strerror}", str(self.directory), "name another file with --state") from None

    def waiting(self) -> list[str]:
        """Names of the messages that are not sent, oldest first."""
        return sorted(path.stem for path in self.directory.glob("*.json")) if self.directory.is_dir() else []

    def send(self, mail: Mail, now: int) -> tuple[int, int]:
        """Try what is due to be tried: how many went to all their recipients, and how many did not. Each failure is a line of the log."""
        sent = failed = 0
        for name in self.waiting():
            try:
                done = self._send(mail, name, now)
            except (OSError, ValueError, KeyError, TypeError) as error:       # a damaged file, a full disk: others are sent all the same
                log.error("mail not sent", extra={"mail": name, "reason": f"its file beside it can't be read or written: {error}"})
                done = False
            sent, failed = sent + (done is True), failed + (done is False)
        return sent, failed

    def _send(self, mail: Mail, name: str, now: int) -> bool | None:
        """Whether it went to all its recipients; None: it is not to be tried yet."""
        envelope = json.loads((self.directory / f"{name}.json").read_text())
        if envelope["next"] > now:
            return None
        left, why = self._try(mail, name, envelope)
        if not left:
            self.take_back(name)
            log.info("mail sent", extra={"mail": name, "recipients": len(envelope["to"])})
            return True
        tries = envelope["tries"]
        log.error("mail not sent", extra={"mail": name, "recipients": len(left), "reason": why, "tries": tries + 1})
        self._envelope(name, {**envelope, "to": left, "tries": tries + 1, "next": now + _AGAIN[min(tries, len(_AGAIN) - 1)] * 1_000_000})
        if now - envelope["made"] > GIVE_UP * 1_000_000:
            os.replace(self.directory / f"{name}.json", self.directory / f"{name}{PASSED_OVER}")
            log.error("mail given up", extra={"mail": name})
        return False

    def take_back(self, name: str) -> None:
        """Forget a message: it was sent, or what it belongs to could not be made."""
        (self.directory / f"{name}.json").unlink(missing_ok=True)
        (self.directory / f"{name}.eml").unlink(missing_ok=True)

    def _try(self, mail: Mail, name: str, envelope: dict[str, object]) -> tuple[list[str], str]:
        """Send it; whom it did not reach, and why."""
        recipients = [str(one) for one in envelope["to"]]       # type: ignore[attr-defined]
        try:
            refused = handed(mail, str(envelope["from"]), recipients, (self.directory / f"{name}.eml").read_bytes())
            return list(refused), "; ".join(f"{code} {said.decode(errors='replace')}" for code, said in refused.values())
        except UnicodeError:
            return recipients, "the user, the password or an address has letters that the server can't be told"
        except (OSError, smtplib.SMTPException, UserError) as error:       # ssl.SSLError is an OSError
            return recipients, str(error) or type(error).__name__

    def _envelope(self, name: str, told: dict[str, object]) -> None:
        self._keep(self.directory / f"{name}.json", json.dumps(told).encode())

    @staticmethod
    def _keep(path: Path, content: bytes) -> None:
        """On disk when it returns, whole or not at all."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except OSError:
            beside.unlink(missing_ok=True)      # a full disk is not to be kept full
            raise


def composed(name: str, sender: str, recipients: Sequence[str], subject: str, text: str, made: int) -> EmailMessage:
    """A message of plain text. name: of one name is one message, should it be sent twice; made: us since the epoch."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, ", ".join(recipients), " ".join(subject.split())
    message["Date"] = format_datetime(local(made, UTC))
    message["Message-ID"] = f"<{name}@{parseaddr(sender)[1].rpartition('@')[2] or 'fullspan'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def handed(mail: Mail, sender: str, recipients: Sequence[str], content: bytes) -> dict[str, tuple[int, bytes]]:
    """Give a message to the server: whom it refused, with code and words. OSError, SMTPException, UnicodeError, UserError where nobody got it."""
    with contextlib.closing(_connected(mail)) as server:
        try:
            refused = server.sendmail(sender, list(recipients), content)
        except smtplib.SMTPRecipientsRefused as error:
            return dict(error.recipients)
        with contextlib.suppress(OSError, smtplib.SMTPException):       # it has the message, however it says goodbye
            server.quit()
        return dict(refused)


def _connected(mail: Mail) -> smtplib.SMTP:
    """A session with the server: encrypted and logged in as the settings say. The server's name is checked against its certificate."""
    context = ssl.create_default_context(cafile=mail.ca_file or None)
    server = smtplib.SMTP_SSL(mail.host, mail.port, timeout=mail.timeout, context=context) if mail.security == "tls" else smtplib.SMTP(
        mail.host, mail.port, timeout=mail.timeout)
    try:
        if mail.security == "starttls":
            server.starttls(context=context)
        if mail.user:
            server.login(mail.user, _password(mail))
    except BaseException:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.close()
        raise
    return server


def _password(mail: Mail) -> str:
    """The first line of its file, which nobody else may read."""
    path = Path(mail.password_file)
    try:
        if path.stat().st_mode & 0o077:
            raise UserError("others may read the password", str(path), f"chmod 600 {path}")
        return path.read_text().partition("\n")[0]
    except OSError as error:
        raise UserError(f"the password can't be read: {error.strerror}", mail.password_file or "[mail] password_file",
                        "name a file whose first line it is") from None
