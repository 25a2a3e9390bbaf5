"""Mail: asked for with what it tells of, sent by the worker, at least once. The connection is encrypted and the server verified."""
from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from bss.desk import Desk
from bss.office import Office
from bss.refusal import Refusal
from bss.settings import secret
from bss.working import job

TIMEOUT = 30.0          # s


def write(desk: Desk, to: str, subject: str, text: str, key: str) -> bool:
    """Ask for a mail; whether there will be one: not where no server is named, and not twice of one key. What is in it is kept sealed until it is sent."""
    if not desk.office.settings.mail.server:
        return False
    return job.add(desk, "mail.send", f"mail {key}"[:200], {"key": key}, personal={"to": to, "subject": subject, "text": text})


def send(office: Office, argument: Mapping[str, Any]) -> None:
    """Send one. Refusal `invalid` where the server says that it never will take it."""
    asked = office.settings.mail
    if not asked.server:
        raise Refusal("away", "no mail server is named", "mail.server", "set it, or leave reminders to the list")
    if "@" not in parseaddr(argument["to"])[1] or any(letter in argument["to"] for letter in "\r\n"):
        raise Refusal("invalid", "the recipient is no address", "to", "correct the e-mail address of the user")
    message = EmailMessage()
    message["From"], message["To"] = asked.sender, argument["to"]
    message["Subject"] = " ".join(str(argument["subject"]).split())
    message["Date"] = format_datetime(office.clock())
    # the same however often it is sent: mail programs show it once
    domain = parseaddr(asked.sender)[1].rpartition("@")[2] or "localhost"
    message["Message-ID"] = f"<{hashlib.sha256(str(argument['key']).encode()).hexdigest()[:40]}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(str(argument["text"]))
    host, _, port = asked.server.rpartition(":")
    try:
        with smtplib.SMTP(host.strip("[]"), int(port), timeout=TIMEOUT) as server:
            if asked.starttls:
                server.starttls(context=ssl.create_default_context())
            if asked.user:
                server.login(asked.user, secret(asked.password_file, "mail.password_file"))
            server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise Refusal("invalid" if codes and all(code >= 500 for code in codes) else "away", f"the mail server refuses the recipient: {codes}", "to",
                      "correct the e-mail address of the user") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise Refusal("away", f"the mail server did not take it: {type(error).__name__}: {error}"[:300], "mail.server", "it is tried again") from None
