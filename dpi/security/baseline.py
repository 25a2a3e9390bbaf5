"""What is usual: for each key of a rule, an exponentially weighted mean and mean deviation of what its past slots counted.

Slots below a rule's teaching floor are not told and count as nothing: what a key has in them is at most a quarter of the floor, which is itself the least that
can fire. Keys are bounded: beyond, the one not heard of the longest is given up, and its usual is nothing again.
"""
from __future__ import annotations

from collections import OrderedDict

from dpi.dataclass import dataclass
from dpi.security.counted import Counted
from dpi.security.detector import Rule
from dpi.security.ledger import MEASURES

KEYS = 1 << 14
WARM = 30                   # slots of a rule that must have passed before what is usual is known
WEIGHT = 0.1                # of the newest slot
DEVIATIONS = 4              # mean deviations above the mean that are still usual


@dataclass
class _Usual:
    """By measure: mean and mean deviation, as of slot `slot`."""
    mean: dict[str, float]
    deviation: dict[str, float]
    slot: int


class Baselines:
    """Told of slots in their order; says which are unusual."""

    def __init__(self, keys: int = KEYS) -> None:
        self.keys, self.given_up = keys, 0
        self._usual: OrderedDict[tuple[int, ...], _Usual] = OrderedDict()
        self._began: dict[int, int] = {}        # the first slot of a rule

    def __len__(self) -> int:
        return len(self._usual)

    def begin(self, number: int, slot: int) -> None:
        """Rule `number` has been counted since this slot."""
        self._began.setdefault(number, slot)

    def limits(self, number: int, rule: Rule, key: tuple[int, ...], slot: int) -> dict[str, float] | None:
        """What a slot of this key must exceed, by measure of the rule's floor; None where it is not known yet."""
        if not rule.floor or slot - self._began.get(number, slot) < WARM:
            return None
        usual = self._usual.get((number, *key))
        out = {}
        for name in MEASURES:
            if floor := getattr(rule.floor, name):
                mean, deviation = (0.0, 0.0) if usual is None else _aged(usual, name, slot)
                out[name] = max(float(floor), mean * rule.times, mean + DEVIATIONS * deviation)
        return out

    def learn(self, number: int, rule: Rule, key: tuple[int, ...], slot: int, counted: Counted, most: dict[str, float] | None) -> None:
        """Take a slot as usual; of one that is not, no more than `most`, so that an attack does not teach that it is usual."""
        whole = (number, *key)
        usual = self._usual.pop(whole, None) or _Usual({}, {}, slot)
        for name in MEASURES:
            if not getattr(rule.floor, name):
                continue
            mean, deviation = _aged(usual, name, slot)
            here = float(getattr(counted, name))
            value = here if most is None else min(here, most[name])
            usual.deviation[name] = deviation + WEIGHT * (abs(value - mean) - deviation)
            usual.mean[name] = mean + WEIGHT * (value - mean)
        usual.slot = max(usual.slot, slot)
        self._usual[whole] = usual
        if len(self._usual) > self.keys:
            self._usual.popitem(last=False)
            self.given_up += 1


def _aged(usual: _Usual, name: str, slot: int) -> tuple[float, float]:
    """Mean and deviation after the slots since in which there was nothing."""
    gone = (1 - WEIGHT) ** max(0, min(slot - usual.slot - 1, 1000))
    return usual.mean.get(name, 0.0) * gone, usual.deviation.get(name, 0.0) * gone
