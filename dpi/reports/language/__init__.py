"""The words and number formats of a report, in English and Simplified Chinese. One TOML catalogue a language; both hold the same keys."""
from __future__ import annotations

import contextlib
import marshal
import os
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path

from dpi.cache import cache_directory, keep

LANGUAGES = ("en", "zh")
_DECIMAL = (("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12), ("P", 10**15))


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every sentence of a language under its dotted key. Kept as it was read last: reading TOML takes longer than printing a summary."""
    source = Path(__file__).parent / f"{language}.toml"
    about = os.stat(source)
    origin = (str(source), about.st_ctime_ns, about.st_size)
    name = f"words-{language}-{sys.implementation.cache_tag}.bin"
    with contextlib.suppress(OSError, RuntimeError, ValueError, EOFError, TypeError):      # RuntimeError: the user has no directory
        of, words = marshal.loads((cache_directory() / name).read_bytes())
        if of == origin:
            return dict(words)
    import tomllib

    with source.open("rb") as file:
        words = {f"{section}.{key}": text for section, entries in tomllib.load(file).items() for key, text in entries.items()}
    with contextlib.suppress(RuntimeError):
        keep(cache_directory() / name, marshal.dumps((origin, words)))
    return words


def plain(value: float, digits: int = 1) -> str:
    """A number with thousands separated and at most `digits` decimals, without trailing zeros."""
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Language:
    """Says things in one language."""

    def __init__(self, code: str, zone: tzinfo = UTC) -> None:
        """zone: in which moments are said."""
        if code not in LANGUAGES:
            raise ValueError(f"no such language: {code}")
        self.code, self.zone = code, zone
        self.words = catalogue(code)

    def __call__(self, key: str, **values: object) -> str:
        """The sentence under a key with its values filled in; KeyError for a key that is not there."""
        words = self.words[key]
        return words.format(**values) if values else words

    def known(self, section: str, word: str) -> str:
        """A word of a small set (confidence, refusal, category), as it is where the catalogue does not have it."""
        return self.words.get(f"{section}.{word or 'none'}", word.replace("_", " "))

    def count(self, value: int) -> str:
        """A whole number in full."""
        return f"{value:,}"

    def short(self, value: float) -> str:
        """A number in full up to a million, then shortened: 2.40 M, in Chinese 240.2 万."""
        if value < 10**6:
            return plain(value, 0 if value >= 1000 else 1)
        if self.code == "zh":
            return f"{value / 10**8:.2f} 亿" if value >= 10**8 else f"{value / 10**4:.1f} 万"
        return f"{value / 10**9:.2f} G" if value >= 10**9 else f"{value / 10**6:.2f} M"

    def bytes(self, value: float) -> str:
        """Bytes in decimal units: 1.68 GB."""
        return _scaled(value, "B")

    def rate(self, bits: float) -> str:
        """Bits a second: 44.8 Mbit/s."""
        return _scaled(bits, "bit/s")

    def percent(self, share: float) -> str:
        """A share of 0..1; what is there but tiny is not called nothing."""
        if 0 < share < 0.0005:
            return "<0.1 %" if self.code == "en" else "<0.1%"
        text = f"{share * 100:.1f}"
        return f"{text} %" if self.code == "en" else f"{text}%"

    def delay(self, microseconds: float) -> str:
        """A delay: 850 us, 12.4 ms, 1.35 s."""
        if microseconds < 1000:
            return f"{microseconds:.0f} µs"
        if microseconds < 1_000_000:
            return f"{microseconds / 1000:.{2 if microseconds < 10_000 else 1}f} ms"
        return f"{microseconds / 1_000_000:.2f} s"

    def span(self, seconds: float) -> str:
        """A length of time."""
        if seconds < 60:
            return f"{seconds:.3g} {self('unit.s')}"
        parts, left = [], int(round(seconds))
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
            if left >= size:
                parts.append(f"{left // size} {self(f'unit.{unit}')}")
                left %= size
        return " ".join(parts[:2])

    def time(self, microseconds: int, clock: bool = False) -> str:
        """A moment, in the zone; with `clock` only the time of day."""
        moment = self._moment(microseconds)
        if moment is None:
            return f"{microseconds} µs"
        if clock:
            return f"{moment:%H:%M:%S}"
        if self.code == "zh":
            return f"{moment.year}年{moment.month}月{moment.day}日 {moment:%H:%M:%S} {_offset(moment)}"
        return f"{moment.day} {moment:%b %Y %H:%M:%S} {_offset(moment)}"

    def minute(self, microseconds: int, day: bool = False) -> str:
        """A moment to the minute, in the zone, without naming it; with `day` only its date."""
        moment = self._moment(microseconds)
        if moment is None:
            return f"{microseconds} µs"
        return f"{moment:%Y-%m-%d}" if day else f"{moment:%Y-%m-%d %H:%M}"

    def offset(self, microseconds: int) -> int:
        """Seconds by which the zone is ahead of UTC at that moment."""
        moment = self._moment(microseconds)
        return round((moment.utcoffset() or timedelta()).total_seconds()) if moment else 0

    def _moment(self, microseconds: int) -> datetime | None:
        try:
            return datetime.fromtimestamp(microseconds / 1e6, self.zone)
        except (ValueError, OverflowError, OSError):
            return None


def _offset(moment: datetime) -> str:
    """UTC, UTC+8, UTC+5:30."""
    minutes = round((moment.utcoffset() or timedelta()).total_seconds() / 60)
    return f"UTC{'+' if minutes > 0 else '-'}{abs(minutes) // 60}{f':{abs(minutes) % 60:02d}' if minutes % 60 else ''}" if minutes else "UTC"


def _scaled(value: float, unit: str) -> str:
    for prefix, size in reversed(_DECIMAL):
        if value >= size and size > 1:
            scaled = value / size
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {prefix}{unit}"
    return f"{plain(value, 0)} {unit}"
