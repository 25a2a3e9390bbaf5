"""Masking: what names a person or a line is not in what is sent to those who are not trusted."""
from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpi.sinks.discretion import concealed, masked
from tests.sinks.alerts.servers import alert


@pytest.mark.parametrize(("text", "shown"), [
    ("203.0.113.7", "203.0.113.0/24"), ("203.0.113.7:443", "203.0.113.0/24:443"), ("203.0.113.0/24", "203.0.113.0/24"), ("203.0.0.0/16", "203.0.0.0/16"),
    ("203.0.113.64/26", "203.0.113.0/24"), ("2001:db8:7:1::5", "2001:db8:7::/48"), ("[2001:db8:7:1::5]:53", "[2001:db8:7::/48]:53"),
    ("2001:db8:7::/48", "2001:db8:7::/48"), ("2001:db8:7:1::/64", "2001:db8:7::/48"), ("::ffff:203.0.113.7", "203.0.113.0/24"),
    ("fe80::1%eth0", "fe80::/48"), ("of 2001:db8:7:1::5: many", "of 2001:db8:7::/48: many"), ("10.1.2.3, 10.1.2.4.", "10.1.2.0/24, 10.1.2.0/24."),
    ("203.0.113.7->198.51.100.9", "203.0.113.0/24->198.51.100.0/24"), ("at 12:30:45 and 08:01", "at 12:30:45 and 08:01"), ("999.1.2.3", "***"),
    ("010.001.002.003", "***"), ("dsl-203-0-113-7.isp.example", "dsl-***.isp.example"), ("203_0_113_7", "***"), ("00:1b:44:11:3a:b7 said", "*** said"),
    ("00-1B-44-11-3A-B7", "***"), ("001b.4411.3ab7", "***"), ("alice@example.com logs in", "*** logs in"), ("<bob@mail.example.org>", "<***>"),
    ("user=alice from 10.9.8.7", "user=*** from 10.9.8.0/24"), ("user: 'alice b', 30 times", "user: ***, 30 times"), ("login 'bob' failed", "login *** failed"),
    ("username = \"carol\"", "username = ***"), ("用户：王伟，登录失败 30 次", "用户：***，登录失败 30 次"), ("账号“li.na” 登录失败", "账号*** 登录失败"),
    ("7.113.0.203.in-addr.arpa", "arpa"), ("5.0.0.1.ip6.arpa asked", "arpa asked"), ("alices-iphone.local", "local"), ("nas.home.arpa, tv.lan", "local, local"),
    ("www.localbank.example", "www.localbank.example"), ("1:2:3:4:5:6:7", "***"),
    ("mail.internal.example.com", "mail.internal.example.com"), ("52000 packets a second", "52000 packets a second"),
    ("users 30, port 22", "users 30, port 22"), ("1.2.3 and v1.2", "1.2.3 and v1.2"), ("client_ip = '203.0.113.7'", "client_ip = '203.0.113.0/24'"), ("", ""),
])
def test_what_is_shown(text: str, shown: str) -> None:
    assert concealed(text) == shown
    assert concealed(shown) == shown


def test_of_an_alert_all_texts_are_masked_and_the_rest_stays() -> None:
    shown = masked(alert(source="198.51.100.23", target="2001:db8:7:1::5"))
    assert (shown.source, shown.target, shown.dedup_key) == ("198.51.100.0/24", "2001:db8:7::/48", "")
    assert shown.summary == "SYN flood of 203.0.113.0/24: 52000 packets a second, from 198.51.100.0/24 most"
    assert shown.summary_zh == "203.0.113.0/24 遭受 SYN 洪水攻击：每秒 52000 个包" and shown.evidence == "target = '203.0.113.0/24' and 2001:db8:7::/48 too"
    one = alert()
    assert all(getattr(shown, name) == getattr(one, name) for name in ("alert_id", "kind", "state", "count", "customer_id", "service_id", "revision"))


AROUND = st.text(st.sampled_from(" ,;()='\"<>|攻击：→\n"), max_size=3)
V4, V6 = st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)


@given(st.lists(st.tuples(AROUND, st.one_of(V4, V6)), min_size=1, max_size=4), AROUND)
def test_no_address_is_left_in_any_text(parts: list[tuple[str, IPv4Address | IPv6Address]], end: str) -> None:
    text = " ".join(f"{before}{address}" for before, address in parts) + end
    shown = concealed(text)
    for word in re.findall(r"[0-9A-Fa-f:.]+(?:/[0-9]+)?", shown):
        if "/" in word:
            assert ip_network(word).prefixlen in (24, 48)
        else:
            with pytest.raises(ValueError):
                ip_address(word)
    for _before, address in parts:
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        assert str(ip_network((address, 24 if address.version == 4 else 48), strict=False)) in shown


@given(st.text(max_size=300))
def test_any_text_is_masked_without_an_error(text: str) -> None:
    assert isinstance(concealed(text), str)
