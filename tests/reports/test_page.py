"""The HTML report and the terminal summary: complete, self-contained, deaf to what comes from the wire."""
from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dpi.errors import UserError
from dpi.flow.figures import Delays, Figures, Timeline
from dpi.flow.summary import Summary
from dpi.reports import html
from dpi.reports.findings import findings
from dpi.reports.html import chart
from dpi.reports.language import Language
from dpi.reports.terminal import clean, columns, sections, show
from tests.reports import rows


def figures() -> Figures:
    summary = Summary()
    for batch in (rows.flows(400), rows.dns(200), rows.tls(200), rows.http(200)):
        summary.write(batch)
    capture = SimpleNamespace(name=f"{rows.HOSTILE}.pcap", path="/a/b.pcap", size=1000, sha256="ab" * 32, link_types=["EN10MB"], first_time=rows.BEGIN,
                              last_time=rows.BEGIN,
                              packets=20_000, refused={"not_ip": 7, "bad_ip": 200}, damage="cut inside packet 9")
    return summary.figures(SimpleNamespace(captures=[capture], counters={"evicted": 3}, per_second=np.array([[rows.BEGIN // 1_000_000, 5, 10**9]]),
                                           interrupted=True,
                                           skipped=["notes.txt: no capture"]))


class Reader(HTMLParser):
    """Checks that tags are closed in order and keeps what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [f"{tag} {name}" for name, value in attrs if name in ("src", "href", "srcset", "action") or name.startswith("on")]
        self.loads += [f"{tag} style" for name, value in attrs if name == "style" and "url(" in (value or "")]
        if tag not in ("meta", "br", "line", "rect", "path"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "path"):
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_page_is_whole_and_offline(language: str) -> None:
    text = html.render(figures(), language, now=1_700_000_000)
    page = Reader()
    page.feed(text)
    assert page.stack == [] and page.loads == [] and not page.tags & {"script", "img", "link", "iframe", "object", "form", "base"}
    assert not re.search(r"https?://|@import|url\(", text)
    words = "".join(page.words)
    say = Language(language)
    for key in ("report", "findings", "timeline", "applications", "clients", "servers", "quality", "dns", "tls", "http", "refused", "unknown",
                "samples", "largest"):
        assert say(f"title.{key}") in words, key
    for fact in ("ab" * 32, "WeChat", "淘宝", "cut inside packet 9", "notes.txt: no capture", say("label.interrupted"), say.known("refusal", "bad_ip"),
                 "TLS_AES_128_GCM_SHA256"):
        assert fact in words, fact
    assert '<script>alert("1")</script>' in words and "\x1b" not in text


def test_page_without_flows() -> None:
    page = Reader()
    page.feed(html.render(Figures(), "en"))
    assert page.stack == [] and "No flows." in "".join(page.words)


def test_page_of_ipv6_names_longer_than_anything() -> None:
    some = figures()
    some.tls.names[0].name = "a" * 5000
    some.applications[0].name = "界" * 500
    Reader().feed(html.render(some, "zh"))


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = html.write(figures(), tmp_path / "r.html", "zh")
    assert path.read_text().startswith("<!doctype html>") and [one.name for one in tmp_path.iterdir()] == ["r.html"]
    with pytest.raises(UserError, match="cannot be written"):
        html.write(figures(), tmp_path / "no" / "r.html")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("colour", [False, True])
def test_terminal(language: str, colour: bool) -> None:
    say = Language(language)
    text = show(sections(figures(), say), colour)
    for key in ("findings", "applications", "clients", "servers", "quality", "dns", "tls", "http", "refused", "unknown"):
        assert say(f"title.{key}") in text
    assert "\x1b[31m.pcap" not in text and "YouTube" in text
    if not colour:
        assert "\x1b" not in text
        table = text.split(say("title.servers"))[1].splitlines()[2:12]
        shares = [columns(re.split(r"(?<=%) ", line)[0]) for line in table[1:]]
        assert len(set(shares)) == 1, "columns are straight"


def test_terminal_without_flows() -> None:
    assert "No packet was refused." in show(sections(Figures(), Language("en")), False)


def test_clean() -> None:
    assert clean("a\x1b[0m\nb\u202ec") == "a\ufffd[0m\ufffdb\ufffdc"
    assert clean("界界界", 5) == "界界…" and clean("abc", 3) == "abc" and columns("e\u0301界") == 3


def test_findings() -> None:
    some = Figures(packets=1000, bytes=1_000_000, client_bytes=1_000_000, flows=50, rows=50)
    some.tcp.one_sided = 900
    some.tcp.packets, some.tcp.server_retransmissions, some.tcp.handshakes, some.tcp.unanswered = 1000, 50, 100, 60
    found = findings(some, Language("en"))
    assert [one.grave for one in found] == [True, True, True]
    for words in ("90.0 % of TCP is seen in one direction only", "5.0 %", "60 of 100"):
        assert any(words in one.text for one in found)
    assert findings(Figures(), Language("zh")) == []


def test_chart() -> None:
    say = Language("en")
    assert chart.area(Timeline(), [], [], say) == "" and chart.area(Timeline(0, 1, ["a"], [[1.0]], [1.0]), ["#123"], ["a"], say) == ""
    for bins in (2, 3, 149, 151, 600):
        total = [float(k % 7) + 1 for k in range(bins)]
        picture = chart.area(Timeline(rows.BEGIN, 60, ["<a>", None], [total, total], total), ["#123", "#456"], ["<a>", "rest"], say)
        assert picture.count("<path") == 2 and "&lt;a&gt;" in picture and "nan" not in picture
        assert [path.split('"')[1].count("L") + 1 for path in picture.split("<path ")[1:]] == 2 * [2 * bins * (2 if bins <= 150 else 1)]    # steps, then a line
        Reader().feed(picture)
    steps = chart.area(Timeline(rows.BEGIN, 60, ["a", "b"], [[15.0, 30.0], [15.0, 0.0]], [30.0, 30.0]), ["#123", "#456"], ["a", "b"], say)
    assert [path.split('"')[1] for path in steps.split("<path ")[1:]] == [
        "M74.0 126.0L591.0 126.0L591.0 12.0L1108.0 12.0L1108.0 240.0L591.0 240.0L591.0 240.0L74.0 240.0Z",
        "M74.0 12.0L591.0 12.0L591.0 12.0L1108.0 12.0L1108.0 12.0L591.0 12.0L591.0 126.0L74.0 126.0Z"]
    assert "<svg" in chart.histogram(Delays([1] * len(Delays().counts)))
