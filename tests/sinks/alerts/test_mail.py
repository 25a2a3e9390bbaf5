"""Alerts by mail, through a real server with STARTTLS and a login."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dpi.settings import Mail, Settings
from dpi.sinks.announcer import Announcer
from dpi.sinks.courier import Pace
from dpi.sinks.receiver import Receiver
from tests.reports.test_schedule import Inbox, server
from tests.sinks.alerts.servers import alert, private, receiver
from tests.watch.processes import until


def mailed(tls: Path, folder: Path, port: int, **given: object) -> Receiver:
    mail = Mail(host="localhost", port=port, user="fullspan", password_file=private(folder / "password", "s3cret"), ca_file=str(tls / "cert.pem"),
                sender="Fullspan <box@example.com>", timeout=5)
    return receiver(Settings(mail=mail), type="mail", to="noc@example.com, chief@example.com", **given)


@contextmanager
def announcing(to: Receiver, folder: Path) -> Iterator[Announcer]:
    one = Announcer([to], folder / "spool", Pace(0.05, 0.2))
    one.start()
    try:
        yield one
    finally:
        one.close()


def test_each_state_is_a_message_in_the_receiver_s_language(tls: Path, tmp_path: Path) -> None:
    inbox = Inbox()
    with server(inbox, tls) as port, announcing(mailed(tls, tmp_path, port, language="zh"), tmp_path) as one:
        for revision, state in enumerate(("raised", "updated", "cleared"), 1):
            one(alert(state=state, revision=revision))
        assert one.settled(20)
    assert [(tls_on, logged_in, to) for tls_on, logged_in, to, _ in inbox.messages] == [(True, True, ["noc@example.com", "chief@example.com"])] * 2
    first, last = (message for *_, message in inbox.messages)
    assert first["subject"] == "【高】已触发：203.0.113.0/24 遭受 SYN 洪水攻击：每秒 52000 个包" and "已解除" in last["subject"]
    assert first["message-id"] == "<alert-a1b2c3d4e5f60718-1@example.com>" and first["auto-submitted"] == "auto-generated"
    text = first.get_content()
    assert "目标: 203.0.113.0/24" in text and "客户: C-88" in text and "203.0.113.7" not in text


def test_who_has_it_does_not_get_it_again_while_another_s_mailbox_is_busy(tls: Path, tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.refuse = {"chief@example.com"}
    with server(inbox, tls) as port, announcing(mailed(tls, tmp_path, port), tmp_path) as one:
        one(alert())
        until(lambda: one.health()[0].failed >= 2, 20, "two attempts")
        assert one.health()[0].trouble == "1 of 2 mailboxes are not free: 450"
        inbox.refuse = set()
        assert one.settled(20)
    assert [to for _, _, to, _ in inbox.messages] == [["noc@example.com"], ["chief@example.com"]]
    assert len({message["message-id"] for *_, message in inbox.messages}) == 1


def test_a_wrong_password_and_a_server_that_is_away_wait(tls: Path, tmp_path: Path) -> None:
    inbox = Inbox()
    with server(inbox, tls) as port:
        to = mailed(tls, tmp_path, port)
        private(tmp_path / "password", "wr0ng")
        with announcing(to, tmp_path) as one:
            one(alert())
            until(lambda: one.health()[0].trouble == "the mail server answers 535", 20, "refused")
            (tmp_path / "password").chmod(0o644)
            until(lambda: one.health()[0].trouble == "others may read the password", 20, "refused")
            private(tmp_path / "password", "s3cret")
            assert one.settled(20)
    assert len(inbox.messages) == 1
    with announcing(replace(to, name="two"), tmp_path) as one:
        one(alert())
        until(lambda: one.health()[0].trouble == "no connection with the mail server: Connection refused", 20, "nobody is there")
