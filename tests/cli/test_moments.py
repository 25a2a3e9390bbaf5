"""Moments and lengths of time as typed."""
from __future__ import annotations

import pytest

from dpi.cli.moments import length, moment
from dpi.errors import UserError


@pytest.mark.parametrize("text, want", [("0", 0), ("1700000000.25", 1_700_000_000_250_000), ("2023-11-14T22:13:20Z", 1_700_000_000_000_000),
                                        ("2023-11-15 06:13:20.5+08:00", 1_700_000_000_500_000),
                                        ("1960-01-01", -315_619_200_000_000), ("-5", -5_000_000), (None, None)])
def test_moment(text: str | None, want: int | None) -> None:
    assert moment(text, "--since") == want


@pytest.mark.parametrize("text, want", [("90s", 90_000_000), ("-1h30m", -5_400_000_000), ("+2d", 172_800_000_000), ("1.5ms", 1500), ("10us", 10),
                                        (None, 0), ("2min", 120_000_000)])
def test_length(text: str | None, want: int) -> None:
    assert length(text, "--time-shift") == want


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "9" * 400])
def test_no_moment(text: str) -> None:
    with pytest.raises(UserError, match="--since"):
        moment(text, "--since")


@pytest.mark.parametrize("text", ["", "5", "1y", "--1h", "h"])
def test_no_length(text: str) -> None:
    with pytest.raises(UserError, match="--time-shift"):
        length(text, "--time-shift")
