"""Country and autonomous system of an address, from MMDB files (MaxMind DB format 2.0) that the operator has. None comes with Fullspan."""
from __future__ import annotations

import threading
from dataclasses import field
from ipaddress import ip_address
from typing import Any

import numpy as np

from dpi.batch import Coded
from dpi.dataclass import dataclass
from dpi.errors import UserError

_CACHED = 1 << 16           # addresses whose answers are kept


@dataclass(frozen=True)
class Place:
    """What the databases say of an address. country: a number in `Geography.countries`."""
    country: int = 0
    asn: int = 0


@dataclass
class Geography:
    """Two databases, either may be missing. Asked once for each address while it is remembered."""
    country_file: str = ""
    asn_file: str = ""
    countries: list[str] = field(default_factory=lambda: [""])
    state: Any = None           # of the files when they were opened

    def __post_init__(self) -> None:
        """UserError for a file that is no MMDB."""
        self._country, self._asn = _open(self.country_file), _open(self.asn_file)
        self._known: dict[bytes, Place] = {}
        self._lock = threading.Lock()
        self._numbers = {"": 0}

    def place(self, address: bytes) -> Place:
        """Of 16 octets, IPv4 mapped."""
        found = self._known.pop(address, None)
        if found is None:
            found = self._ask(address)
            if len(self._known) >= _CACHED:
                del self._known[next(iter(self._known))]        # the one that was not asked for the longest
        self._known[address] = found
        return found

    def _ask(self, address: bytes) -> Place:
        text = ip_address(address)
        one = getattr(text, "ipv4_mapped", None) or text
        country, asn = _answer(self._country, one), _answer(self._asn, one)
        named = country.get("country") or country.get("registered_country") or {}
        code = named.get("iso_code", "") if isinstance(named, dict) else ""
        code = code if isinstance(code, str) and len(code) == 2 else ""
        if code not in self._numbers:
            self._numbers[code] = len(self.countries)
            self.countries = [*self.countries, code]
        number = asn.get("autonomous_system_number", 0)
        return Place(self._numbers[code], number if isinstance(number, int) and 0 <= number < 1 << 32 else 0)

    def columns(self, client: Any, server: Any) -> dict[str, Any]:
        """The columns of rows with these addresses, uint8[n, 16] each."""
        both = np.ascontiguousarray(np.concatenate([client, server])).view(np.uint64)
        # sorted by one word that hardly any two addresses share; what does share it is told apart
        order = np.lexsort((both[:, 0], both[:, 1]))
        fresh = np.ones(len(order), bool)
        fresh[1:] = (both[order[1:]] != both[order[:-1]]).any(axis=1)
        with self._lock:        # of all shards
            places = [self.place(one.tobytes()) for one in both[order[fresh]]]
            words = self.countries
        at = np.empty(len(order), np.int64)
        at[order] = np.cumsum(fresh) - 1
        country = np.array([one.country for one in places], np.uint16)[at]
        asn = np.array([one.asn for one in places], np.uint32)[at]
        count = len(client)
        found: dict[str, Any] = {}
        if self._country is not None:
            found |= {"client_country": Coded(country[:count], words), "server_country": Coded(country[count:], words)}
        if self._asn is not None:
            found |= {"client_asn": asn[:count], "server_asn": asn[count:]}
        return found


def _open(path: str) -> Any:
    if not path:
        return None
    import maxminddb

    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
        raise UserError(f"not an MMDB file: {getattr(error, 'strerror', None) or error}", path, "name a GeoIP or GeoLite file that ends with .mmdb") from None


def _answer(database: Any, address: Any) -> dict[str, Any]:
    """What a database says; {} where it says nothing, or what can't be read."""
    if database is None:
        return {}
    import maxminddb

    try:
        found = database.get(address)
    except (ValueError, maxminddb.InvalidDatabaseError):        # IPv6 asked of a file of IPv4; damage within
        return {}
    return found if isinstance(found, dict) else {}
