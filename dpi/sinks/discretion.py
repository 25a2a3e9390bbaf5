"""An alert for those who need not know whose addresses are: masked as the views for Grafana mask rows (dpi/store/masked.py).

Addresses are cut to /24 of IPv4 and /48 of IPv6, wherever in a text they are, dashed as in names of lines (`dsl-192-0-2-7.isp.example`) too; MAC and mail
addresses and what stands behind a word as user, login or account are left out; names of devices at home and of reverse zones are one word each. Customers and
services stay: their ids say to nobody but the operator who they are. The key by which states are folded names addresses and goes.
"""
from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from dpi.rollups import DEVICES
from dpi.security.alert import Alert

NAMELESS = "***"
_LONGEST = 4000         # letters of a text; the rest is left out
_MAC = re.compile(r"(?<![0-9A-Za-z:.-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Za-z:-])"
                  r"|(?<![0-9A-Za-z.])(?:[0-9A-Fa-f]{4}[.]){2}[0-9A-Fa-f]{4}(?![0-9A-Za-z])")
_V6 = re.compile(r"(?<![0-9A-Za-z:])(?=[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:)([0-9A-Fa-f:.]+)(%[\w.-]+)?(?:/([0-9]{1,3})(?![0-9]))?")
_V4 = re.compile(r"(?<![0-9.])([0-9]{1,3}(?:[.][0-9]{1,3}){3})(?:/([0-9]{1,2})(?![0-9]))?(?![0-9])")
_DASHED = re.compile(r"(?<![0-9])[0-9]{1,3}([-_])[0-9]{1,3}\1[0-9]{1,3}\1[0-9]{1,3}(?![0-9])")
_MAIL = re.compile(r"[^\s@,;<>()\"'=:]+@[^\s@,;<>()\"']*[^\s@,;<>()\"'.]")
_PERSON = re.compile(r"(?i)(\b(?:user[ _-]?name|user|login|log-in|account|person|subscriber|owner|host[ _-]?name|client[ _-]?id|circuit[ _-]?id)s?"
                     r"|用户名?|账号|帐号|账户|登录名|姓名|主机名)(\s*[=:：]\s*|\s*(?=['\"“「]))('[^']*'|\"[^\"]*\"|“[^”]*”|「[^」]*」|[^\s,;，；。()]+)")
_DEVICE = re.compile(r"(?i)(?<![\w.-])[\w-]+(?:[.][\w-]+)*" + DEVICES.replace("[.]?(:[0-9]+)?$", r"(?![\w-]|[.]\w)"))
_ARPA = re.compile(r"(?i)(?<![\w.-])[\w.-]+[.](?:in-addr|ip6)[.]arpa\b")


def masked(alert: Alert) -> Alert:
    """The same alert without what names a person or a line."""
    return replace(alert, dedup_key="", source=concealed(alert.source), target=concealed(alert.target), summary=concealed(alert.summary),
                   summary_zh=concealed(alert.summary_zh), evidence=concealed(alert.evidence))


def concealed(text: str) -> str:
    """A text without addresses and names of persons."""
    text = _MAIL.sub(NAMELESS, text[:_LONGEST])
    text = _PERSON.sub(lambda found: f"{found[1]}{found[2]}{NAMELESS}", text)
    text = _ARPA.sub("arpa", text)
    text = _DEVICE.sub("local", text)
    text = _MAC.sub(NAMELESS, text)
    text = _V6.sub(_six, text)
    text = _V4.sub(lambda found: _cut(found[1], found[2], found[0]), text)
    return _DASHED.sub(lambda found: NAMELESS, text)


def _six(found: re.Match[str]) -> str:
    """A colon or dot of the sentence may stand behind an address; what is no address stays where it may be a time of day."""
    word, tail = found[1], ""
    while word.endswith(".") or word.endswith(":") and not word.endswith("::"):
        word, tail = word[:-1], word[-1] + tail
    try:
        ip_address(word)
    except ValueError:
        return NAMELESS if word.count(":") > 3 else found[0]
    return _cut(word, found[3], word + (found[2] or "") + (f"/{found[3]}" if found[3] else "")) + tail


def _cut(word: str, length: str | None, whole: str) -> str:
    """The network an address is in; `whole` where it is none, or a network as wide already."""
    try:
        address: IPv4Address | IPv6Address = ip_address(word)
    except ValueError:
        # leading zeros, or 999 in an octet: nobody's address to this library, but a person may read it as one
        return NAMELESS if word.count(".") == 3 else whole
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return _cut(str(address.ipv4_mapped), str(int(length) - 96) if length and int(length) >= 96 else None, whole)
    least = 24 if address.version == 4 else 48
    if length is not None and int(length) <= least:
        return whole
    return str(ip_network((address, least), strict=False))
