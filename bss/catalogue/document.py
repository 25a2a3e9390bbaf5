"""What an offering and the promises of a class say, checked: names in both languages, rates, prices, allowances, commitment, what a bundle holds.

Amounts are decimal numbers, never binary fractions: in TOML 199.00 or "199.00", in JSON "199.00". A version of the catalogue keeps what is written here.
"""
from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bss.charges.price import Tier as Step
from bss.charges.price import checked
from bss.tables.party import CLASSES

Access = Literal["leased_line", "broadband", "wlan", "mobile"]
ACCESS: tuple[Access, ...] = ("leased_line", "broadband", "wlan", "mobile")
Kind = Literal["leased_line", "broadband", "wlan", "mobile", "value_added", "bundle"]
Unit = Literal["", "Mbps", "GB", "GiB", "minute", "message"]
Algorithm = Literal["flat", "tiered", "volume", "package", "percentile"]
Clock = Literal["24x7", "business"]
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
MBPS = 10 ** 6
MOST = Decimal(10) ** 10


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("write amounts as decimal text, such as \"199.00\"")
    if isinstance(value, str) and not re.fullmatch(r"-?\d{1,12}(\.\d{1,8})?", value):
        raise ValueError(f"{value!r} is no amount")
    return value


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone, such as 2026-12-01T00:00:00+08:00")
    return value


Amount = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=MOST)]
When = Annotated[datetime, AfterValidator(_aware)]


class Written(BaseModel):
    """Whatever is written in a catalogue: unknown names are refused."""
    model_config = ConfigDict(extra="forbid", frozen=True)


class Name(Written):
    """In both languages."""
    en: Annotated[str, Field(min_length=1, max_length=200)]
    zh: Annotated[str, Field(min_length=1, max_length=200)]


class Rates(Written):
    """Mbit/s down and up. A maximum: any rate between is sold, symmetric where up is not given."""
    down_mbps: Annotated[int, Field(ge=1, le=10 ** 6)]
    up_mbps: Annotated[int, Field(ge=0, le=10 ** 6)] = 0
    most_mbps: Annotated[int, Field(ge=0, le=10 ** 6, description="0: the rate is down_mbps and no other")] = 0


class Tier(Written):
    """Of a tiered or volume price: what a unit costs above the tier before and up to `to`, that one included; the last tier has no end."""
    to: Amount | None = None
    amount: Amount


class Percentile(Written):
    """Of a price by the 95th percentile: the fee for the committed rate, and how a month is measured. `amount` of the price is for a Mbit/s above."""
    base: Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=MOST, description="the month's fee for the committed rate")] = Decimal(0)
    cir_mbps: Annotated[int, Field(ge=0, le=10 ** 6, description="committed rate; 0: the rate that was ordered")] = 0
    direction: Annotated[Literal["max", "sum", "in", "out"], Field(description="in: towards the customer; max: the larger of both percentiles")] = "max"
    whole: Annotated[bool, Field(description="what is above is rounded up to whole Mbit/s")] = True
    days: Annotated[Literal["contract", "traffic"], Field(description="which days of a part of a month count: all of the contract, or those with traffic")] \
        = "contract"
    pooled: Annotated[bool, Field(description="all lines of one contract with this price are summed slot by slot first")] = False


class Price(Written):
    """One price. unit: what `amount` is for one of; '' the whole. algorithm: how a usage price is computed (docs/business-rating.md)."""
    key: Code
    name: Name
    type: Literal["recurring", "one_time", "usage"]
    period: Literal["", "month", "year"] = ""
    amount: Amount
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "CNY"
    unit: Unit = ""
    tax: Literal["inclusive", "exclusive"]
    tax_rate: Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, lt=1)]
    access: tuple[Access, ...] = ()
    algorithm: Algorithm = "flat"
    tiers: Annotated[tuple[Tier, ...], Field(max_length=20)] = ()
    size: Annotated[Amount | None, Field(description="units of a package")] = None
    step: Annotated[Literal["kB", "MB", "MiB", "GB", "GiB"], Field(description="what traffic is rounded up to, once a period")] = "MB"
    percentile: Percentile | None = None

    @model_validator(mode="after")
    def _algorithm(self) -> Price:
        if self.algorithm != "flat" and self.type != "usage":
            raise ValueError(f"a {self.algorithm} price is one of usage")
        if bool(self.tiers) != (self.algorithm in ("tiered", "volume")):
            raise ValueError("a tiered or volume price has tiers, and no other has")
        if self.tiers:
            checked(tuple(Step(one.to, one.amount) for one in self.tiers))
        if (self.size is not None) != (self.algorithm == "package") or self.size == 0:
            raise ValueError("a package has a size, and nothing else has")
        if (self.percentile is not None) != (self.algorithm == "percentile") or (self.algorithm == "percentile" and self.unit != "Mbps"):
            raise ValueError("a price by the 95th percentile is by the Mbit/s (unit Mbps) and has a table `percentile`, and no other has")
        return self

    @model_validator(mode="after")
    def _period(self) -> Price:
        if (self.type == "recurring") != bool(self.period):
            raise ValueError("a recurring price has a period (month or year), and no other has")
        if self.type == "usage" and not self.unit:
            raise ValueError("a usage price has a unit")
        return self


class Hours(Written):
    """Hours of the operator's time in which an allowance holds: from `since` o'clock on and before `until`, over midnight where that is not later."""
    since: Annotated[int, Field(ge=0, le=23)]
    until: Annotated[int, Field(ge=0, le=24)]
    days: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(max_length=7, description="1 Monday .. 7 Sunday; none: each day")] = ()


class Allowance(Written):
    """What is included each month: so much of a unit, by which access, of which category of applications or which one ('' any)."""
    key: Code
    name: Name
    quantity: Amount
    unit: Literal["GB", "GiB", "minute", "message"]
    access: tuple[Access, ...] = ACCESS
    category: Annotated[str, Field(max_length=64)] = ""
    application: Annotated[str, Field(max_length=64)] = ""
    rollover: Annotated[bool, Field(description="what is left is there for one month more")] = False
    weight: Annotated[int, Field(ge=0, le=1000, description="of two that expire together the heavier is drawn first")] = 0
    hours: Hours | None = None
    days: Annotated[int | None, Field(ge=1, le=31, description="it expires so many days after its month began; none: with the month")] = None
    shared: Annotated[Literal["", "customer"], Field(description="customer: of all services of the customer; '' of the service, or of its bundle")] \
        = ""


class Commitment(Written):
    """How long a customer stays, and which share of what is left he pays if he does not."""
    months: Annotated[int, Field(ge=1, le=120)]
    early_share: Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=1)] = Decimal(0)


class Bundled(Written):
    """An offering that a bundle holds, and how many of it."""
    code: Code
    count: Annotated[int, Field(ge=1, le=20)] = 1


class Offering(Written):
    """One version of an offering (TMF620). valid_from: when it begins to be sold."""
    code: Code
    kind: Kind
    class_: Annotated[str, Field(alias="class")]
    name: Name
    description: Name | None = None
    valid_from: When
    valid_to: When | None = None
    sla: Annotated[str, Field(max_length=64)] = ""
    rates: Rates | None = None
    prices: Annotated[tuple[Price, ...], Field(max_length=40)] = ()
    allowances: Annotated[tuple[Allowance, ...], Field(max_length=40)] = ()
    commitment: Commitment | None = None
    bundled: Annotated[tuple[Bundled, ...], Field(max_length=20)] = ()
    channels: tuple[Annotated[str, Field(max_length=16)], ...] = ()
    segments: tuple[Annotated[str, Field(max_length=64)], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Offering:
        if self.class_ not in CLASSES:
            raise ValueError(f"class {self.class_!r} is none of {', '.join(CLASSES)}")
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ValueError("valid_to is not after valid_from")
        if (self.kind == "bundle") != bool(self.bundled):
            raise ValueError("a bundle names the offerings that it holds (bundled), and nothing else does")
        if self.kind in ("leased_line", "broadband") and self.rates is None:
            raise ValueError("a leased line or broadband has rates")
        if self.rates and 0 < self.rates.most_mbps < self.rates.down_mbps:
            raise ValueError("most_mbps is less than down_mbps")
        for what in (self.prices, self.allowances):
            keys = [one.key for one in what]
            if len(set(keys)) != len(keys):
                raise ValueError("two prices or allowances have the same key")
        if sum(one.algorithm == "percentile" for one in self.prices) > 1:
            raise ValueError("a line is paid by one 95th percentile")
        if self.rates is None and any(one.unit == "Mbps" for one in self.prices):
            raise ValueError("a price by the Mbit/s takes rates, or it would come to nothing")
        if len({one.currency for one in self.prices}) > 1:
            raise ValueError("its prices are in several currencies")
        return self


class Band(Written):
    """An availability of [low, high) percent gives so much of the monthly charge back."""
    low: Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=100)]
    high: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100)]
    share_percent: Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _order(self) -> Band:
        if self.low >= self.high:
            raise ValueError("low is not below high")
        return self


class CreditTerms(Written):
    """What a missed availability gives back: by bands (tier), or by started hours of downtime (hour)."""
    model: Literal["tier", "hour"]
    bands: Annotated[tuple[Band, ...], Field(max_length=20, description="of tier")] = ()
    basis: Annotated[Literal["measured", "best"], Field(description="of tier: availability of what was measured, or as if all that is unknown was up")] = \
        "measured"
    hours: Annotated[Literal["spell", "total"], Field(description="of hour: started hours of each fault, or of their sum")] = "spell"
    hour_percent: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100)] | None = Field(
        None, description="of hour: so much of the monthly charge for each; a day's charge where it is not said")
    cap_percent: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100, description="of the month's charge, at most")] = Decimal(100)

    @model_validator(mode="after")
    def _whole(self) -> CreditTerms:
        if (self.model == "tier") != bool(self.bands):
            raise ValueError("the model tier has bands, and hour has none")
        ordered = sorted(self.bands, key=lambda one: one.low)
        if any(one.high > after.low for one, after in zip(ordered, ordered[1:], strict=False)):
            raise ValueError("two bands overlap")
        return self


class Sla(Written):
    """The promises of a class. None: nothing is promised of it. clock: whether first response counts all hours or office hours."""
    key: Code
    name: Name
    valid_from: When
    valid_to: When | None = None
    availability_percent: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100)] | None = None
    response_minutes: Annotated[int, Field(ge=1, le=100000)] | None = None
    response_clock: Clock = "24x7"
    restore_minutes: Annotated[int, Field(ge=1, le=100000)] | None = None
    activation_days: Annotated[int, Field(ge=1, le=365)] | None = None
    floor_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    degraded_minutes: Annotated[int, Field(ge=0, le=44640)] | None = None
    rtt_ms: Annotated[int, Field(ge=1, le=10000)] | None = None
    loss_percent: Annotated[Decimal, BeforeValidator(_exact), Field(ge=0, le=100)] | None = None
    credit: CreditTerms | None = None


class Catalogue(Written):
    """A file of them."""
    sla: Annotated[tuple[Sla, ...], Field(max_length=200)] = ()
    offering: Annotated[tuple[Offering, ...], Field(max_length=2000)] = ()


def written(document: Offering | Sla) -> dict[str, Any]:
    """As it is kept: amounts as text, times in ISO 8601. What was published before there were credits compares as it was."""
    kept = document.model_dump(mode="json", by_alias=True)
    if kept.get("credit", ...) is None:
        del kept["credit"]
    return kept
