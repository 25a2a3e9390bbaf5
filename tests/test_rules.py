"""dpi.rules: reading, checking, merging, keeping; dpi.explanation and the command."""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dpi import rules
from dpi.classify import registry, rulebook, stanzas
from dpi.classify.rulebook import Rulebook
from dpi.classify.signatures import BYTES, FIELD_LEAST, FIND, FROM_END
from dpi.cli.rules import command
from dpi.errors import UserError
from dpi.explanation import explain

STANZA = """
[[application]]
name = "Example"
category = "messaging"
names = ["example.com", "=only.example.org"]
certificates = ["cert.example.net"]
user_agents = ["ExampleAgent"]
alpn = ["example/1"]
networks = ["203.0.113.0/24", "2001:db8::/32"]
ports = ["tcp/8000", "udp/16000-16010"]
protocol = "ExampleWire"
source = "a test"
  [[application.bytes]]
  transport = "udp"
  direction = "client"
  ports = [1900, "2000-2010"]
  length = ["20", "48-60", "100-"]
  match = [ {at = 0, hex = "ab cd ?? 0?"}, {at = 4, text = "HELLO", nocase = true}, {at = -2, hex = "0d0a"}, {at = 0, find = "word", within = 64} ]
  length_field = {at = 2, size = 2, order = "little", add = 4, min = true}
  packets = 2

[[protocol]]
name = "ExampleWire"
category = "industrial"
  [[protocol.bytes]]
  transport = "ip:89"
"""


def book(*texts: str) -> Rulebook:
    """Compiled without the package's rules: one layer per text."""
    layers = [stanzas.Reader(f"{'abc'[i]}.toml", text).stanzas() for i, text in enumerate(texts)]
    return rulebook.compile_rules(layers, [])


def wrong(text: str, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        book(text)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert caught.value.where.startswith("a.toml:") and caught.value.mend


def test_every_key_of_the_format():
    application, protocol = stanzas.Reader("a.toml", STANZA).stanzas()
    assert [name for name, _ in application.names] == ["example.com", "=only.example.org"]
    assert str(application.names[0][1]) == "a.toml:5"
    row, place = application.signatures[0]
    assert str(place) == "a.toml:13"
    assert (row.ip_protocol, row.direction, row.packets) == (17, 0, 2)
    assert row.ports == ((1900, 1900), (2000, 2010))
    assert row.lengths == ((20, 20), (48, 60), (100, 65535))
    pinned, nocase, last, found, field = row.pieces
    assert (pinned.kind, pinned.value, pinned.mask) == (BYTES, b"\xab\xcd\0\0", b"\xff\xff\0\xf0")
    assert (nocase.kind, nocase.at, nocase.value, set(nocase.mask)) == (BYTES, 4, b"HELLO", {0xDF})
    assert (last.kind, last.at) == (FROM_END, 2)
    assert (found.kind, found.within) == (FIND, 64)
    assert (field.kind, field.at, field.size, field.little, field.add) == (FIELD_LEAST, 2, 2, True, 4)
    assert protocol.signatures[0][0].ip_protocol == 89
    assert protocol.signatures[0][0].lengths == ((0, 65535),)


def test_reasons_in_words():
    made = book(STANZA)
    lists, table = made.lists, made.arrays["reason_table"]
    assert lists["applications"] == ["", "Example"] and lists["categories"] == ["", "messaging"]
    assert lists["protocols"] == ["", "ExampleWire"] and lists["protocol_categories"] == ["", "industrial"]
    assert lists["notes"] == []
    found = rules._assemble("0" * 12, [], lists, made.arrays)
    words = [reason.words for reason in found.reasons]
    assert words[0] == "" and len(words) == table.size == len(found.evidence())
    for expected in ("server name under example.com (a.toml:5)", "server name only.example.org (a.toml:5)",
                     "DNS answer for a name under example.com (a.toml:5)", "certificate name under cert.example.net (a.toml:6)",
                     'user agent contains "ExampleAgent" (a.toml:7)', 'ALPN "example/1" (a.toml:8)', "network 203.0.113.0/24 (a.toml:9)",
                     "port udp/16000-16010 (a.toml:10)", "first bytes (a.toml:13)", "IP protocol 89 (a.toml:25)"):
        assert expected in words
    name = words.index("server name under example.com (a.toml:5)")
    assert found.reasons[found.reason_dns[name]].confidence == "dns"
    assert {found.reasons[i].confidence for i in range(1, len(words))} == {"payload", "name", "dns", "network", "port"}
    first_bytes = found.reasons[words.index("first bytes (a.toml:13)")]
    assert (first_bytes.protocol, first_bytes.application, first_bytes.file, first_bytes.line) == (1, 1, "a.toml", 13)
    assert found.reasons[-1] == found.reasons[len(words) - 1] and len(found.reasons[1:3]) == 2


@pytest.mark.parametrize("body, words", [
    ('names = ["*.a.com"]', ("a.toml:5", "write 'a.com'")),
    ('names = ["a b"]', ("no domain name",)),
    ('names = [".."]', ("wildcard",)),
    ('names = "a.com"', ("must be a list",)),
    ('name_ = ["a.com"]', ("no key 'name_'", "did you mean 'name'")),
    ('networks = ["10.0.0.1/8"]', ("write 10.0.0.0/8",)),
    ('networks = ["::ffff:10.0.0.0/104"]', ("IPv4",)),
    ('networks = ["10.0.0.0/99"]', ("no network",)),
    ('ports = ["8000"]', ("write tcp/N",)),
    ('ports = ["udp/9-3"]', ("no port",)),
    ('user_agents = ["ab"]', ("too short",)),
    ('source = "nothing else"', ("nothing says how to know",)),
    ('names = ["a.com"]\nsource = 3', ("a.toml:6", "must be a text")),
    ('names = ["a.com"]\nbytes = [{transport = "tcp"}]', ("begin each row with a line",)),
    ('names = ["a.com"', ("not TOML",)),
])
def test_an_error_names_file_line_and_fix(body, words):
    wrong(f'\n[[application]]\nname = "A"\ncategory = "x"\n{body}\n', *words)


@pytest.mark.parametrize("body, words", [
    ('transport = "dccp"', ("transport 'dccp'",)),
    ('transport = "ip:300"', ("0 to 255",)),
    ('transport = "tcp"', ("pins no byte",)),
    ('transport = "tcp"\nports = [80]', ("pins no byte",)),
    ('match = [{hex = "00"}]', ("'transport' is missing",)),
    ('transport = "tcp"\nmatch = [{hex = "0"}]', ("not understood", "hex digits")),
    ('transport = "tcp"\nmatch = [{hex = "00", text = "a"}]', ("one of hex, text, find",)),
    ('transport = "tcp"\nmatch = [{text = ""}]', ("at least one character",)),
    ('transport = "tcp"\nmatch = [{at = -1, hex = "0d0a"}]', ("at = -2",)),
    ('transport = "tcp"\nmatch = [{at = "0", hex = "0d0a"}]', ("'at' must be a whole number",)),
    ('transport = "tcp"\nmatch = [{hex = "0d0a", within = 3}]', ("belongs to find",)),
    ('transport = "tcp"\nmatch = [{find = "abc", within = 2}]', ("window",)),
    ('transport = "tcp"\nlength = "3"\nmatch = [{hex = "00010203"}]', ("no data of this length",)),
    ('transport = "tcp"\nlength = "9-3"', ("empty",)),
    ('transport = "tcp"\nlength = true', ("not understood",)),
    ('transport = "tcp"\nlength_field = {at = 0, size = 5}', ("out of range",)),
    ('transport = "tcp"\nlength_field = {at = 0, size = 2, big = true}', ("no key 'big'",)),
    ('transport = "tcp"\nlength = "3"\ndirection = "up"', ("direction 'up'",)),
    ('transport = "tcp"\nlength = "3"\npackets = 99', ("out of range",)),
    ('transport = "tcp"\nlength = "3"\npackets = 2\ndirection = "server"', ("begin with the server",)),
    ('transport = "tcp"\nlength = "3"\nports = [0]', ("no port",)),
])
def test_an_error_in_a_bytes_row(body, words):
    wrong(f'[[application]]\nname = "A"\ncategory = "x"\n[[application.bytes]]\n{body}\n', *words)


def test_what_is_no_stanza():
    wrong("[[applications]]\nname = 'A'\n", "a.toml:1", "[[application]]")
    wrong("[application]\nname = 'A'\n", "begin each with a line [[application]]")
    wrong("[[application]]\nname = 'A'\ncategory = 'not plain'\nnames = ['a.com']", "plain word")
    wrong("[[application]]\ncategory = 'x'\nnames = ['a.com']", "'name' is missing")
    wrong("[[protocol]]\nname = 'A'\ncategory = 'x'\nprotocol = 'B'\nports = ['tcp/1']", "belongs to [[application]]")


ONE = '[[application]]\nname = "A"\ncategory = "x"\nnames = ["a.com"]\n'


def test_stanzas_of_one_name_merge():
    made = book(ONE + ONE.replace("a.com", "b.com"))
    assert made.lists["applications"] == ["", "A"]
    wrong(ONE + ONE.replace('"x"', '"y"').replace("a.com", "b.com"), "a.toml:5", "a.toml:1", "same category")
    wrong(ONE + ONE.replace('"A"', '"a"').replace("a.com", "b.com"), "spelled otherwise", "write 'A'")
    wrong(ONE + ONE.replace('"A"', '"B"'), "claimed twice", "a.toml:4")


def test_a_later_directory_overrides():
    made = book(ONE, ONE.replace('"A"', '"B"'))
    found = rules._assemble("", [], made.lists, made.arrays)
    assert {one.application for one in explain(found, "www.a.com")} == {"B"}


def test_ports_claimed_twice_are_told():
    made = book('[[protocol]]\nname = "A"\ncategory = "x"\nports = ["tcp/80"]\n'
                '[[protocol]]\nname = "B"\ncategory = "x"\nports = ["tcp/80", "tcp/1-99"]\n')
    assert len(made.lists["notes"]) == 1 and "tcp/80" in made.lists["notes"][0]
    found = rules._assemble("", [], made.lists, made.arrays)
    reasons = [found.reasons[found.ports[port]] for port in (79, 80)]
    assert [found.protocols[reason.protocol] for reason in reasons] == ["B", "B"] and reasons[1].words.startswith("port tcp/80 ")


def test_a_light_row_is_told():
    made = book('[[protocol]]\nname = "A"\ncategory = "x"\n[[protocol.bytes]]\ntransport = "udp"\nmatch = [{hex = "80"}]\n'
                '[[protocol.bytes]]\ntransport = "udp"\nmatch = [{hex = "8081"}]\n[[protocol.bytes]]\ntransport = "ip:132"')
    assert [note.partition(": ")[0] for note in made.lists["notes"]] == ["a.toml:4"]
    assert "132" in made.lists["values"]


# ---------------------------------------------------------------- the package's own rules

def test_the_package_rules():
    assert rules.check() == []
    found = rules.load()
    assert len(found.applications) > 150
    assert len(set(found.applications)) == len(found.applications) == len(found.categories)
    assert len(set(found.protocols)) == len(found.protocols) == len(found.protocol_categories) == len(found.carriers)
    assert all(found.categories[1:]) and all(found.protocol_categories[1:])
    assert len(found.parsers) == len(registry.sources()) == len(found.parser_protocol) - 1
    for number, one in enumerate(registry.parsers(), 1):
        assert found.protocols[found.parser_protocol[number]] == one.protocol.name
        assert found.parser_memory[number] == one.protocol.memory
        starts = one.protocol.packet_starts
        assert bytes(np.flatnonzero(found.parser_starts[256 * number:256 * number + 256]).tolist()) == (bytes(sorted(starts)) or bytes(range(256)))
        for k, name in enumerate(one.protocol.also):
            assert found.protocols[found.parser_also[number * 16 + k]] == name.partition(".")[0]
    rows = found.rows.view(np.ndarray)
    assert (rows["parser"] < len(found.parser_protocol)).all() and (rows["reason"] > 0).all() and (rows["reason"] < len(found.reasons)).all()


def test_a_wrong_protocol_file_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "sources", lambda: [Path("/somewhere/__init__.py")])
    with pytest.raises(ValueError, match="declares PROTOCOL"):
        registry.parsers()


# ---------------------------------------------------------------- keeping

@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "cache"))
    folder, package = tmp_path / "rules", tmp_path / "package"
    folder.mkdir()
    (package / "apps").mkdir(parents=True)
    (package / "apps" / "base.toml").write_text(STANZA)
    monkeypatch.setattr(rules, "rules_directory", lambda: package)
    (folder / "own.toml").write_text(ONE)
    return folder


def test_what_is_kept_is_what_was_compiled(cached, monkeypatch):
    fresh = rules.load([cached])
    monkeypatch.setattr(rules, "_compile", lambda layers: pytest.fail("compiled again"))
    kept = rules.load([cached])
    assert kept.version == fresh.version and len(kept.version) == 12
    assert kept.evidence() == fresh.evidence() and kept.applications == fresh.applications and kept.protocols == fresh.protocols
    for name, array in fresh.arrays.items():
        assert array.tobytes() == kept.arrays[name].tobytes() and array.dtype == kept.arrays[name].dtype, name


def test_a_change_or_damage_compiles_again(cached):
    before = rules.load([cached])
    (cached / "own.toml").write_text(ONE.replace("a.com", "b.com"))
    assert rules.load([cached]).version != before.version
    for store in (cached.parent / "cache").glob("rules-*.bin"):
        for content in (b"", store.read_bytes()[:-1], store.read_bytes().replace(b'"arrays"', b'"Arrays"'), b"x" * 100):
            store.write_bytes(content)
            assert rules.load([cached]).applications == before.applications
    for k in range(12):
        (cached / "own.toml").write_text(ONE.replace("a.com", f"c{k}.com"))
        rules.load([cached])
    assert len(list((cached.parent / "cache").glob("rules-*.bin"))) <= 8


def test_an_edit_that_keeps_size_and_time_is_noticed(cached):
    own = cached / "own.toml"
    before, was = rules.load([cached]), own.stat()
    own.write_text(ONE.replace("a.com", "b.com"))
    os.utime(own, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert own.stat().st_size == was.st_size and rules.load([cached]).version != before.version


def test_directories_that_hold_no_rules(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        rules.load([tmp_path])
    with pytest.raises(UserError, match="not a directory"):
        rules.load([tmp_path / "none"])
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="UTF-8"):
        rules.load([tmp_path])


# ---------------------------------------------------------------- the command

def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_check(tmp_path):
    code, text = run("check")
    assert code == 0 and "No errors." in text
    assert json.loads(run("check", "--json")[1])["ok"] is True
    other = '[[application]]\nname = "B"\ncategory = "x"\nnames = ["*.b.com"]\nother = 1\n'
    (tmp_path / "own.toml").write_text(ONE + other + ONE.replace('"A"', '"C"'))
    code, text = run("check", "--rules", str(tmp_path))
    assert code == 2 and text.count(f"{tmp_path}/own.toml:") >= 2 and "no key 'other'" in text and "claimed twice" in text
    assert '"ok": false' in run("check", "--rules", str(tmp_path), "--json")[1]


def test_list():
    code, text = run("list", "--category", "video", "--json")
    rows = json.loads(text)
    assert code == 0 and len(rows) > 5 and {row["category"] for row in rows} == {"video"}
    assert {row["kind"] for row in json.loads(run("list", "--kind", "protocol", "--json")[1])} == {"protocol"}
    assert "in all" in run("list")[1]
    with pytest.raises(UserError, match="no category 'vidoe'"):
        run("list", "--category", "vidoe")


def test_explain(tmp_path):
    (tmp_path / "own.toml").write_text(STANZA.replace("packets = 2", "").replace("example.com", "sub.example.com"))
    more = ("--rules", str(tmp_path))

    def asked(question: str, *options: str) -> list[tuple[str, str]]:
        answers = json.loads(run("explain", question, "--json", *more, *options)[1])
        return [(one["application"] or one["protocol"], one["confidence"]) for one in answers]

    assert asked("www.sub.example.com") == [("Example", "name"), ("Example", "dns"), ("Example", "name")]
    assert asked("192.0.2.1") == [("", "")]
    assert asked("203.0.113.9") == [("Example", "network")]
    assert asked("2001:db8::1") == [("Example", "network")]
    assert asked("udp/16005") == [("Example", "port")]
    assert asked("agent:Mozilla ExampleAgent/1") == [("Example", "name")]
    assert asked("alpn:example/1") == [("Example", "name")]
    assert asked("certificate:www.cert.example.net") == [("Example", "name")]
    content = b"\xab\xcd\x05\x00hello" + b"word".rjust(9) + b"\r\n"
    assert len(content) == 20
    assert asked("hex:" + content.hex(), "--transport", "udp", "--server-port", "1900") == [("Example", "payload")]
    assert asked("hex:" + content.hex(), "--transport", "udp", "--server-port", "1900", "--from", "server") != [("Example", "payload")]
    assert ("Example", "payload") not in asked("hex:" + content.hex(), "--server-port", "1901")
    assert "Example" in run("explain", "udp/16000", *more)[1]
    for question in ("hex:", "hex:0", "a b", "\u3002"):
        with pytest.raises(UserError):
            run("explain", question)
    with pytest.raises(UserError, match="unknown"):
        run("explain", "hex:00", "--transport", "dccp")


def test_bytes_are_shown_to_parsers():
    message = "hex:1234 0100 0001 0000 0000 0000 03777777 076578616d706c65 03636f6d 00 0001 0001"
    answers = json.loads(run("explain", message, "--transport", "udp", "--server-port", "53", "--json")[1])
    assert answers[0]["protocol"] == "DNS" and "parsed" in answers[0]["evidence"]
