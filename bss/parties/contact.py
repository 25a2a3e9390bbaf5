"""Ways to reach a party, each in one spelling: telephone numbers as E.164 (phonenumbers), mail addresses in small letters."""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import phonenumbers

from bss.refusal import Refusal
from bss.tables.party import MEDIA

MOST = 20                       # of a party
LONGEST = 400                   # letters of a value
_MAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")


class Given(NamedTuple):
    """A contact as somebody gives it. medium: phone, email, address, wechat or fax; role: such as technical or billing."""
    medium: str
    value: str
    role: str = ""
    preferred: bool = False


def written(text: str, where: str, longest: int, empty: bool = False) -> str:
    """Text as it is kept: NFC, no control characters, one blank for many. Refusal: it is empty, or too long."""
    kept = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()
    if not kept and not empty:
        raise Refusal("invalid", "it is empty", where, "write something")
    if len(kept) > longest:
        raise Refusal("invalid", f"it has {len(kept)} characters", where, f"{longest} are the most")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in kept):
        raise Refusal("invalid", "it has control characters", where, "write it without")
    return kept


def normalised(medium: str, value: str, country: str) -> str:
    """A value in the one spelling that is kept. country: of telephone numbers without a code. Refusal: it is no such thing."""
    if medium not in MEDIA:
        raise Refusal("invalid", f"{medium!r} is no way to reach somebody", "medium", f"ways are {', '.join(MEDIA)}")
    text = written(value, medium, LONGEST)
    if medium in ("phone", "fax"):
        return phone(text, country)
    if medium == "email":
        text = unicodedata.normalize("NFKC", text).lower()
        if len(text) > 254 or not _MAIL.fullmatch(text):
            raise Refusal("invalid", "it is no mail address", "email", "write it as name@example.cn")
    return text


def phone(text: str, country: str) -> str:
    """A telephone number as E.164; an extension follows as `;ext=`. Refusal: none can be of that length or form."""
    try:
        found = phonenumbers.parse(unicodedata.normalize("NFKC", text), country)
    except phonenumbers.NumberParseException:
        raise Refusal("invalid", "it is no telephone number", "phone", "write it as 13800138000, 0851-85551234 or +86 138 0013 8000") from None
    if not phonenumbers.is_possible_number(found):
        raise Refusal("invalid", "no telephone number has so many digits", "phone", "write it with its area code, or with + and the country's")
    extension = f";ext={found.extension}" if found.extension else ""
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) + extension


def checked(given: Sequence[Given], country: str) -> list[Given]:
    """Contacts in the spelling that is kept, each once. Refusal: the first that is wrong."""
    if len(given) > MOST:
        raise Refusal("invalid", f"{len(given)} contacts", "contactMedium", f"{MOST} are the most")
    found: dict[tuple[str, str], Given] = {}
    for one in given:
        value = normalised(one.medium, one.value, country)
        found.setdefault((one.medium, value), Given(one.medium, value, written(one.role, "role", 32, empty=True), bool(one.preferred)))
    return list(found.values())
