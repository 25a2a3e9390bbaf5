"""What `fullspan doctor` says of the interfaces a probe reads."""
from __future__ import annotations

from collections.abc import Iterator

from dpi.cli.finding import BAD, GOOD, NOTE, Finding


def look(names: list[str]) -> Iterator[Finding]:
    """Every interface in turn, then whether packets may be read at all."""
    from dpi.capture.card import may_read_packets

    for name in names:
        yield from _interface(name)
    if names:
        allowed = may_read_packets()
        yield Finding("packets", GOOD if allowed else NOTE, "may be read, also promiscuously (CAP_NET_RAW)" if allowed else "may not be read by this user",
                      "run the probe as root, or with CAP_NET_RAW as deploy/fullspan-probe.service does")


def _interface(name: str) -> Iterator[Finding]:
    from dpi.capture.card import MERGING, Card, card_of, speaks_ipv6
    from dpi.capture.packet_socket import LINKS, exists, kind_of, ring_missing, trouble

    if not exists(name):
        yield Finding(name, BAD, "there is no such interface", "see the names with: ip link")
        return
    why = trouble(name)
    yield Finding(f"{name} link", NOTE if why else GOOD, why or "is up", f"ip link set {name} up" if why == "is down" else "see the cable and the switch's port")
    kind = kind_of(name)
    missing = ring_missing() if kind in LINKS else f"its kind (ARPHRD {kind}) has no ring here"
    yield Finding(f"{name} ring", NOTE if missing else GOOD, f"read through libpcap, which is slower: {missing}" if missing else "TPACKET_V3",
                  "name an Ethernet interface where there is one")
    card: Card = card_of(name)
    merging, stays = card.on(MERGING), card.on(MERGING, fixed=True)
    if merging:
        yield Finding(f"{name} merging", NOTE, f"{', '.join(merging)} on: frames are made one before they are read, and counted as one", _off(name, merging))
    elif stays or not card.features:
        yield Finding(f"{name} merging", NOTE, f"{', '.join(stays)} on, and fixed by the driver" if stays else "its driver does not say", f"see ethtool -k {name}")
    else:
        yield Finding(f"{name} merging", GOOD, "off: frames are read as they came")
    left = [said for feature, said in (("rx-vlan-hw-parse", "rxvlan (tags are put back)"), ("rx-checksum", "rx (checksums: changes no frame)"))
            if feature in card.features and card.features[feature].on]
    if left:
        yield Finding(f"{name} may stay", GOOD, ", ".join(left))
    if card.driver == "veth":
        yield from _sender(name)
    if card.most:
        queues = f", {card.queues} queues" if card.queues > 1 else ""
        short = card.ring < card.most
        yield Finding(f"{name} queue", NOTE if short else GOOD, f"{card.ring} frames of {card.most} that the card could hold{queues}",
                      f"ethtool -G {name} rx {card.most}")
    six = speaks_ipv6(name)
    yield Finding(f"{name} IPv6", NOTE if six else GOOD, "on: this machine sends there and is seen in its own figures" if six else "off",
                  f"sysctl -w net.ipv6.conf.{name}.disable_ipv6=1")


def _sender(name: str) -> Iterator[Finding]:
    """The other end of a veth, which hands over what its own programs send uncut."""
    from dpi.capture.card import UNCUT, card_of, peer_of

    peer = peer_of(name)
    if not peer:
        yield Finding(f"{name} sender", NOTE, "its other end is in another namespace: with tso or gso on there, frames come uncut, up to 64 KB",
                      "there: ethtool -K NAME tso off gso off")
        return
    uncut = card_of(peer).on(UNCUT)
    yield Finding(f"{name} sender", NOTE if uncut else GOOD,
                  f"{peer} has {', '.join(uncut)} on: its frames come uncut, up to 64 KB" if uncut else f"{peer} cuts what it sends",
                  _off(peer, uncut))


def _off(name: str, offloads: list[str]) -> str:
    """The command that turns them off."""
    return f"ethtool -K {name} {' '.join(f'{one} off' for one in offloads)}"
