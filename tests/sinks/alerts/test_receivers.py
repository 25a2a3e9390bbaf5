"""What the settings may say of a receiver, and what each kind sends: taken by a real server and looked through."""
from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dpi.errors import UserError
from dpi.security.alert import Alert
from dpi.settings import AlertReceiver, Mail, Settings, load
from dpi.sinks import alerts
from dpi.sinks.alerts import kinds, receivers, sender
from dpi.sinks.announcer import Announcer
from dpi.sinks.receiver import Later, Refused
from tests.sinks.alerts.servers import Posted, alert, private, receiver, taking, well

CHATS = ("slack", "feishu", "dingtalk", "wecom", "teams")
TAKEN = {"slack": b"ok", "feishu": b'{"code":0,"msg":"success","data":{}}', "dingtalk": b'{"errcode":0,"errmsg":"ok"}', "wecom": b'{"errcode":0,"errmsg":"ok"}',
         "teams": b"", "webhook": b"", "alertmanager": b""}


def sent(kind: str, one: Alert, secret: str = "", answer: bytes | None = None, status: int = 200, **given: Any) -> Posted:
    """The request that a server got, having answered so."""
    body = TAKEN[kind] if answer is None else answer
    with taking(lambda posted: (status, {}, body)) as server, tempfile.TemporaryDirectory() as folder:
        to = {"type": kind, "url": f"http://127.0.0.1:{server.port}/hook/T0K3N?key=K3Y", "trusted": 1, "timeout": 5, **given}
        writer = sender(receiver(**to, **({"secret_file": private(Path(folder) / "secret", secret)} if secret else {})))
        try:
            writer.send(one)
        finally:
            writer.close()
    return server.posts[0]


def test_every_file_is_a_kind_and_none_knows_another() -> None:
    files = {path.stem: path for path in Path(alerts.__file__).parent.glob("[!_]*.py")}
    assert set(kinds()) == set(files) == {*CHATS, "webhook", "alertmanager", "syslog", "mail"}
    for name, path in files.items():
        imported = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        assert not any(module.startswith("dpi.sinks.alerts") for module in imported), name
        assert kinds()[name].source and kinds()[name].words
    words = next(one.metadata["words"] for one in fields(AlertReceiver) if one.name == "type")
    assert set(re.findall(r"\w+", words)) - {"or"} == set(files)


@pytest.mark.parametrize(("given", "words"), [
    ({"type": "pager"}, "type is 'pager'"), ({"type": ""}, "type is ''"), ({"url": ""}, "url is not one of https, http"),
    ({"url": "ftp://x/T0K3N"}, "url is not one of"),
    ({"url": "file:///etc/passwd"}, "url is not one of"), ({"url": "https:///T0K3N"}, "url is no address"),
    ({"url": "https://x:port/T0K3N"}, "url is no address"),
    ({"url": "https://x/T0K3N y"}, "url is no address"), ({"url": "https://me:T0K3N@x/"}, "url holds a user or a password"),
    ({"states": "raised,open"}, "states is"),
    ({"url_file": "/x"}, "both given"), ({"type": "webhook"}, "it has no secret"), ({"type": "slack", "secret_file": "/nowhere"}, "slack takes no secret"),
    ({"secret_file": "/nowhere/T0"}, "secret_file can't be read: No such file"), ({"ca_file": "/nowhere"}, "no such file of certificate"),
    ({"language": "fr"}, "language is 'fr'"), ({"type": "syslog"}, "url is not one of tls, tcp, udp"),
    ({"type": "syslog", "url": "udp://x"}, "url has no port"),
    ({"type": "mail"}, "mail has no url"), ({"type": "mail", "url": ""}, "to holds no mail addresses"),
    ({"type": "mail", "url": "", "to": "a b@x"}, "no mail addresses"),
    ({"type": "mail", "url": "", "to": "a@b.example"}, "no server or no sender"),
])
def test_what_is_wrong_with_a_receiver_is_told_and_no_secret_is(given: dict[str, str], words: str) -> None:
    settings = Settings(alert={"night": AlertReceiver(**{"type": "feishu", "url": "https://x.example/T0K3N", **given})})
    with pytest.raises(UserError, match=words) as caught:
        receivers(settings)
    assert "[alert.night]" in str(caught.value) and "T0K3N" not in str(caught.value) and "(" in str(caught.value)


def test_secrets_are_files_that_nobody_else_reads(tmp_path: Path) -> None:
    secret = Path(private(tmp_path / "secret", "s3cret"))
    hook = Path(private(tmp_path / "hook", "https://hooks.example/T0K3N"))
    one = receiver(type="webhook", url_file=str(hook), secret_file=str(secret))
    assert (one.url, one.secret) == ("https://hooks.example/T0K3N", "s3cret") and "T0K3N" not in repr(one) and "s3cret" not in repr(one)
    for file, mode, text, words in ((secret, 0o640, "s3cret", "others may read secret_file"), (hook, 0o604, "https://h/T0K3N", "others may read url_file"),
                                    (secret, 0o600, "\n", "secret_file is empty"), (hook, 0o600, "gopher://T0K3N", "url is not one of")):
        private(secret, "s3cret")
        private(hook, "https://hooks.example/T0K3N")
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(UserError, match=words) as caught:
            receiver(type="webhook", url_file=str(hook), secret_file=str(secret))
        assert "T0K3N" not in str(caught.value) and "s3cret" not in str(caught.value)
    with pytest.raises(UserError, match="can't be that of a directory"):
        receivers(Settings(alert={"../up": AlertReceiver(type="slack", url="https://x/")}))
    assert "T0K3N" not in repr(Settings(alert={"noc": AlertReceiver(type="slack", url="https://x/T0K3N")}))


def test_a_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "fullspan.toml").write_text('[report]\nlang = "zh"\n[alert.noc]\ntype = "slack"\nurl = "https://hooks.example/x"\nseverity = "high"\n'
                                            'kinds = "syn_flood, dns_*"\ntrusted = 1\n')
    one = receivers(load(tmp_path / "fullspan.toml", {}))[0]
    assert (one.name, one.kind, one.least, one.kinds, one.trusted, one.language, one.states) == (
        "noc", "slack", "high", ("syn_flood", "dns_*"), True, "zh", ("raised", "cleared"))
    for line, words in (('severity = "urgent"', "it may be low or medium"), ("trusted = 2", "it may be 0 to 1"), ('colour = "red"', "no setting 'colour'")):
        (tmp_path / "fullspan.toml").write_text(f"[alert.noc]\n{line}\n")
        with pytest.raises(UserError, match=words):
            load(tmp_path / "fullspan.toml", {})


def test_a_web_hook_is_a_cloudevent_and_signed_over_time_and_body() -> None:
    posted = sent("webhook", alert(), "s3cret")
    event = json.loads(posted.body)
    assert posted.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert {name: event[name] for name in event if name != "data"} == {
        "specversion": "1.0", "id": "a1b2c3d4e5f60718.1", "source": "/fullspan/probes/probe-1", "type": "fullspan.alert.raised", "subject": "a1b2c3d4e5f60718",
        "time": "2026-11-29T07:28:10.000000Z", "datacontenttype": "application/json"}
    assert set(event["data"]) == {one.name for one in fields(Alert)}
    assert event["data"]["capture_id"] == str(2**63 + 5) and event["data"]["source"] == "198.51.100.23" and event["data"]["count"] == 3
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", posted.headers["X-Fullspan-Signature"])
    assert found and found[2] == hmac.new(b"s3cret", f"{found[1]}.".encode() + posted.body, hashlib.sha256).hexdigest()


def test_a_web_hook_of_one_who_is_not_trusted_is_masked(tmp_path: Path) -> None:
    with taking() as server:
        secret = private(tmp_path / "secret", "s3cret")
        one = Announcer([receiver(type="webhook", url=f"http://127.0.0.1:{server.port}/", secret_file=secret)], tmp_path)
        one.start()
        one(alert(evidence="user=alice, 00:1b:44:11:3a:b7"))
        assert one.settled(10)
        one.close()
    body = server.posts[0].body.decode()
    assert not re.search(r"203\.0\.113\.7|198\.51\.100\.23|2001:db8:7:1|alice|00:1b", body) and "203.0.113.0/24" in body and "C-88" in body


def test_slack_blocks_keep_to_its_limits_and_no_text_calls_upon_anybody() -> None:
    evil = "<!channel> & <@U123> *bold* " + "x" * 9000
    message = json.loads(sent("slack", alert(summary=evil, evidence=evil)).body)
    assert "<" not in message["text"] and "&lt;!channel&gt; &amp;" in message["text"]
    header, body, *sections = message["blocks"]
    assert header["type"] == "header" and header["text"]["type"] == "plain_text" and len(header["text"]["text"]) <= 150
    assert body["text"]["type"] == "plain_text" and len(body["text"]["text"]) <= 3000
    assert sections and all(1 <= len(one["fields"]) <= 10 and all(field["type"] == "plain_text" and len(field["text"]) <= 2000 for field in one["fields"])
                            for one in sections) and len(message["blocks"]) <= 50


def test_feishu_signs_in_the_body() -> None:
    message = json.loads(sent("feishu", alert(), "s3cret", language="zh").body)
    made = hmac.new(f"{message['timestamp']}\ns3cret".encode(), b"", hashlib.sha256).digest()
    assert message["sign"] == base64.b64encode(made).decode() and message["timestamp"].isdigit() and message["msg_type"] == "interactive"
    card = message["card"]
    assert card["header"]["title"] == {"tag": "plain_text", "content": "【高】已触发：203.0.113.7 遭受 SYN 洪水攻击：每秒 52000 个包"}
    assert all(one["text"]["tag"] == "plain_text" for one in card["elements"])
    assert "目标: 203.0.113.7" in [one["text"]["content"] for one in card["elements"]]
    plain = json.loads(sent("feishu", alert(state="cleared")).body)
    assert "sign" not in plain and plain["card"]["header"]["template"] == "green"


def test_dingtalk_signs_in_its_address() -> None:
    posted = sent("dingtalk", alert(summary="<font>[x](http://evil.example) @all"), "s3cret")
    asked = parse_qs(urlsplit(posted.path).query)
    made = hmac.new(b"s3cret", f"{asked['timestamp'][0]}\ns3cret".encode(), hashlib.sha256).digest()
    assert asked["sign"] == [base64.b64encode(made).decode()] and asked["key"] == ["K3Y"] and len(asked["timestamp"][0]) == 13
    message = json.loads(posted.body)
    assert message["msgtype"] == "markdown" and set(message["markdown"]) == {"title", "text"}
    assert not set("<[@") & set(message["markdown"]["text"]) and urlsplit(sent("dingtalk", alert()).path).query == "key=K3Y"


def test_wecom_keeps_to_4096_bytes() -> None:
    message = json.loads(sent("wecom", alert(summary_zh="攻击" * 3000, evidence="证" * 3000, source="<@all>" * 300), language="zh").body)
    content = message["markdown"]["content"]
    assert message["msgtype"] == "markdown" and len(content.encode()) <= 4096
    assert re.sub(r"</?font[^>]*>", "", content).count("<") == 0


def test_teams_gets_an_adaptive_card() -> None:
    message = json.loads(sent("teams", alert(), status=202).body)
    assert message["type"] == "message"
    attachment = message["attachments"][0]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"], card["$schema"]) == ("AdaptiveCard", "1.4", "http://adaptivecards.io/schemas/adaptive-card.json")
    assert {one["type"] for one in card["body"]} == {"TextBlock", "FactSet"}
    assert {"title": "Target", "value": "203.0.113.7"} in card["body"][2]["facts"]


@pytest.mark.parametrize(("kind", "answer", "raised"), [
    ("feishu", b'{"code":19021,"msg":"sign match fail"}', Refused), ("feishu", b'{"code":11232,"msg":"often"}', Later),
    ("feishu", b"<html>", Later),
    ("feishu", b'{"StatusCode":0,"StatusMessage":"success"}', None), ("dingtalk", b'{"errcode":310000}', Refused), ("dingtalk", b'{"errcode":130101}', Later),
    ("dingtalk", b"[]", Later), ("wecom", b'{"errcode":93000}', Refused), ("wecom", b'{"errcode":45009}', Later), ("wecom", b'{"errcode":-1}', Later),
    ("wecom", b"", Later), ("slack", b"whatever", None), ("teams", b"1", None), ("wecom", b"[" * 60_000, Later),
])
def test_what_a_service_says_in_an_answer_of_status_200(kind: str, answer: bytes, raised: type[Exception] | None) -> None:
    if raised is None:
        sent(kind, alert(), answer=answer)
    else:
        with pytest.raises(raised) as caught:
            sent(kind, alert(), answer=answer)
        assert "T0K3N" not in str(caught.value)


STRANGE: list[Callable[[], Alert]] = [
    lambda: alert(first_time=0, last_time=0), lambda: alert(first_time=-2**62, last_time=2**63 - 1), lambda: alert(severity="?", state="?", kind=""),
    lambda: alert(summary="\ud800\x00\x1b[31m\u202e", evidence="\ud800" * 10, source="\r\nX-Header: 1", probe="p\r\nq /?#", kind="a|b=c\\d\n"),
    lambda: alert(summary="", summary_zh="", evidence="x" * 100_000, target="y" * 100_000),
]


@pytest.mark.parametrize("kind", [*TAKEN])
@pytest.mark.parametrize("strange", range(len(STRANGE)))
def test_strange_alerts_are_sent_too(kind: str, strange: int) -> None:
    posted = sent(kind, STRANGE[strange](), "s3cret" if kind in ("webhook", "feishu", "dingtalk") else "")
    assert json.loads(posted.body) and "X-Header" not in posted.headers
    assert well(posted)[0] == 200


def test_of_mail_the_server_and_the_sender_are_the_settings() -> None:
    settings = Settings(mail=Mail(host="mail.example", sender="box@example.com"))
    one = receiver(settings, type="mail", to="noc@example.com, chief@example.com")
    assert one.to == ("noc@example.com", "chief@example.com") and one.mail.host == "mail.example"
