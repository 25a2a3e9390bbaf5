"""Messages of DNS as rows against a slow twin; tunnels, generated domains and storms just below and just over their limits."""
from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Coded
from dpi.jit import BUILD
from dpi.security import names
from dpi.security.gauge import OF_DNS
from dpi.security.names import CARRIERS, COMMON, DOMAINS, LONG, NATURAL, Names, domain
from tests.security.made import watch, words
from tests.security.said import CLIENT, NULL, TXT, Message, answered, asked, batch, found


def natural(text: str) -> bool:
    """The slow twin of dpi.security.names.natural."""
    if text.startswith("xn--"):
        return True
    classes = [octet if octet.isalpha() else "0" if octet.isdigit() or octet == "\\" else "" for octet in text]
    joined = [a + b for a, b in zip(classes, classes[1:], strict=False) if a and b]
    return len(joined) < 7 or 100 * sum(pair in COMMON for pair in joined) >= NATURAL * len(joined)


def reverse(name: str, below: str) -> bool:
    """Of .reverse."""
    labels = below.split(".")[:4] if below else []
    return name.endswith(".arpa") or (below.count(".") >= 3 or (len(labels) == 4)) and len(labels) == 4 and all(
        label.isdigit() and len(label) <= 3 or len(label) == 1 and label in "abcdef" for label in labels)


def expected(message: Message) -> set[str]:
    """Of what is true of a message."""
    name, code, kind = message["name"], message["code"], message["kind"]
    if not name or message["server"].startswith(("224.", "ff")):
        return set()
    below = name[:max(len(name) - len(domain(name)) - 1, 0)]
    said = {"asked": code < 0, "answered": code >= 0, "missing": code == 3, "failed": code in (2, 3), "long_name": len(below) >= LONG,
            "carrier": kind in CARRIERS,
            "generated": not natural(domain(name).split(".")[0]), "reverse": reverse(name, below), "spelled": len(below) >= LONG and not natural(below)}
    return {word for word, true in said.items() if true}


LABELS = st.one_of(st.text("abcdefgh0123456789-", min_size=1, max_size=40),
                   st.sampled_from(("com", "net", "co", "uk", "arpa", "in-addr", "www", "printer", "xn--abcdefgh12", "1", "23", "192", "f", "zen",
                                    "weather-service")))
MESSAGES = st.lists(st.builds(lambda labels, code, kind, server: {**asked(".".join(labels)[:250], kind=kind, server=server), "code": code},
                              st.lists(LABELS, max_size=7), st.sampled_from((-1, 0, 2, 3, 5)), st.sampled_from((1, 16, 28, 65399)),
                              st.sampled_from(("203.0.113.53", "224.0.0.251", "ff02::fb", "2001:db8::53"))), min_size=1, max_size=12)


@settings(max_examples=60 if BUILD == "on" else 12, deadline=None)
@given(MESSAGES)
def test_rows_are_those_of_the_twin(messages: list[Message]) -> None:
    (rows, first), = Names().read(batch(messages))
    assert first == 0 and len(rows) == len(messages)
    hashes: dict[str, tuple[int, ...]] = {}
    for row, message in zip(rows, messages, strict=True):
        bits = expected(message)
        assert set(names.words(int(row.risks))) == bits, message
        assert tuple(row.client_ip) == words(CLIENT) and row.named == 2 * OF_DNS
        registered = domain(message["name"])
        assert hashes.setdefault(registered, tuple(row.server_ip.tolist())) == tuple(row.server_ip.tolist())
        if bits:
            below = max(len(message["name"]) - len(registered) - 1, 0)
            assert (row.client_packets, row.client_bytes) == ((1, below) if "asked" in bits else (1, 0) if "failed" in bits else (0, 1))
    assert len(set(hashes.values())) == len(hashes)


def test_the_registered_domain_is_what_people_buy() -> None:
    assert [domain(name) for name in ("a.b.example.com", "example.com", "host", "", "x.shop.co.uk", "co.uk", "a.t.xy.io", "deep.in.ac.jp")] == [
        "example.com", "example.com", "host", "", "shop.co.uk", "co.uk", "xy.io", "in.ac.jp"]
    assert domain("x.o'; drop.com") == "o???drop.com"


def test_words_are_told_from_what_is_drawn_at_random() -> None:
    drawn = random.Random(5)
    letters = ["".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=14)) for _ in range(300)]
    said = ["weatherforecast", "googleusercontent", "microsoftonline", "stackoverflow", "deutschebahn", "shanghaidaily", "lemonde-abonnes", "mercadolibre",
            "firefoxusercontent", "bankofamerica", "cloudflare", "verkehrsverbund", "tianqiyubao", "universidad"]
    assert sum(not natural(one) for one in letters) > 200 and all(map(natural, said))


def spelled(count: int, length: int = 40, zone: str = "drop.example.net") -> list[Message]:
    drawn = random.Random(1)
    return [asked(f"{drawn.randbytes(length).hex()[:60]}.{drawn.randbytes(length).hex()[:length - 10]}.{zone}", at=k % 55) for k in range(count)]


def generated(count: int, code: int = 3) -> list[Message]:
    return [answered(f"xq{k}zkvwq{k * k}jx.{('com', 'net', 'info')[k % 3]}", code, at=k % 250) for k in range(count)]


def missing(count: int, domains: int = 12, good: int = 0, client: str = CLIENT) -> list[Message]:
    return [answered(f"printer{k}.office{k % domains}.com", 3, at=k % 55, client=client) for k in range(count)] + [
        answered("www.example.com", 0, at=k % 55, client=client) for k in range(good)]


def botnet(count: int, clients: int) -> list[Message]:
    return [one | {"client": f"198.51.100.{k % clients}"} for k, one in enumerate(missing(count, 1))]


@pytest.mark.parametrize(("kind", "below", "over", "source", "target"), [
    ("dns_tunnel", spelled(49), spelled(50), CLIENT, "example.net"),
    ("dns_tunnel", spelled(60, 22)[:45], spelled(60), CLIENT, "example.net"),
    ("dns_tunnel", [asked(f"p{k}.t.example.com", kind=NULL) for k in range(80)], [asked(f"p{k}.t.example.com", kind=NULL) for k in range(125)], CLIENT,
     "example.com"),
    ("slow_dns_tunnel", [one | {"at": 17 * k} for k, one in enumerate(spelled(165))], [one | {"at": 14 * k} for k, one in enumerate(spelled(245))], CLIENT,
     "example.net"),
    ("dga", generated(24), generated(25), CLIENT, ""),
    ("nxdomain_storm", missing(299), missing(300), CLIENT, ""),
    ("nxdomain_storm", missing(240, 1), missing(370, 1), CLIENT, "office0.com"),
    pytest.param("nxdomain_storm", botnet(999, 20), botnet(1000, 20), "", "office0.com", marks=pytest.mark.compiled),
    pytest.param("nxdomain_storm", botnet(1100, 9), botnet(1100, 10), "", "office0.com", marks=pytest.mark.compiled),
], ids=["long names", "octets", "types", "slow", "generated", "a client", "a domain of a client", "a domain", "clients"])
def test_the_limit_is_where_it_is(kind: str, below: list[Message], over: list[Message], source: str, target: str) -> None:
    assert found(below, kind) == []
    told = found(over, kind)
    assert {(one["kind"], one["source"], one["target"]) for one in told} == {(kind, source, target)}
    assert "rows: protocol = 'DNS'" in told[0]["evidence"] and told[0]["flow_id"] >= 100


@pytest.mark.parametrize("messages", [
    [asked(f"{k}.168.192.in-addr.arpa") for k in range(250)] + [answered(f"{k}.168.192.in-addr.arpa") for k in range(250)],
    [answered(f"{k}.2.0.192.zen.example.org", at=k % 50) for k in range(256)] * 3,
    missing(400, good=400), missing(240, 1, good=0), generated(200, 0), [answered(f"weatherforecast{'abcdefghij'[k % 10]}.com") for k in range(200)],
    [asked(f"frontend-service-{k}.production-namespace.deployment.internal-cluster.local") for k in range(200)],
    [one | {"server": "224.0.0.251"} for one in spelled(200)], [answered("abcdefghij" if k % 2 else "xkcdqzwv") for k in range(300)],
    [asked(f"{'abcdef0123456789' * 2}{k:03}.safe.example.com", at=k % 50) for k in range(300)], [asked("", at=k % 50) for k in range(300)],
    [asked(f"v=spf1.mail{k}.com", kind=TXT) for k in range(300)],
], ids=["reverse", "a list of addresses", "as many good", "few", "existing", "words", "services", "multicast", "one label", "short", "the root",
        "many domains"])
def test_what_is_usual_is_not_told(messages: list[Message]) -> None:
    assert found(messages) == []


@pytest.mark.compiled
def test_what_one_kind_tells_another_does_not_tell_again() -> None:
    assert {one["kind"] for one in found([one | {"code": 3} for one in spelled(1200)] + spelled(400))} == {"dns_tunnel"}
    assert {one["kind"] for one in found(generated(280) + generated(280))} == {"dga"}


def test_domains_and_clients_are_spared() -> None:
    assert found(spelled(60), "dns_tunnel", dns_tunnel={"ignore": "example.org, Example.NET."}) == []
    assert found(generated(30), "dga", dga={"ignore": "192.0.2.0/24"}) == [] and found(generated(30), "dga", dga={"ignore": "192.0.3.0/24"}) != []


@pytest.mark.parametrize("order", [1, -1])
def test_a_share_is_judged_over_the_whole_slot(order: int) -> None:
    assert found(missing(400, good=401)[::order], "nxdomain_storm") == [] and len(found(missing(402, good=401)[::order], "nxdomain_storm")) == 1


def test_the_customer_of_the_client_is_named_at_once() -> None:
    asked_for: list[list[int]] = []

    def whose(places: Any) -> dict[str, Any]:
        asked_for.append(places.tolist())
        return {"client_customer_id": Coded.same("c-1", len(places)), "client_service_id": Coded.same("s-1", len(places))}

    watchman, _, heard = watch(prompt=True)
    watchman.write(batch(spelled(60), whose))
    assert [(one.kind, one.customer_id, one.service_id, one.state) for one in heard] == [("dns_tunnel", "c-1", "s-1", "raised")]
    assert len(asked_for) == 1 and len(asked_for[0]) > 1 and all(k % 2 == 0 for k in asked_for[0])          # all at once, of records, not of rows


def test_hostile_names_are_told_without_what_they_say() -> None:
    rows = found([one | {"name": one["name"].replace("example.net", "x') or 1=1 --\x1b[2j.net")} for one in spelled(60)], "dns_tunnel")
    assert [one["target"] for one in rows] == ["x???or?1?1?--??2j.net"] and "x') or" not in rows[0]["evidence"]
    long = [one | {"name": one["name"] + "q" * 500} for one in spelled(60)]
    assert [len(one["target"]) for one in found(long, "dns_tunnel")] == [253]


def test_bounded_whatever_the_domains() -> None:
    watchman, _, _ = watch(keys=1 << 8)
    watchman.write(batch([asked(f"a.x{k}.com") for k in range(200 if BUILD == "off" else 3000)]))
    assert watchman.counters()["keys"] <= 1 << 8 and len(watchman._names.domains) <= DOMAINS
