"""SMTP, FTP, POP3 and IMAP: servers that greet, clients that answer."""
from __future__ import annotations

import pytest

from dpi.classify.inspection import CLIENT, INSIDE, MINE, MORE, NO, PACKETS, SERVER
from dpi.classify.protocols import ftp, imap, pop3, smtp
from tests.classify.conversation import TCP, Conversation


@pytest.mark.parametrize("module, port, greeting, verdict", [
    (smtp, 25, b"220 mx.example.com ESMTP Postfix\r\n", PACKETS),
    (smtp, 2500, b"220-mx.example.com ESMTP Exim\r\n220 hello\r\n", PACKETS),
    (smtp, 25, b"220 mx.example.com ready\r\n", PACKETS),
    (smtp, 2500, b"220 ready\r\n", MORE),
    (smtp, 25, b"220 mx.exam", MORE),
    (smtp, 2121, b"220 (vsFTPd 3.0.3)\r\n", NO),
    (smtp, 25, b"221 bye\r\n", NO),
    (ftp, 2121, b"220 (vsFTPd 3.0.3)\r\n", PACKETS),
    (ftp, 21, b"220 Welcome\r\n", PACKETS),
    (ftp, 2121, b"220 Welcome\r\n", MORE),
    (ftp, 25, b"220 mx ESMTP\r\n", NO),
    (pop3, 110, b"+OK ready\r\n", PACKETS),
    (pop3, 1100, b"+OK POP3 ready\r\n", PACKETS),
    (pop3, 1100, b"+OK ready\r\n", MORE),
    (pop3, 110, b"+O", NO),
    (imap, 143, b"* OK ready\r\n", PACKETS),
    (imap, 1430, b"* OK [CAPABILITY IMAP4rev1] ready\r\n", PACKETS),
    (imap, 1430, b"* OK ready\r\n", MORE),
    (imap, 143, b"* BYE\r\n", PACKETS),
])
def test_greetings(module, port, greeting, verdict):
    assert Conversation(module, TCP, port).stream(SERVER, greeting) == verdict


@pytest.mark.parametrize("module, greeting, yes, no", [
    (smtp, b"220 ready\r\n", b"EHLO client.example\r\n", b"USER anna\r\n"),
    (ftp, b"220 ready\r\n", b"USER anna\r\n", b"EHLO client.example\r\n"),
    (pop3, b"+OK ready\r\n", b"CAPA\r\n", b"EHLO x\r\n"),
    (imap, b"* OK ready\r\n", b"a1 CAPABILITY\r\n", b"EHLO x\r\n"),
])
def test_commands_settle_a_plain_greeting(module, greeting, yes, no):
    flow = Conversation(module, TCP, 9999)
    assert flow.stream(SERVER, greeting) == MORE
    assert flow.stream(CLIENT, yes) == PACKETS
    other = Conversation(module, TCP, 9999)
    other.stream(SERVER, greeting)
    assert other.stream(CLIENT, no) == NO


def test_smtp_names_its_server():
    flow = Conversation(smtp, TCP, 25)
    flow.stream(SERVER, b"220 MX.Example.com ESMTP\r\n")
    assert flow.server_name == b"mx.example.com"
    assert flow.packet(CLIENT, b"EHLO me\r\n") == PACKETS and flow.packet(CLIENT, b"STARTTLS\r\n") == PACKETS and flow.risks == set()
    assert Conversation(smtp, TCP, 9999).stream(CLIENT, b"EHLO me.example\r\n") == PACKETS


@pytest.mark.parametrize("module, port, greeting, commands", [
    (smtp, 25, b"220 a ESMTP\r\n", [b"EHLO a\r\n", b"AUTH PLAIN AGEAYg==\r\n"]),
    (ftp, 21, b"220 FTP\r\n", [b"USER anna\r\n", b"PASS secret\r\n"]),
    (pop3, 110, b"+OK\r\n", [b"USER anna\r\n", b"PASS secret\r\n"]),
    (imap, 143, b"* OK IMAP4\r\n", [b"a1 LOGIN anna secret\r\n"]),
    (imap, 143, b"* OK IMAP4\r\n", [b"a1 CAPABILITY\r\n", b"a2 AUTHENTICATE PLAIN AGEAYg==\r\n"]),
])
def test_credentials_in_clear(module, port, greeting, commands):
    flow = Conversation(module, TCP, port)
    flow.stream(SERVER, greeting)
    verdicts = [flow.packet(CLIENT, line) for line in commands]
    assert verdicts[-1] == MINE and flow.risks == {"clear_text_credentials"}


@pytest.mark.parametrize("module, port, greeting, commands", [
    (ftp, 21, b"220 FTP\r\n", [b"QUIT\r\n"]),
    (pop3, 110, b"+OK\r\n", [b"CAPA\r\n", b"APOP anna 0123\r\n"]),
    (imap, 143, b"* OK IMAP4\r\n", [b"a1 LOGOUT\r\n"]),
    (smtp, 25, b"220 a ESMTP\r\n", [b"MAIL FROM:<a@b>\r\n", b"DATA\r\n"]),
])
def test_no_credentials_in_clear(module, port, greeting, commands):
    flow = Conversation(module, TCP, port)
    flow.stream(SERVER, greeting)
    assert [flow.packet(CLIENT, line) for line in commands][-1] == MINE and flow.risks == set()


@pytest.mark.parametrize("module, port, greeting, command, yes, no", [
    (smtp, 25, b"220 a ESMTP\r\n", b"STARTTLS\r\n", b"220 go ahead\r\n", b"454 not now\r\n"),
    (ftp, 21, b"220 FTP\r\n", b"AUTH TLS\r\n", b"234 proceed\r\n", b"502 no\r\n"),
    (pop3, 110, b"+OK\r\n", b"STLS\r\n", b"+OK begin\r\n", b"-ERR no\r\n"),
    (imap, 143, b"* OK IMAP4\r\n", b"a1 STARTTLS\r\n", b"a1 OK begin\r\n", b"a1 NO no\r\n"),
])
def test_tls_begins_inside(module, port, greeting, command, yes, no):
    flow = Conversation(module, TCP, port)
    flow.stream(SERVER, greeting)
    assert flow.packet(CLIENT, command) == PACKETS
    assert flow.packet(SERVER, no) == PACKETS
    assert flow.packet(SERVER, yes) == INSIDE
