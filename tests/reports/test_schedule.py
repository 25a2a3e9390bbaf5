"""Scheduled reports: once for each moment, by mail through a real server with TLS and a password, or into a directory."""
from __future__ import annotations

import email
import email.policy
import io
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dpi.errors import UserError
from dpi.reports.asking import make_asked
from dpi.reports.language import Language
from dpi.reports.period import microseconds
from dpi.schedule import State, read, run_due
from dpi.settings import Mail, Schedule, Settings
from tests.reports.conftest import Known
from tests.reports.test_formats import texts
from tests.reports.test_named import SETTINGS, SHANGHAI, ask

DAILY = Schedule(report="applications,links", every="daily", at="06:00", format="pdf,xlsx", lang="en", to="noc@example.com, chief@example.com")


def moment(text: str) -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI))


class Held:
    """The module's store, which a run must not close."""

    def __init__(self, known: Known) -> None:
        self._store = known.store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def close(self) -> None:
        pass


class Inbox:
    """What the server took; `refuse`: addresses it will not have."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.refuse: set[str] = set()
        self.goodbye = "221 bye"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return "450 mailbox is busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        return self.goodbye

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append((session.ssl is not None, session.authenticated, envelope.rcpt_tos, message))
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


@contextmanager
def server(inbox: Inbox, folder: Path, port: int = 0) -> Iterator[int]:
    """A real SMTP server that wants STARTTLS and a login."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def let_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        return AuthResult(success=(data.login, data.password) == (b"fullspan", b"s3cret"), handled=False)

    running = Controller(inbox, hostname="localhost", port=port or _free(), tls_context=context, require_starttls=True, auth_required=True,
                         authenticator=let_in)
    running.start()
    try:
        yield running.port
    finally:
        running.stop()


def _free() -> int:
    import socket
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


def settings(folder: Path, port: int, **schedules: Schedule) -> Settings:
    secret = folder / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    mail = Mail(host="localhost", port=port, security="starttls", user="fullspan", password_file=str(secret), ca_file=str(folder / "cert.pem"),
                sender="box@example.com", timeout=5)
    return replace(SETTINGS, mail=mail, schedules=schedules)


def test_a_report_goes_out_once_with_the_figures_of_the_table(ten_weeks: Known, certificate: Path, tmp_path: Path) -> None:
    from openpyxl import load_workbook
    from pypdf import PdfReader

    inbox, state = Inbox(), State(tmp_path / "state.json")
    now = moment("2026-10-06T07:30")
    with server(inbox, certificate) as port:
        asked = settings(certificate, port, morning=DAILY)
        assert run_due(asked, state, lambda: Held(ten_weeks), now) == (1, 1, 0)     # type: ignore[arg-type,return-value]
        for later in (0, 60_000_000, 22 * 3600_000_000):
            assert run_due(asked, state, lambda: Held(ten_weeks), now + later) == (0, 0, 0)     # type: ignore[arg-type,return-value]
        # two days in which nothing ran: once, of the last
        assert run_due(asked, state, lambda: Held(ten_weeks), moment("2026-10-09T09:00")) == (1, 1, 0)      # type: ignore[arg-type,return-value]
    assert [(one[:3]) for one in inbox.messages] == [(True, True, ["noc@example.com", "chief@example.com"])] * 2
    message = inbox.messages[0][3]
    assert message["subject"] == "Applications, Links 2026-10-05" and message["from"] == "box@example.com"
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    assert sorted(files) == [f"{name}-2026-10-05.en.{form}" for name in ("applications", "links") for form in ("pdf", "xlsx")]
    assert "Coverage" not in message["subject"] and "lost" in message.get_body().get_content().lower()
    say = Language("en", SHANGHAI)
    for name in ("applications", "links"):
        report = ask(ten_weeks, name, "2026-10-05", "2026-10-06")
        pages = "".join("".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(files[f"{name}-2026-10-05.en.pdf"])).pages)
        assert all(cell in pages for cell in texts(report, say))
        book = load_workbook(io.BytesIO(files[f"{name}-2026-10-05.en.xlsx"]))
        for table, sheet in zip(report.tables, book.worksheets, strict=False):
            numbers = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2, max_row=len(table.rows) + 1)]
            expected = [[pytest.approx(value) for value, column in zip(row, table.columns, strict=True)
                         if isinstance(value, int | float) and column.kind != "time"] for row in table.rows]
            assert [[value for value in row if isinstance(value, int | float)] for row in numbers] == expected


def test_what_is_refused_is_kept_and_tried_again(ten_weeks: Known, certificate: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inbox, state = Inbox(), State(tmp_path / "state.json")
    inbox.refuse = {"chief@example.com"}
    now, second = moment("2026-10-06T07:30"), 1_000_000
    port = _free()
    asked = settings(certificate, port, morning=replace(DAILY, report="applications", format="csv"))

    def run(seconds: int) -> tuple[int, int, int]:
        return run_due(asked, state, lambda: Held(ten_weeks), now + seconds * second)       # type: ignore[arg-type,return-value]

    assert run(0) == (1, 0, 1) and "mail not sent" in caplog.text     # nobody is there
    assert len(state.outbox.waiting()) == 1 and (state.outbox.directory.stat().st_mode & 0o777) == 0o700
    with server(inbox, certificate, port):
        assert run(30) == (0, 0, 0)         # not yet
        assert run(61) == (0, 0, 1)         # one has it, the other's mailbox is busy
        assert [one[2] for one in inbox.messages] == [["noc@example.com"]]
        inbox.refuse = set()
        assert run(61 + 301) == (0, 1, 0)
        assert [one[2] for one in inbox.messages][1:] == [["chief@example.com"]] and state.outbox.waiting() == []
        assert len({one[3]["message-id"] for one in inbox.messages}) == 1
        (certificate / "password").write_text("wrong\n")
        assert run(86400) == (1, 0, 1) and "535" in caplog.records[-1].reason      # type: ignore[attr-defined]
        (certificate / "password").chmod(0o644)
        assert run(86400 + 61) == (0, 0, 1) and "others may read the password" in caplog.records[-1].reason     # type: ignore[attr-defined]
    assert run(30 * 86400) == (1, 0, 2) and [path.suffix for path in state.outbox.directory.glob("*.gave-up")] == [".gave-up"]


def test_a_server_that_says_goodbye_in_its_own_way_has_the_message_all_the_same(ten_weeks: Known, certificate: Path, tmp_path: Path) -> None:
    inbox, state = Inbox(), State(tmp_path / "state.json")
    inbox.goodbye = "421 too many connections"
    with server(inbox, certificate) as port:
        asked = settings(certificate, port, morning=replace(DAILY, report="dns", format="csv"))
        asked = replace(asked, mail=replace(asked.mail, sender="Fullspan <box@example.com>"))
        for later in (0, 61, 400):
            run_due(asked, state, lambda: Held(ten_weeks), moment("2026-10-06T07:30") + later * 1_000_000)     # type: ignore[arg-type,return-value]
    assert len(inbox.messages) == 1 and state.outbox.waiting() == []
    assert inbox.messages[0][3]["message-id"].endswith("-en@example.com>")


def test_a_message_that_can_not_be_made_takes_back_those_before_it_and_keeps_nobody_else_waiting(
        ten_weeks: Known, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The disk is full at the second language; another schedule's report fails in a way that nobody foresaw; a file of the outbox is damaged."""
    inbox, state = Inbox(), State(tmp_path / "state.json")
    full = [True]
    put = state.outbox.put

    def on_a_full_disk(name: str, *rest: Any) -> None:
        if full[0] and name.endswith("-zh"):
            raise UserError("mail can't be kept: No space left on device", str(tmp_path))
        put(name, *rest)

    def broken(store: Any, settings: Any, name: str, *rest: Any, **more: Any) -> Any:
        if name == "tls":
            raise ZeroDivisionError("nobody foresaw this")
        return make_asked(store, settings, name, *rest, **more)

    monkeypatch.setattr(state.outbox, "put", on_a_full_disk)
    monkeypatch.setattr("dpi.schedule.make_asked", broken)
    state.outbox.directory.mkdir()
    (state.outbox.directory / "damaged.json").write_text("{")
    now = moment("2026-10-06T07:30")
    daily = replace(DAILY, report="dns", format="csv")
    with server(inbox, certificate) as port:
        asked = settings(certificate, port, both=replace(daily, lang="en,zh"), broken=replace(daily, report="tls"), last=daily)
        for later in (0, 61, 400):
            run_due(asked, state, lambda: Held(ten_weeks), now + later * 1_000_000)     # type: ignore[arg-type,return-value]
        assert [one[3]["message-id"].partition("-")[0] for one in inbox.messages] == ["<last"]      # the English one of `both` did not go out alone
        assert "nobody foresaw this" in caplog.text and "damaged" in str([vars(one).get("mail") for one in caplog.records])
        full[0] = False
        run_due(asked, state, lambda: Held(ten_weeks), now + 1400 * 1_000_000)     # type: ignore[arg-type,return-value]
    assert sorted(one[3]["message-id"].partition("@")[0].rpartition("-")[2] for one in inbox.messages) == ["en", "en", "zh"]


def test_a_week_does_not_take_the_place_of_its_monday(ten_weeks: Known, tmp_path: Path) -> None:
    daily = Schedule(report="dns", every="daily", at="06:00", format="json", lang="en", to=str(tmp_path))
    asked = replace(SETTINGS, schedules={"day": daily, "week": replace(daily, every="weekly"), "codes": replace(daily, by="code")})
    for now in ("2026-10-06T07:30", "2026-10-12T07:30"):
        run_due(asked, State(tmp_path / "state.json"), lambda: Held(ten_weeks), moment(now))     # type: ignore[arg-type,return-value]
    assert sorted(path.name for path in tmp_path.glob("dns*")) == sorted([f"dns-{name}.en.json" for name in (
        "2026-09-28--2026-10-04", "2026-10-05", "2026-10-05--2026-10-11", "2026-10-11", "by-code-2026-10-05", "by-code-2026-10-11")])


def test_into_a_directory_in_both_languages(ten_weeks: Known, tmp_path: Path) -> None:
    """A directory that is not there yet is a failure that is tried again."""
    state, folder = State(tmp_path / "state.json"), tmp_path / "reports"
    asked = replace(SETTINGS, schedules={"week": Schedule(report="links", every="weekly", at="07:00", format="html", lang="en,zh", to=str(folder))})
    now = moment("2026-10-14T12:00")        # a Wednesday
    assert run_due(asked, state, lambda: Held(ten_weeks), now) == (0, 0, 1)     # type: ignore[arg-type,return-value]
    folder.mkdir()
    assert run_due(asked, state, lambda: Held(ten_weeks), now + 61_000_000) == (1, 0, 0)        # type: ignore[arg-type,return-value]
    assert sorted(path.name for path in folder.iterdir()) == ["links-2026-10-05--2026-10-11.en.html", "links-2026-10-05--2026-10-11.zh.html"]
    assert "2026年10月5日 00:00:00 UTC+8 至 2026年10月12日" in (folder / "links-2026-10-05--2026-10-11.zh.html").read_text()
    with state.held() as free, state.held() as again:
        assert free and not again
    state.path.write_text("{")
    with pytest.raises(UserError, match="move it away"):
        run_due(asked, state, lambda: Held(ten_weeks), now)     # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(("every", "at", "now", "due", "span"), [
    ("daily", "06:00", "2026-10-06T06:00", "2026-10-06T06:00", ("2026-10-05", "2026-10-06")),
    ("daily", "06:00", "2026-10-06T05:59:59", "2026-10-05T06:00", ("2026-10-04", "2026-10-05")),
    ("weekly", "00:00", "2026-10-06T06:00", "2026-10-05T00:00", ("2026-09-28", "2026-10-05")),
    ("monthly", "08:15", "2026-11-01T08:14", "2026-10-01T08:15", ("2026-09-01", "2026-10-01")),
    ("*/15 * * * *", "", "2026-10-06T05:59", "2026-10-06T05:45", ("2026-10-05", "2026-10-06")),
])
def test_when_it_is_due_and_of_what_time(every: str, at: str, now: str, due: str, span: tuple[str, str]) -> None:
    one = read("x", Schedule(report="links", every=every, at=at, to="/tmp"), SETTINGS)
    assert one.last(moment(now), SHANGHAI) == moment(due)
    first, end = one.span(moment(due), SHANGHAI)
    assert end is not None and (first[:10], end[:10]) == span


@pytest.mark.parametrize(("wrong", "words"), [
    ({"report": "lines"}, "report is 'lines'"), ({"format": "docx"}, "format is 'docx'"), ({"lang": "fr"}, "lang is 'fr'"),
    ({"every": "hourly"}, "every is 'hourly'"),
    ({"at": "6"}, "at is '6'"), ({"to": ""}, "goes nowhere"), ({"to": "a@b.example, /tmp"}, "addresses and elsewhere"),
    ({"to": "a b@c.example"}, "not mail addresses"), ({"to": "\u6c5f@c.example"}, "not mail addresses"),
    ({"to": "a@b.example"}, "no server"), ({"every": "61 * * * *"}, "every is"), ({"to": "/tmp, /var"}, "one directory"),
])
def test_what_is_wrong_with_a_schedule_is_told_before_anything_is_made(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        read("night", Schedule(**{"report": "links", "to": "/tmp", **wrong}), SETTINGS)
    assert "[schedules.night]" in str(caught.value)
