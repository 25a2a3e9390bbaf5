"""Mail, by the server of [mail]: a message of plain text for each state, its identity the alert's with the revision, the same should it be sent twice.

Who has got a message does not get it again when another's mailbox was busy, unless the probe was started anew between.
"""
from __future__ import annotations

import smtplib
import time
from collections import OrderedDict
from collections.abc import Sequence

from dpi.errors import UserError
from dpi.outbox import composed, handed
from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Later, Receiver, Refused, Sender
from dpi.sinks.wording import lines, said, title

KIND = Kind("mail addresses", schemes=(), secret="none", states=("raised", "cleared"), source="RFC 5321, RFC 5322")
_REMEMBERED = 1000          # messages that some have and others have not


def sender(receiver: Receiver) -> Sender:
    """A message for each state."""
    return _Mailer(receiver)


class _Mailer:
    every = 0.0

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._left: OrderedDict[str, list[str]] = OrderedDict()         # message -> who has not got it

    def send(self, alert: Alert) -> None:
        receiver, name = self._receiver, f"alert-{''.join(c for c in alert.alert_id if c.isascii() and c.isalnum())}-{alert.revision}"
        left = self._left.get(name, list(receiver.to))
        text = "\n".join([said(alert, receiver.language), "", *(f"{one}: {value}" for one, value in lines(alert, receiver, 2000))])
        message = composed(name, receiver.mail.sender, receiver.to, title(alert, receiver.language), f"{text}\n", time.time_ns() // 1000)
        try:
            refused = handed(receiver.mail, receiver.mail.sender, left, message.as_bytes())
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise Refused(f"the mail server does not take this message: {error.smtp_code}") from None
            raise Later(f"the mail server answers {error.smtp_code}", answered=True) from None
        except smtplib.SMTPResponseException as error:
            raise Later(f"the mail server answers {error.smtp_code}", answered=True) from None
        except smtplib.SMTPException as error:
            raise Later(f"the mail server does not take it: {type(error).__name__}", answered=True) from None
        except UnicodeError:
            raise Later("the user or the password of [mail] has letters that the server can't be told") from None
        except UserError as error:
            raise Later(error.what) from None
        except OSError as error:
            raise Later(f"no connection with the mail server: {error.strerror or type(error).__name__}") from None
        busy = [one for one in left if one in refused and refused[one][0] < 500]
        self._left.pop(name, None)
        if busy:
            self._left[name] = busy
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
            raise Later(f"{len(busy)} of {len(receiver.to)} mailboxes are not free: {refused[busy[0]][0]}", answered=True)
        if refused and len(refused) == len(receiver.to):
            raise Refused(f"no such mailbox: {next(iter(refused.values()))[0]}")

    def repeat(self, alerts: Sequence[Alert]) -> None:
        """Mail stands as it is."""

    def close(self) -> None:
        """Each message has a session of its own."""
