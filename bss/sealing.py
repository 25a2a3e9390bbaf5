"""Personal fields at rest: sealed with AES-256-GCM under a key of the ring, and found through keyed digests (blind indexes).

The ring is a file beside the database, mode 0600: keys by number, the one that is in force, and the key of the digests. A sealed value begins with the number
of its key: after `fullspan bss keys rotate` old values stay readable, and the worker seals them anew. The key of the digests stays, for they can't be made
anew without the values; who has the database without the ring has neither values nor a way to try names against it.
"""
from __future__ import annotations

import base64
import hmac
import json
import os
import re
import time
import unicodedata
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from bss.refusal import Refusal

NONCE = 12
DIGEST = 16                 # bytes of a digest that are kept
FORM = "fullspan bss keys 1"
LOOK = 0.05                 # s after which it is looked whether the file of the ring has changed
_DIGIT = re.compile(r"\d")


class Ring:
    """keys: 32 bytes by number; current: the number new values are sealed under; blind: the key of digests; changed: when current became it, s since 1970."""

    def __init__(self, keys: dict[int, bytes], current: int, blind: bytes, changed: float = 0.0) -> None:
        self.keys, self.current, self._blind, self.changed = keys, current, blind, changed
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}

    @staticmethod
    def fresh() -> Ring:
        """A new one, of one key."""
        return Ring({1: os.urandom(32)}, 1, os.urandom(32))

    def rotated(self) -> Ring:
        """The same with one key more, which is in force."""
        number = max(self.keys) + 1
        return Ring({**self.keys, number: os.urandom(32)}, number, self._blind, time.time())

    def without(self, number: int) -> Ring:
        """The same without a key that nothing is sealed under any more."""
        return Ring({one: key for one, key in self.keys.items() if one != number}, self.current, self._blind, self.changed)

    def seal(self, value: bytes) -> bytes:
        """A value under the key in force: its number, a nonce, the text."""
        nonce, head = os.urandom(NONCE), self.current.to_bytes(2, "big")
        return head + nonce + self._ciphers[self.current].encrypt(nonce, value, head)

    def open(self, sealed: bytes) -> bytes:
        """Refusal: the key is not in the ring, or the value was changed."""
        number = int.from_bytes(sealed[:2], "big")
        cipher = self._ciphers.get(number)
        if cipher is None:
            raise Refusal("away", f"key {number} is not in the ring", mend="restore the key file that belongs to this database")
        try:
            return cipher.decrypt(sealed[2:2 + NONCE], sealed[2 + NONCE:], sealed[:2])
        except InvalidTag:
            raise Refusal("away", f"a value sealed under key {number} can't be opened: it or the key was changed",
                          mend="restore database and key file of the same backup") from None

    def digest(self, field: str, value: str) -> bytes:
        """What a value of a field is found by."""
        return hmac.digest(self._blind, f"{field}\0{value}".encode(), "sha256")[:DIGEST]

    def json(self) -> str:
        """As the file has it."""
        told = {str(number): base64.b64encode(key).decode() for number, key in self.keys.items()}
        blind = base64.b64encode(self._blind).decode()
        return json.dumps({"form": FORM, "current": self.current, "changed": self.changed, "blind": blind, "keys": told}, indent=1)

    def write(self, path: Path) -> None:
        """Replace the file whole, readable by its owner alone."""
        beside = path.with_suffix(".part")
        beside.unlink(missing_ok=True)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(self.json())
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        folder = os.open(path.resolve().parent, os.O_RDONLY)
        try:
            os.fsync(folder)        # what is sealed under a new key is lost without it
        finally:
            os.close(folder)

    @staticmethod
    def read(path: Path) -> Ring:
        """Refusal: there is none, or it is no ring."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["form"] != FORM:
                raise ValueError(found["form"])
            keys = {int(number): base64.b64decode(key) for number, key in found["keys"].items()}
            ring = Ring(keys, int(found["current"]), base64.b64decode(found["blind"]), float(found.get("changed", 0)))
            if ring.current not in keys or any(len(key) != 32 for key in keys.values()):
                raise ValueError("keys")
        except FileNotFoundError:
            raise Refusal("away", "there is no key file", str(path), "run `fullspan bss init`, or restore the file of the backup") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refusal("away", f"the key file can't be used: {error}", str(path), "restore the file of the backup") from None
        if path.stat().st_mode & 0o077:
            raise Refusal("away", "the key file can be read by others", str(path), f"chmod 600 {path}")
        return ring


_ring: Ring | None = None
_file: Path | None = None
_stamp: tuple[int, int] = (0, 0)
_looked = 0.0               # when


def install(ring: Ring, file: Path | None = None) -> None:
    """The ring of this process. file: that it is of, which is read again when it changes: keys may be rotated while others run."""
    global _ring, _file, _stamp, _looked
    _ring, _file, _stamp, _looked = ring, file, _stamp_of(file), time.monotonic()


def follow(file: Path) -> None:
    """Install what a file holds. It is looked at before it is read: if it changes in between it is read again, and not taken for what it was."""
    global _stamp
    stamp = _stamp_of(file)
    install(Ring.read(file), file)
    _stamp = stamp


def ring(recent: bool = False) -> Ring:
    """The ring that is installed, as its file is now. recent: as it was a moment ago (LOOK), which does for opening the fifty values of a page."""
    global _looked
    if _ring is None:
        raise Refusal("away", "no keys are loaded", mend="open the office first")
    if _file is not None and (not recent or time.monotonic() - _looked > LOOK):
        _looked = time.monotonic()
        if _stamp_of(_file) not in (_stamp, (0, 0)):
            follow(_file)
    return _ring


def _stamp_of(file: Path | None) -> tuple[int, int]:
    """What differs between two files written one after the other; zeros where there is none (what was read stays in force)."""
    try:
        found = None if file is None else os.stat(file)
    except OSError:
        found = None
    return (0, 0) if found is None else (found.st_mtime_ns, found.st_ino)


class Sealed(TypeDecorator[str]):
    """A column of personal text: plain in Python, sealed in the database."""
    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else ring().seal(value.encode())

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        found = ring(recent=True)
        if int.from_bytes(value[:2], "big") not in found.keys:
            found = ring()
        return found.open(bytes(value)).decode()


def plain(text: str) -> str:
    """What is the same of a name or a number however it is written: width, case, blanks and marks do not count."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def masked(text: str | None) -> str | None:
    """As who may not see it is shown it: the first letter of a name, the last two of a number."""
    if not text:
        return text
    if len(_DIGIT.findall(text)) * 2 > len(text):
        return "*" * max(len(text) - 2, 1) + text[-2:]
    if "@" in text:
        name, _, domain = text.partition("@")
        return f"{name[:1]}***@{domain}"
    return text[0] + "*" * min(max(len(text) - 1, 1), 8)
