"""dpi/dataclass.py against the standard one: the same classes, made both ways, do the same."""
from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import asdict, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from dpi.dataclass import dataclass

STANDARD = dataclasses.dataclass


def pair(make: Any, plain: Any, **asked: Any) -> Any:
    """A class of all that is used of dataclasses: defaults, fresh ones, what is not compared or shown, a check at the end, a cached property."""
    @make(**asked) if asked else make
    class Line:
        """A line."""
        name: str
        count: int = 0
        parts: list[int] = field(default_factory=list)
        hidden: str = field(default="x", compare=False, repr=False, metadata={"words": "said"})

        def __post_init__(self) -> None:
            if self.count < 0:
                raise ValueError("count")

        @cached_property
        def twice(self) -> int:
            return 2 * self.count

    Line.__qualname__ = "Line"
    return Line


@dataclass(frozen=True)
class Kept:
    """Of the module, as pickle needs it."""
    name: str
    words: tuple[str, ...] = ()


@dataclass
class Base:
    """What another inherits."""
    name: str = ""


@dataclass
class More(Base):
    """Inherits, and shows itself its own way."""
    count: int = 1

    def __repr__(self) -> str:
        return "more"


values = st.tuples(st.text(max_size=3), st.integers(0, 3), st.lists(st.integers(0, 3), max_size=2), st.text(max_size=2))


@pytest.mark.parametrize("frozen", [False, True])
@drawn(one=values, other=values, given_by_place=st.integers(0, 4))
def test_made_compared_shown_and_changed_like_the_standard_one(frozen: bool, one: Any, other: Any, given_by_place: int) -> None:
    asked = {"frozen": True} if frozen else {}
    results = []
    for make in (dataclass, STANDARD):
        kind = pair(make, None, **asked)
        names = [each.name for each in fields(kind)]
        a = kind(*one[:given_by_place], **dict(zip(names[given_by_place:], one[given_by_place:])))
        b = kind(*other)
        results.append((repr(a), a == b, a != b, a == a, a == one, asdict(a), replace(a, count=7).twice, repr(replace(a, name="n")), is_dataclass(a), names,
                        kind.__match_args__, fields(kind)[3].metadata["words"], [each.type for each in fields(kind)], kind.__annotations__, a.twice,
                        repr(copy.copy(a)), repr(copy.deepcopy(a))))
    assert results[0] == results[1]


def test_what_is_missing_or_too_much_is_refused_like_by_the_standard_one() -> None:
    for make in (dataclass, STANDARD):
        kind = pair(make, None)
        for given, named in (((), {}), (("a", 1, [], "", 5), {}), (("a",), {"nothing": 1}), (("a",), {"name": "b"}), ((), {"count": 3, "nothing": 1})):
            with pytest.raises(TypeError):
                kind(*given, **named)
        with pytest.raises(ValueError, match="count"):
            kind("a", -1)
        assert kind("a").parts is not kind("a").parts
        with pytest.raises(TypeError):
            hash(kind("a"))
        with pytest.raises(TypeError, match="default"):
            @make
            class Wrong:
                """No order."""
                a: int = 0
                b: int                      # type: ignore[misc]


def test_frozen_ones_stay_as_they_are_and_have_a_hash() -> None:
    for make in (dataclass, STANDARD):
        kind = pair(make, None, frozen=True)
        one = kind("a", parts=())
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.name = "b"
        with pytest.raises(dataclasses.FrozenInstanceError):
            del one.name
        assert hash(one) == hash(kind("a", parts=(), hidden="y")) and len({one, kind("a", parts=())}) == 1 and one.twice == 0


def test_ordered_ones_are_sorted_by_their_fields() -> None:
    kinds = [pair(make, None, frozen=True, order=True) for make in (dataclass, STANDARD)]
    for a, b in (("a", "b"), ("b", "a"), ("a", "a")):
        one, two = ([kind(name, parts=()) for name in (a, b)] for kind in kinds)
        assert [one[0] < one[1], one[0] <= one[1], one[0] > one[1], one[0] >= one[1]] == [two[0] < two[1], two[0] <= two[1], two[0] > two[1], two[0] >= two[1]]
    with pytest.raises(TypeError):
        assert kinds[0]("a") < kinds[1]("a")


def test_inherited_own_and_pickled() -> None:
    assert [one.name for one in fields(More)] == ["name", "count"] and repr(More("a", 2)) == "more" and More("a") == More("a", 1) != Base("a")
    kept = Kept("a", ("b",))
    assert pickle.loads(pickle.dumps(kept)) == kept and repr(kept) == "Kept(name='a', words=('b',))"
