"""What a line of an order asks for, checked: what is done (action), with which offering or service, at which rates, by which resources."""
from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bss.catalogue.document import ACCESS
from bss.tables import OrderItem

VLAN = Annotated[int, Field(ge=1, le=4094)]
MOST_ITEMS = 50


class Wanted(BaseModel):
    """change: what a `modify` is: of the rate, of the price alone, a suspension (with whose reason) or its end; ends: the value-added item without a service
    that a `delete` ends. The rest is of the network."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    down_bps: Annotated[int, Field(ge=0, le=10 ** 13)] = 0
    up_bps: Annotated[int, Field(ge=0, le=10 ** 13)] = 0
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    change: Literal["", "rate", "price", "suspend", "resume"] = ""
    suspended_for: Literal["", "customer", "non_payment", "fault"] = ""
    vlan: VLAN | None = None
    inner_vlan: VLAN | None = None
    prefixes: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    user: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9@._-]*$")] = ""
    resources: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    bundle: Annotated[str, Field(max_length=64)] = ""
    ends: Annotated[str, Field(max_length=16)] = ""

    @field_validator("prefixes")
    @classmethod
    def _prefixes(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ipaddress.ip_network(one)) for one in given)
        except ValueError as error:
            raise ValueError(f"{error}: write a prefix such as 203.0.113.0/29") from None


class Line(BaseModel):
    """One line as somebody enters it. id: of the item that it amends; offering: by its code, the service's own where it is left out."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(max_length=16)] = ""
    action: Literal["add", "modify", "delete", "noChange"] = "add"
    offering: Annotated[str, Field(max_length=64)] = ""
    service_id: Annotated[str, Field(max_length=16)] | None = None
    site: Annotated[str, Field(max_length=400)] | None = None
    covered: bool | None = None
    wanted: Wanted = Wanted()

    @model_validator(mode="after")
    def _whole(self) -> Line:
        if self.action == "add":
            if not self.offering:
                raise ValueError("an added item names an offering")
            if self.service_id or self.wanted.change or self.wanted.ends:
                raise ValueError("an added item has no service yet: use modify")
        elif bool(self.service_id) == bool(self.wanted.ends) or (self.wanted.ends and self.action != "delete"):
            raise ValueError(f"an item to {self.action} names a service" + (", or the item without one that it ends" if self.action == "delete" else ""))
        if self.action == "modify" and not self.wanted.change:
            raise ValueError("a modification says what changes: rate, price, suspend or resume")
        if self.action in ("delete", "noChange") and self.wanted.change:
            raise ValueError(f"{self.action} changes nothing beside")
        if (self.wanted.change == "suspend") != bool(self.wanted.suspended_for):
            raise ValueError("a suspension says for whom: customer, non_payment or fault (suspended_for)")
        return self


def wanted_of(item: OrderItem) -> Wanted:
    """What an item asks for."""
    return Wanted.model_validate(item.wanted)


def access(item: OrderItem, kind: str) -> bool:
    """Whether an item touches an access service, beyond its price. kind: of its offering."""
    return kind in ACCESS and item.action in ("add", "modify", "delete") and wanted_of(item).change != "price"


def ends(item: OrderItem) -> bool:
    """Whether an item takes traffic away: a deletion, or a suspension."""
    return item.action == "delete" or (item.action == "modify" and wanted_of(item).change == "suspend")
