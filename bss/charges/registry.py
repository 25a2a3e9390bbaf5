"""Charges are found by their files: one that has a KIND is one."""
from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from bss import charges
from bss.charges.price import ByQuantity


@cache
def found() -> dict[str, ModuleType]:
    """The file of each charge, by its kind."""
    files = [importlib.import_module(f"{charges.__name__}.{one.name}") for one in pkgutil.iter_modules(charges.__path__) if one.name != "registry"]
    return {str(one.KIND): one for one in files if hasattr(one, "KIND")}


@cache
def by_quantity(kind: str) -> ByQuantity:
    """What computes an amount from a quantity. KeyError: a charge of that kind is not computed so."""
    if kind in ("allowance", "percentile"):
        raise KeyError(kind)
    made: ByQuantity = found()[kind].charge
    return made
