"""What the flood detectors have in common: packets, bits and flows a second to one target, over short slots, against a fixed and a learned limit."""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Limits, Rule, option
from dpi.security.gauge import CLIENT, CLIENTS, CLIENTS_OWN, NO_PORT, SERVER, SERVERS, SERVERS_OWN


@dataclass(frozen=True)
class FloodOptions:
    """Rates are means over a slot. 0 switches a limit off."""
    seconds: int = option(10, "length of a slot", 5, 60)
    packets: int = option(0, "packets a second to one target", 0, 1 << 40)
    kilobits: int = option(0, "kbit/s to one target", 0, 1 << 40)
    flows: int = option(0, "new flows a second to one target", 0, 1 << 40)
    floor_percent: int = option(25, "of the fixed limits, what a slot must have for the learned ones to hold", 1, 100)
    times: int = option(4, "so many times the usual is too much, where the floor is reached; 0: nothing is learned", 0, 1000)

    @property
    def limits(self) -> Limits:
        """Of one slot."""
        return Limits(packets=self.packets * self.seconds, bytes=self.kilobits * 125 * self.seconds, flows=self.flows * self.seconds)

    @property
    def floor(self) -> Limits:
        """What the learned limits need."""
        if not self.times:
            return Limits()
        return Limits(**{name: -(-getattr(self.limits, name) * self.floor_percent // 100) for name in ("packets", "bytes", "flows")})


def flood(options: FloodOptions, bits: int, where: str, to_client: bool = False, none: int = 0, any_of: int = 0) -> Rule:
    """The rule of a flood that has these bits. to_client: what is flooded is the row's client, else its server."""
    return Rule(all=bits, where=where, any=any_of, none=none, window=options.seconds, limits=options.limits, floor=options.floor, times=float(options.times),
                key=CLIENT if to_client else SERVER, of=SERVERS if to_client else CLIENTS, port=NO_PORT,
                sent=SERVERS_OWN if to_client else CLIENTS_OWN, victim=True)
