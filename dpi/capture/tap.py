"""A tap on what was decoded: a listener is shown each batch of packets before flows are made of it, called through its address.

Who listens (dpi/identity/listener.py) stands above this layer: capture knows its address and hands it the arrays it asked for.
"""
from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from dpi.jit import intrinsic, kernel, plain_call, pointed, world_dtype

#: Of one tap: the listener's address, what it has noted and not been asked for yet, its key, and counters of messages.
TAP = np.dtype((np.record, [
    ("listen", "u8"),
    ("heard", "i8"),            # events noted
    ("lost", "i8"),             # that found no room
    ("kinds", "u1"), ("any_scope", "u1"),       # bit of each protocol that is listened to; 1: VLANs are not told apart
    ("key0", "u8"), ("key1", "u8"),
    ("radius", "i8"), ("dhcp", "i8"), ("pppoe", "i8"),              # messages read
    ("radius_bad", "i8"), ("dhcp_bad", "i8"), ("pppoe_bad", "i8"),  # cut, or against their grammar
    ("untrusted", "i8"),        # accounting and answers of DHCP from addresses that are not believed
]))
LISTENER = world_dtype(("taps", "events", "trusted"))
#: For the world of an intake: LISTENER[1], or none where nobody listens.
ARRAYS = {"listener": LISTENER}
listener_of = pointed("listener", LISTENER)
taps_of = pointed("taps", TAP)


class Listening(Protocol):
    """What an intake needs of a tap. listener: LISTENER[1]."""
    listener: Any

    def learn(self) -> None:
        """Take what the listener has noted."""

    def limit(self) -> None:
        """Take over settings; nobody is told anything meanwhile."""


@intrinsic(plain_call)
def call_listener() -> Any:
    """`call_listener(address, data, packets, many, listener) -> int64`. The address is trusted: it comes from `Entry.address`."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic  # type: ignore[untyped-decorator]
    def call(typing_context: Any, address: Any, data: Any, packets: Any, many: Any, listener: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)
            flat: list[Any] = []
            for kind, value in zip(signature.args[1:], args[1:], strict=True):
                if isinstance(kind, types.Array):
                    array = context.make_array(kind)(context, builder, value)
                    flat += [builder.bitcast(array.data, byte), array.nitems]
                else:
                    flat.append(value)
            function = ir.FunctionType(word, [one.type for one in flat])
            return builder.call(builder.inttoptr(args[0], function.as_pointer()), flat)
        return types.int64(types.uint64, data, packets, types.int64, listener), generate
    return call


@kernel
def tell(data: Any, packets: Any, many: Any, listener: Any) -> Any:
    """Show packets[:many] to the listener. How many events wait for Python."""
    return call_listener(taps_of(listener[0])[0].listen, data, packets, many, listener)
