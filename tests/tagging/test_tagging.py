"""dpi.tagging: the language against its slow twin, files and their errors, and the column of real rows."""
from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi import rules
from dpi.batch import Batch, Coded, Lists, Texts
from dpi.cli.rules import command
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.tagging import Rule, Tagging, stanzas
from dpi.tagging.grammar import DEEPEST, BadExpression, parse
from dpi.tagging.masks import mask_of
from dpi.tagging.strings import Words
from tests.oracle.tags import holds, rows_of
from tests.rows import WORDS, batch

NAMES = ("", "example.com", "a.Example.com", "badexample.com", "example.com.evil.net", ".example.com", "exämple.com", "com", "xexample.comx")
RISK = ("clear_text_credentials", "obsolete_tls", "weak_cipher")
COLUMNS = TABLES["flows"].columns


def some_rows(seed: int, count: int = 60) -> Batch:
    """Random rows whose names and risks are such as rules ask for; numbers are small now and then, so that they meet."""
    rng = np.random.default_rng(seed)
    words = [NAMES[i] for i in rng.integers(0, len(NAMES), count)]
    risks = [list(dict.fromkeys(RISK[i] for i in rng.integers(0, 3, rng.integers(0, 3)))) for _ in range(count)]
    small: dict[str, Any] = {column.name: rng.integers(0, 4, count).astype("u8") for column in COLUMNS if column.kind == "u64" and rng.random() < 0.5}
    made = batch("flows", count, seed, server_name=Texts.of(words) if rng.integers(2) else Coded.of(words), risks=Lists.of(risks), **small)
    made.columns["client_ip"][rng.random(count) < 0.3] = np.frombuffer(b"\0" * 10 + b"\xff\xff" + bytes([10, 1, 2, 3]), np.uint8)    # type: ignore[index]
    return made


def of_kind(*kinds: str) -> st.SearchStrategy[str]:
    return st.sampled_from([column.name for column in COLUMNS if column.kind in kinds and column.name not in ("stored_time", "rules_version")
                            and not (column.unit == "us" and not column.kind.startswith("time"))])


NUMBER = st.one_of(st.integers(0, 5).map(str), st.integers(0, 1 << 64).map(str), st.sampled_from(["1k", "2.5M", "1_000", "3Ki", "0.5"]))
COUNTED = of_kind("u8", "u16", "u32", "u64", "id", "u32?")
SUM = st.one_of(COUNTED, st.builds("{} {} {}".format, COUNTED, st.sampled_from("+-"), COUNTED), st.builds("{} * ({} - {})".format, NUMBER, COUNTED, NUMBER))
SIGN = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
NETWORK = st.one_of(st.builds(lambda n, b: str(ipaddress.ip_network((n, b), strict=False)), st.integers(0, (1 << 32) - 1), st.integers(0, 32)),
                    st.builds(lambda n, b: str(ipaddress.ip_network((n << 64, b), strict=False)), st.integers(0, (1 << 64) - 1), st.integers(0, 128)),
                    st.sampled_from(["10.0.0.0/8", "10.1.2.3", "::ffff:0:0/96"]))
QUOTED = st.sampled_from([word for word in (*WORDS, *NAMES, "xam", "m", "..", "c?m", "*.com", "*", "e*a*", "[e]x*")
                          if "\n" not in word and "'" not in word]).map("'{}'".format)
SOME = QUOTED.filter(lambda text: text != "''")
FREE = st.sampled_from(["server_name", "user_agent", "application", "community_id", "ja4"])
LEAF = st.one_of(
    st.builds("{} {} {}".format, SUM, SIGN, st.one_of(NUMBER, SUM)), st.builds("{} {} {}".format, NUMBER, SIGN, SUM),
    st.builds("{} {} {}".format, of_kind("u32?").map("{}".format) | st.just("client_rtt_us"), SIGN, st.just("0")),
    st.builds("client_rtt_us {} {}".format, SIGN, st.sampled_from(["200ms", "0.5s", "20min"])),
    st.builds("interval_end - flow_start_time {} {}".format, SIGN, st.sampled_from(["10s", "0", "1min"])),
    st.builds("interval_start {} '2012-04-09T19:3{}'".format, SIGN, st.integers(3, 6)),
    of_kind("flag"), st.builds("{} {} {}".format, of_kind("flag"), st.sampled_from(["==", "!="]), st.sampled_from(["true", "false"])),
    st.builds("{} {}in ({}, {})".format, of_kind("ip"), st.sampled_from(["", "not "]), NETWORK, NETWORK), st.builds("{} == {}".format, of_kind("ip"), NETWORK),
    st.builds("{} in [{}, 0 - 3, 7]".format, COUNTED, NUMBER),
    st.builds("{} {} {}".format, FREE, st.sampled_from(["==", "!="]), QUOTED),
    st.builds("{} {}in ({}, {})".format, FREE, st.sampled_from(["", "not "]), QUOTED, QUOTED),
    st.builds("{} {} {}".format, FREE, st.sampled_from(["contains", "startswith", "not endswith", "under", "like"]), SOME),
    st.builds("{} {} ({}, {})".format, FREE, st.sampled_from(["under", "like"]), SOME, SOME),
    st.builds("client_mac {} {}".format, st.sampled_from(["==", "startswith"]), st.sampled_from(["'00:00:00:00:00:01'", "'aa:bb:cc:dd:ee:ff'", "'aa:'"])),
    st.builds("'{}' {}in risks".format, st.sampled_from(RISK), st.sampled_from(["", "not "])),
)
TEST = st.recursive(LEAF, lambda inner: st.one_of(st.builds("not ({})".format, inner), st.builds("({} and {})".format, inner, inner),
                                                 st.builds("({}) or ({}) or ({})".format, inner, inner, inner)), max_leaves=6)


@settings(max_examples=250, deadline=None)
@given(TEST, st.integers(0, 40))
def test_rows_at_once_and_one_by_one_agree(text: str, seed: int) -> None:
    tree, rows = parse(text), some_rows(seed)
    assert mask_of(tree)(rows.columns, rows.count).tolist() == [holds(tree, row) for row in rows_of(rows)], text


PIECES = ["(", ")", "not", "and", "or", "in", ",", "-", "+", "*", "==", "<", "client_bytes", "final", "client_ip", "risks", "'x'", "5k", "10.0.0.0/8", "ms",
          "under", "[", "]", "::1"]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join)))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        tree = parse(text)
    except BadExpression as bad:
        assert 0 <= bad.at <= len(text) and bad.what and bad.mend
        return
    rows = some_rows(1)
    assert mask_of(tree)(rows.columns, rows.count).shape == (rows.count,)
    mask_of(tree)({}, 3)                        # a batch without these columns has their defaults


def test_columns_that_are_not_there_have_their_defaults() -> None:
    for text, expected in (("client_bytes == 0", True), ("client_rtt_us >= 0", False), ("server_name == ''", True), ("'obsolete_tls' in risks", False),
                           ("client_ip in ::/128", True), ("final", False), ("client_bytes in 0 - 3", True)):
        assert mask_of(parse(text))({}, 2).tolist() == [expected] * 2, text


def rule(name: str, text: str) -> Rule:
    return Rule(name, parse(text), "", "f", 1)


def test_the_column_holds_what_was_there_and_what_rules_add() -> None:
    rows = some_rows(3, 200)
    rows.columns["tags"] = Lists.of([["one_sided"] if k % 3 == 0 else ["folded", "any_port"] if k % 7 == 0 else [] for k in range(200)])    # type: ignore[index]
    plain = rows_of(rows)
    tagging = Tagging([rule("z", "client_bytes < 3"), rule("a", "'one_sided' in tags"), rule("z", "server_name under 'example.com'"),
                       rule("never", "final and not final")])
    made = tagging.tagged(rows)
    first, second = parse("client_bytes < 3"), parse("server_name under 'example.com'")
    expected = [[*row["tags"], *(["a"] if "one_sided" in row["tags"] else []), *(["z"] if holds(first, row) or holds(second, row) else [])] for row in plain]
    assert [list(one) for one in made.columns["tags"]] == expected and sum(map(len, expected)) > 150
    assert list(made.columns["client_bytes"]) == list(rows.columns["client_bytes"])
    assert list(tagging.tagged(made).columns["tags"])[0][-1] in ("a", "z", "one_sided")
    other = batch("dns", 3)
    assert tagging.tagged(other) is other and not Tagging([])
    assert list(Tagging([rule("never", "final and not final")]).tags({}, 2)) == [[], []]


def file(folder: Path, text: str) -> Path:
    (folder / "tags").mkdir(exist_ok=True)
    (folder / "tags" / "a.toml").write_text(text)
    return folder


@pytest.mark.parametrize(("text", "where", "what"), [
    ('[[tag]]\nname = "a"\nwhen = "client_byte > 5"\n', ":3:9", "did you mean 'client_bytes'"),
    ('[[tag]]\nname = "a"\nwhen = """\n  final\n  and client_bytes > 5s"""\n', ":5:20", "give durations a unit"),
    ('[[tag]]\nname = "a"\nwhen = "ja4 == \\"x\\" and 5"\n', ":3:26", "is no condition"),
    ('[[tag]]\nname = "a"\nwhen = "final"\n[[tag]]\nname = "one_sided"\nwhen = "final"\n', ":5:8", "meaning of its own"),
    ('[[tag]]\nname = "A b"\nwhen = "final"\n', ":2:8", "lower-case"),
    ('[[tag]]\nname = "a"\nwhen = 5\n', ":3:8", "must be a text"),
    ('[[tag]]\nname = "a"\n', ":1:1", "'when' is missing"),
    ('[[tag]]\nname = "a"\nwen = "final"\n', ":3:7", "did you mean 'when'"),
    ('[[tag]]\nname = \n', ":2:8", "not TOML"),
    ('[[application]]\nname = "a"\n', "", "stanzas begin with [[tag]]"),
    ('[[tag]]\nname = "a"\nwhen = "client_ip in 10.1.0.0/8"\n', ":3:22", "write 10.0.0.0/8"),
    ('[[tag]]\nname = "a"\nwhen = "\'weak_ciper\' in risks"\n', ":3:9", "did you mean 'weak_cipher'"),
])
def test_an_error_names_its_place_and_its_mend(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(UserError) as told:
        rules.load([file(tmp_path, text)])
    assert f"a.toml{where}" in told.value.where and told.value.where.endswith(where) and what in str(told.value)
    run = CliRunner().invoke(command, ["check", "--rules", str(tmp_path)])
    assert run.exit_code == 2 and str(told.value) in run.output


def test_what_is_too_deep_long_or_much_is_refused(tmp_path: Path) -> None:
    for text in ("(" * (DEEPEST + 1) + "final", "not " * (DEEPEST + 1) + "final", "final and " * 1000 + "final"):
        with pytest.raises(BadExpression):
            parse(text)
    with pytest.raises(UserError, match="200 are taken"):
        rules.load([file(tmp_path, '[[tag]]\nname = "a"\nwhen = "final"\n' * 201)])


def test_files_are_read_in_every_directory_and_the_examples_are_right(tmp_path: Path) -> None:
    assert rules.load().tagging is None
    file(tmp_path, '[[tag]]\nname = "mine"\nwhen = "final"\nnote = "why"\n')
    found = rules.load([tmp_path, rules.rules_directory() / "examples"]).tagging
    assert found is not None and found.rules[0] == Rule("mine", parse("final"), "why", str(tmp_path / "tags" / "a.toml"), 3) and len(found.rules) == 11
    assert json.loads(CliRunner().invoke(command, ["check", "--json", "--rules", str(tmp_path)]).output)["tags"] == 1
    assert stanzas.files_of(tmp_path / "none") == []


def test_rows_of_a_replay_have_them_whatever_the_sink(tmp_path: Path) -> None:
    from dpi.replaying import ReplayOptions, run
    from dpi.sinks.files import FileSink

    file(tmp_path, '[[tag]]\nname = "telling"\nwhen = "protocol like \'FTP*\'"\n[[tag]]\nname = "to_port_21"\nwhen = "server_port == 21"\n')
    out = FileSink(tmp_path / "flows.jsonl")
    run([str(Path(__file__).parents[2] / "pcaps" / "ftp.pcap")], sinks=[out], options=ReplayOptions(rules=str(tmp_path)))
    out.close()
    flows = [json.loads(line) for line in (tmp_path / "flows.jsonl").read_text().splitlines()]
    control = [flow for flow in flows if flow["server_port"] == 21]
    assert control and all(flow["tags"] == ["telling", "to_port_21"] for flow in control)
    assert all("to_port_21" not in flow["tags"] for flow in flows if flow["server_port"] != 21)


@pytest.mark.parametrize(("text", "what"), [
    ("client_bytes > 1__0", "is no number"), ("1_ < client_bytes", "is no number"), (f"client_bytes * {'9' * 400} > 1", "a number of more than"),
    (f"{'9' * 400}.0 < client_bytes", "a number of more than"), (f"{'+'.join(['1'] * 1900)} > client_bytes", "terms"),
    ("client_local < true", "can't be compared")])
def test_what_would_end_the_program_or_be_read_as_something_else_is_refused(text: str, what: str) -> None:
    with pytest.raises(BadExpression, match=what):
        parse(text)


@settings(max_examples=300, deadline=None)
@given(pattern=st.text("ab*?\n", max_size=8), text=st.text("ab\n", max_size=10))
def test_a_pattern_fits_as_the_words_say(pattern: str, text: str) -> None:
    def fits(pattern: str, text: str) -> bool:
        if pattern[:1] == "*":
            return fits(pattern[1:], text) or text != "" and fits(pattern, text[1:])
        return pattern == text == "" if not (pattern and text) else pattern[0] in ("?", text[0]) and fits(pattern[1:], text[1:])

    assert Words("like", (pattern,)).fits(text) == fits(pattern, text)


def test_a_pattern_of_many_parts_takes_no_time_on_any_text() -> None:
    assert not Words("like", ("*a" * 100 + "*b",)).fits("a" * 20_000)
