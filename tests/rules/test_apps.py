"""rules/apps/*.toml: order and hygiene of the files, the first messages they must know, and random bytes they must not."""
from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi import rules
from dpi.classify.inspection import CLIENT, INSPECTION, SERVER
from dpi.classify.signatures import find_row
from dpi.jit import BUILD, records
from dpi.rules import RuleSet
from tests.rules.messages import MESSAGES, Message

FILES = sorted((rules.rules_directory() / "apps").glob("*.toml"))
#: Names under which anyone may register: as a suffix they would claim strangers.
PUBLIC = {"com", "net", "org", "cn", "com.cn", "net.cn", "org.cn", "gov.cn", "edu.cn", "co.uk", "org.uk", "co.jp", "ne.jp", "or.jp", "com.hk",
          "com.tw", "co.kr", "com.au", "com.br", "co.in", "com.tr", "com.mx", "co.id", "com.sg", "com.my", "co.th", "com.vn", "io", "co", "me",
          "tv", "app", "dev", "ru", "de", "fr"}


def stanzas() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for path in FILES:
        for kind, found in tomllib.loads(path.read_text()).items():
            for stanza in found:
                yield path, kind, stanza


@pytest.fixture(scope="module")
def loaded() -> RuleSet:
    return rules.load(cache=False)


def first_name(loaded: RuleSet, message: Message) -> str:
    """What the first row that names a flow by itself says of this message."""
    inspection = records(1, INSPECTION)
    seen = inspection[0]
    seen.ip_protocol = {"tcp": 6, "udp": 17}[message.transport]
    seen.direction = CLIENT if message.side == "client" else SERVER
    seen.client_port, seen.server_port, seen.start, seen.packets = 40001, message.port, 1, 1
    data = np.frombuffer(message.data, np.uint8).copy()
    row = -1
    while True:
        row = find_row(data, inspection, loaded.rows, loaded.pieces, loaded.pattern_bytes, loaded.buckets, row)
        if row < 0:
            return ""
        if loaded.rows[row].parser == 0 and loaded.rows[row].packets <= 1:
            reason = loaded.reasons[int(loaded.rows[row].reason)]
            return loaded.applications[reason.application] or loaded.protocols[reason.protocol]


def test_files_are_by_category_and_sorted() -> None:
    for path in FILES:
        names = []
        for kind, found in tomllib.loads(path.read_text()).items():
            assert [one["name"].lower() for one in found] == sorted(one["name"].lower() for one in found), (path.name, kind)
            names += [one["name"] for one in found]
            for one in found:
                assert one["category"] == path.stem, (path.name, one["name"])
                assert one.get("source"), (path.name, one["name"])
                for key in ("names", "user_agents", "ports", "certificates"):
                    assert one.get(key, []) == sorted(set(one.get(key, []))), (path.name, one["name"], key)
        assert len(names) == len(set(names)), path.name


def test_a_domain_belongs_to_one_application() -> None:
    owner: dict[str, str] = {}
    for path, _, stanza in stanzas():
        for name in stanza.get("names", []):
            assert owner.setdefault(name, stanza["name"]) == stanza["name"], (path.name, name, owner[name])
            assert name.lstrip("=") not in PUBLIC, (path.name, name)


def test_there_are_enough(loaded: RuleSet) -> None:
    assert len(loaded.applications) > 250 and len(loaded.protocols) > 150
    assert not loaded.notes, loaded.notes


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: f"{one.name}-{one.transport}-{one.port}")
def test_first_messages_are_known(loaded: RuleSet, message: Message) -> None:
    assert first_name(loaded, message) == message.name


def test_random_bytes_are_nobodys(loaded: RuleSet) -> None:
    draw = np.random.default_rng(11)
    named = []
    for k in range(300 if BUILD == "off" else 20_000):
        data = draw.integers(0, 256, int(draw.integers(1, 1400)), dtype=np.uint8).tobytes()
        found = first_name(loaded, Message("", ("tcp", "udp")[k & 1], ("client", "server")[k >> 1 & 1], int(draw.integers(30_000, 65_536)), data))
        named += [found] if found else []
    assert len(named) <= 2, named
