"""Every protocol file: bytes that satisfy its claims and are broken otherwise never raise, and a finished verdict never comes from noise alone."""
from __future__ import annotations

import importlib
import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify import protocols
from dpi.classify.inspection import CLIENT, SERVER
from tests.classify.conversation import TCP, UDP, Conversation

MODULES = sorted(module.name for module in pkgutil.iter_modules(protocols.__path__))


def claimed(claim, filler: bytes) -> bytes:
    """Bytes that satisfy a claim, the rest taken from `filler`."""
    low, high = claim.length
    data = bytearray((filler * (1 + low // max(1, len(filler))))[:max(low, min(high, len(filler)))])
    for at, text in claim.match:
        start = at if at >= 0 else len(data) + at
        for i, pair in enumerate(text.split()):
            if start + i < len(data):
                mask = sum(0 if nibble == "?" else 15 << shift for nibble, shift in zip(pair, (4, 0), strict=True))
                data[start + i] = data[start + i] & ~mask | int(pair.replace("?", "0"), 16) & mask
    return bytes(data)


def transport_of(claim) -> int:
    return {"tcp": TCP, "udp": UDP}.get(claim.transport, 0) or int(claim.transport.split(":")[1])


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=40, deadline=None)
@given(drawn=st.data())
def test_broken_messages(name, drawn):
    module = importlib.import_module(f"{protocols.__name__}.{name}")
    claim = drawn.draw(st.sampled_from(module.PROTOCOL.claims))
    port = drawn.draw(st.sampled_from([*claim.ports, 50000]) if not claim.ports else st.sampled_from(claim.ports))
    flow = Conversation(module, transport_of(claim), port)
    for _ in range(drawn.draw(st.integers(1, 4))):
        filler = drawn.draw(st.one_of(st.binary(min_size=1, max_size=80), st.sampled_from([b"\0", b"\xff", b"\1", b" ", b"A"]).map(lambda b: b * 300)))
        data = claimed(claim, filler)
        data = data[:drawn.draw(st.integers(0, len(data)))] if drawn.draw(st.booleans()) else data
        flow.call(drawn.draw(st.sampled_from([CLIENT, SERVER])), data, drawn.draw(st.integers(0, 1)), drawn.draw(st.integers(0, 1)))


@pytest.mark.parametrize("name", MODULES)
def test_declarations(name):
    module = importlib.import_module(f"{protocols.__name__}.{name}")
    declared = module.PROTOCOL
    assert declared.name and declared.category and declared.source and declared.claims and len(declared.also) <= 15
    assert module.parse.__doc__
    for claim in declared.claims:
        assert claim.match or claim.ports, claim
        assert claim.length[0] <= claim.length[1]
        for at, text in claim.match:
            assert all(len(pair) == 2 for pair in text.split())
            assert at < 0 or at + len(text.split()) <= claim.length[0] + 16, claim
