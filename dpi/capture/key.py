"""The canonical flow key of a packet, and its seeded hash.

Both directions of a conversation give the same key: the end with the smaller (address, port) is the low side. An IPv4 key holds the
5-tuple and VLAN themselves in two words; an IPv6 key is two hashes of 64 and 48 bits, seeded apart (the addresses stay in the packet).

    IPv4  key0 = low address << 32 | high address
          key1 = low port << 48 | high port << 32 | VLAN id << 16 | IP protocol           (bit 15 clear)
    IPv4 in two VLANs, which has no room for the inner one: both words hashed, as of IPv6; bit 13 of key1 is set
    IPv6  key0, key1 = hashes of addresses, ports, VLAN id and IP protocol; the low 16 bits of key1 are bit 15 and the IP protocol

The mixing step is the folded 128-bit product of two words that were first xored with secrets, the step of wyhash (public domain,
Wang Yi): without the secrets nobody can choose addresses or ports that collide. The seed is four random words per run.
"""
from __future__ import annotations

import os
from typing import Any

import numpy as np

from dpi.capture.octets import be32, be64
from dpi.jit import intrinsic, kernel

SEEDS = 4
VERSION_6 = 0x8000      # bit of key1
TWO_VLANS = 0x2000      # bit of key1: IPv4, hashed


def _fold(a: Any, b: Any) -> Any:
    product = int(a) * int(b)
    return np.uint64((product >> 64) ^ (product & 0xFFFFFFFFFFFFFFFF))


@intrinsic(_fold)
def fold() -> Any:
    """`fold(a uint64, b uint64) -> uint64`: the high half of a * b xor its low half."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic
    def multiply(typing_context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            wide, word = ir.IntType(128), ir.IntType(64)
            product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
            return builder.xor(builder.trunc(builder.lshr(product, wide(64)), word), builder.trunc(product, word))
        return types.uint64(types.uint64, types.uint64), generate
    return multiply


def fresh_seed(random: np.random.Generator | None = None) -> np.ndarray[Any, Any]:
    """Four odd random words, uint64[4]; from the system's entropy unless a generator is given (tests, repeatable benchmarks)."""
    drawn = np.frombuffer(os.urandom(8 * SEEDS), np.uint64) if random is None else random.integers(0, 1 << 64, SEEDS, np.uint64)
    return drawn | np.uint64(1)


@kernel
def hash_of(key0: Any, key1: Any, seed: Any) -> Any:
    """64 well mixed bits of a key. key0, key1 uint64; seed uint64[4]."""
    return fold(fold(key0 ^ seed[0], key1 ^ seed[1]) ^ seed[2], seed[3])


@kernel
def key_v4(data: Any, at: int, source_port: int, target_port: int, vlan: int, ip_protocol: int, packet: Any, seed: Any) -> None:
    """Write key0, key1, hash and low of `packet`; the IPv4 source address is at data[at]."""
    one = (be32(data, at) << 16) | source_port
    two = (be32(data, at + 4) << 16) | target_port
    low = min(one, two)
    high = max(one, two)
    key0 = np.uint64(low >> 16) << np.uint64(32) | np.uint64(high >> 16)
    key1 = np.uint64(low & 0xFFFF) << np.uint64(48) | np.uint64(((high & 0xFFFF) << 32) | (vlan << 16) | ip_protocol)
    packet.key0 = key0
    packet.key1 = key1
    packet.hash = hash_of(key0, key1, seed)
    packet.low = 1 if one <= two else 0


@kernel
def key_v6(data: Any, at: int, source_port: int, target_port: int, vlan: int, ip_protocol: int, packet: Any, seed: Any) -> None:
    """Write key0, key1, hash and low of `packet`; the IPv6 source address is at data[at]."""
    low0, low1, high0, high1 = be64(data, at), be64(data, at + 8), be64(data, at + 16), be64(data, at + 24)
    low_port, high_port = source_port, target_port
    sender = 1
    if low0 > high0 or (low0 == high0 and (low1 > high1 or (low1 == high1 and source_port > target_port))):
        sender = 0
        low0, high0 = high0, low0
        low1, high1 = high1, low1
        low_port, high_port = target_port, source_port
    rest = np.uint64(low_port) << np.uint64(48) | np.uint64((high_port << 32) | (vlan << 16) | ip_protocol)
    # each half of the key has its own pair of inner products, so that a collision in one says nothing of the other
    key0 = fold(fold(low0 ^ seed[0], low1 ^ seed[1]) ^ rest, fold(high0 ^ seed[2], high1 ^ seed[3]) ^ seed[1])
    key1 = fold(fold(low0 ^ seed[2], low1 ^ seed[0]) ^ seed[3], fold(high0 ^ seed[3], high1 ^ seed[1]) ^ rest ^ seed[2])
    key1 = (key1 & ~np.uint64(0xFFFF)) | np.uint64(VERSION_6 | ip_protocol)
    packet.key0 = key0
    packet.key1 = key1
    packet.hash = hash_of(key0, key1, seed)
    packet.low = sender


@kernel
def key_inner(inner: int, packet: Any, seed: Any) -> None:
    """Make the inner VLAN id part of the packet's key: what carriers put into one outer VLAN may have the same private addresses."""
    key0, key1 = np.uint64(packet.key0), np.uint64(packet.key1)
    one = fold(key0 ^ seed[0], key1 ^ seed[1])
    two = fold(key0 ^ seed[2], key1 ^ seed[3])
    flags = key1 & np.uint64(VERSION_6 | 0xFF)
    if not (flags & np.uint64(VERSION_6)):
        flags |= np.uint64(TWO_VLANS)
    fresh0 = fold(one ^ np.uint64(inner), two ^ seed[3])
    fresh1 = (fold(two ^ np.uint64(inner), one ^ seed[2]) & ~np.uint64(0xFFFF)) | flags
    packet.key0 = fresh0
    packet.key1 = fresh1
    packet.hash = hash_of(fresh0, fresh1, seed)
