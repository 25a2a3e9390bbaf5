"""Packet filters in tcpdump's language: libpcap compiles the words, one kernel runs the program over a block of frames.

The program is classic BPF (McCanne and Jacobson, "The BSD Packet Filter", USENIX 1993; the opcodes as in libpcap's pcap/bpf.h). The
interpreter knows every instruction of it. A program comes from libpcap and not from the wire, and is checked again all the same before it
runs; the frames are hostile: a load beyond the captured bytes and a division by zero reject the frame, as they do in libpcap.
"""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from dpi.capture.frame import FRAME
from dpi.capture.link import LINK_TYPES, RAW, RAW_BSD, RAW_OPENBSD
from dpi.capture.octets import be16, be32, octet
from dpi.capture.prefetch import prefetch
from dpi.errors import UserError
from dpi.jit import I64, entry, kernel, records

#: One instruction. `jt` and `jf` count from the next instruction.
INSTRUCTION = np.dtype((np.record, [("code", "u2"), ("jt", "u1"), ("jf", "u1"), ("k", "u4")]))
#: The program of one link type: instructions [start, end) of the table. An empty one rejects every frame.
PROGRAM = np.dtype((np.record, [("link", "i8"), ("start", "i8"), ("end", "i8")]))
#: State of a run over a block: the frame looked at next, frames kept so far, and the link type that has no program yet.
RUN = np.dtype((np.record, [("next", "i8"), ("kept", "i8"), ("link", "i8")]))

SNAP = 262144               # what a program answers when it accepts; more than any frame
LOOPS = 256                 # jumps backwards in one frame: headers that `protochain` follows
MEMORY = 16                 # words of scratch memory (BPF_MEMWORDS)
AHEAD = 16                  # frames between asking for a header and reading it
DONE, MISSING = 0, 1        # what `run` returns
KERNEL_ONLY = 0xFFE00000    # loads from here on ask Linux about the packet, not the packet (SKF_LL_OFF and up)
NETMASK_UNKNOWN = 0xFFFFFFFF
_ERROR = 256                # PCAP_ERRBUF_SIZE

# Opcodes. A load is what it loads and how; a jump or an operation is with a constant (K) or with X.
LD_W_ABS, LD_H_ABS, LD_B_ABS, LD_W_IND, LD_H_IND, LD_B_IND = 0x20, 0x28, 0x30, 0x40, 0x48, 0x50
LD_IMM, LD_MEM, LD_LEN, LDX_IMM, LDX_MEM, LDX_LEN, LDX_MSH = 0x00, 0x60, 0x80, 0x01, 0x61, 0x81, 0xB1
ST, STX, RET_K, RET_X, RET_A, TAX, TXA = 0x02, 0x03, 0x06, 0x0E, 0x16, 0x07, 0x87
JA, JEQ_K, JGT_K, JGE_K, JSET_K, JEQ_X, JGT_X, JGE_X, JSET_X = 0x05, 0x15, 0x25, 0x35, 0x45, 0x1D, 0x2D, 0x3D, 0x4D
ADD_K, SUB_K, MUL_K, DIV_K, OR_K, AND_K, LSH_K, RSH_K, NEG, MOD_K, XOR_K = 0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xA4
ADD_X, SUB_X, MUL_X, DIV_X, OR_X, AND_X, LSH_X, RSH_X, MOD_X, XOR_X = 0x0C, 0x1C, 0x2C, 0x3C, 0x4C, 0x5C, 0x6C, 0x7C, 0x9C, 0xAC
JUMPS = frozenset((JEQ_K, JGT_K, JGE_K, JSET_K, JEQ_X, JGT_X, JGE_X, JSET_X))
ABSOLUTE = frozenset((LD_W_ABS, LD_H_ABS, LD_B_ABS))
SCRATCH = frozenset((LD_MEM, LDX_MEM, ST, STX))
OPCODES = JUMPS | SCRATCH | {
    LD_W_ABS, LD_H_ABS, LD_B_ABS, LD_W_IND, LD_H_IND, LD_B_IND, LD_IMM, LD_LEN, LDX_IMM, LDX_LEN, LDX_MSH, RET_K, RET_X, RET_A, TAX, TXA, JA,
    ADD_K, SUB_K, MUL_K, DIV_K, OR_K, AND_K, LSH_K, RSH_K, NEG, MOD_K, XOR_K, ADD_X, SUB_X, MUL_X, DIV_X, OR_X, AND_X, LSH_X, RSH_X, MOD_X, XOR_X}


# ---------------------------------------------------------------- the machine

@kernel
def times(a: int, b: int) -> Any:
    """The low 32 bits of a product of two 32-bit numbers, without a 64-bit overflow on the way."""
    return (a * (b & 0xFFFF) + (((a * (b >> 16)) & 0xFFFF) << 16)) & 0xFFFFFFFF


@kernel
def calculate(code: int, a: int, b: int) -> Any:
    """`a` after an operation with `b`, the constant or X; -1: division by zero. Shifts by 32 and more give 0 (libpcap)."""
    kind = code & 0xF0
    if kind == 0x00:
        return (a + b) & 0xFFFFFFFF
    if kind == 0x10:
        return (a - b) & 0xFFFFFFFF
    if kind == 0x20:
        return times(a, b)
    if kind == 0x30:
        return a // b if b != 0 else np.int64(-1)
    if kind == 0x40:
        return a | b
    if kind == 0x50:
        return a & b
    if kind == 0x60:
        return (a << b) & 0xFFFFFFFF if b < 32 else np.int64(0)
    if kind == 0x70:
        return a >> b if b < 32 else np.int64(0)
    if kind == 0x80:
        return -a & 0xFFFFFFFF
    if kind == 0x90:
        return a % b if b != 0 else np.int64(-1)
    return a ^ b


@kernel
def jumps(code: int, a: int, b: int) -> Any:
    """Is the condition of a jump true?"""
    kind = code & 0xF0
    if kind == 0x10:
        return a == b
    if kind == 0x20:
        return a > b
    if kind == 0x30:
        return a >= b
    return a & b != 0


@kernel
def accepts(data: Any, base: int, captured: int, wire: int, instructions: Any, start: int, end: int, memory: Any) -> Any:
    """What instructions [start, end) answer for the frame at data[base : base + captured]: 0 rejects it. memory int64[16], overwritten."""
    a: Any = np.int64(0)
    x: Any = np.int64(0)
    at: Any = np.int64(start)
    loops = np.int64(0)
    while at < end:                 # every step goes forward, but for LOOPS jumps
        row = instructions[np.uint64(at)]
        code = np.int64(row.code)
        k: Any = np.int64(row.k)
        at += 1
        kind = code & 7
        if kind == 0 or code == LDX_MSH:        # loads into A; from the packet most of all
            if code == LDX_MSH:
                if k >= captured:
                    return np.int64(0)
                x = (octet(data, base + k) & 15) << 2
            elif code == LD_IMM:
                a = k
            elif code == LD_MEM:
                a = memory[k & 15]
            elif code == LD_LEN:
                a = wire
            else:
                if code & 0xE0 == 0x40:
                    k += x
                size = code & 0x18
                if size == 0x08:
                    if k + 2 > captured:
                        return np.int64(0)
                    a = be16(data, base + k)
                elif size == 0x10:
                    if k >= captured:
                        return np.int64(0)
                    a = octet(data, base + k)
                else:
                    if k + 4 > captured:
                        return np.int64(0)
                    a = be32(data, base + k)
        elif kind == 5:
            if code == JA:
                if k >> 31:                     # backwards: `protochain` walks extension headers in a loop
                    k -= 0x100000000
                    loops += 1
                    if loops > LOOPS or at + k < start:
                        return np.int64(0)
                at += k
            elif jumps(code, a, x if code & 8 else k):
                at += np.int64(row.jt)
            else:
                at += np.int64(row.jf)
        elif kind == 6:
            if code == RET_K:
                return k
            return a if code == RET_A else x
        elif kind == 4:
            a = calculate(code, a, x if code & 8 else k)
            if a < 0:
                return np.int64(0)
        elif kind == 1:
            if code == LDX_IMM:
                x = k
            elif code == LDX_MEM:
                x = memory[k & 15]
            else:
                x = wire
        elif kind == 2:
            memory[k & 15] = a
        elif kind == 3:
            memory[k & 15] = x
        elif code == TAX:
            x = a
        else:
            a = x
    return np.int64(0)


@entry(np.dtype("u1"), FRAME, I64, INSTRUCTION, PROGRAM, I64, np.dtype("i8"), RUN)
def run(data: Any, frames: Any, count: int, instructions: Any, programs: Any, known: int, memory: Any, state: Any) -> Any:
    """Move the frames of frames[state.next : count] that their program accepts to frames[state.kept ...], in order.

    data            uint8[n]; each frame lies within it
    frames          FRAME[at least count]
    instructions    INSTRUCTION[m]; programs PROGRAM[at least known] lie within it
    memory          int64[16], scratch
    state           RUN[1], zeros at the start of a block

    Returns DONE, or MISSING where the frame at state.next has a link type (state.link) without a program.
    """
    row = state[0]
    kept = np.int64(row.kept)
    link = np.int64(-1)
    start = np.int64(0)
    end = np.int64(0)
    for index in range(np.int64(row.next), count):
        frame = frames[np.uint64(index)]
        prefetch(data, np.int64(frames[np.uint64(min(index + AHEAD, count - 1))].offset))
        if np.int64(frame.link) != link:
            link = np.int64(-1)
            for number in range(known):
                if programs[number].link == np.int64(frame.link):
                    link = np.int64(programs[number].link)
                    start = np.int64(programs[number].start)
                    end = np.int64(programs[number].end)
            if link < 0:
                row.next = index
                row.kept = kept
                row.link = frame.link
                return MISSING
        for word in range(MEMORY):      # what one frame stored is nothing to the next
            memory[word] = 0
        if accepts(data, np.int64(frame.offset), np.int64(frame.captured), np.int64(frame.wire), instructions, start, end, memory):
            if kept != index:
                frames[np.uint64(kept)] = frame
            kept += 1
    row.next = count
    row.kept = kept
    return DONE


# ---------------------------------------------------------------- libpcap

class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    """struct bpf_program."""
    _fields_ = (("count", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction)))


_library: Any = None


def _other_name() -> str:
    """What the system's library is called. OSError: there is none."""
    from ctypes.util import find_library

    if name := find_library("pcap"):
        return name
    raise OSError


def library() -> Any:
    """libpcap. UserError where it is not installed."""
    global _library
    if _library is not None:
        return _library
    for name in ("libpcap.so.0.8", "libpcap.so.1", ""):         # what has another name is asked for: that takes its time
        try:
            found = ctypes.CDLL(name or _other_name())
        except OSError:
            continue
        found.pcap_open_dead.argtypes, found.pcap_open_dead.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_void_p
        found.pcap_compile.argtypes = (ctypes.c_void_p, ctypes.POINTER(Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32)
        found.pcap_geterr.argtypes, found.pcap_geterr.restype = (ctypes.c_void_p,), ctypes.c_char_p
        found.pcap_freecode.argtypes, found.pcap_freecode.restype = (ctypes.POINTER(Program),), None
        found.pcap_close.argtypes, found.pcap_close.restype = (ctypes.c_void_p,), None
        _library = found
        return found
    raise UserError("libpcap is not installed", "--filter", "install the package libpcap0.8 (Debian, Ubuntu) or libpcap (Fedora, Alpine, Homebrew)")


class BadFilter(ValueError):
    """libpcap refuses a filter for a link type; the message is libpcap's."""


def assemble(words: str, link: int) -> Any:
    """The program of a filter for a LINKTYPE number: recarray INSTRUCTION[n], checked. BadFilter: libpcap refuses it; UserError: no libpcap."""
    pcap = library()
    # libpcap's own numbers (DLT_*) differ from those in files for raw IP alone, among the types that are read
    handle = pcap.pcap_open_dead(RAW_BSD if link in (RAW, RAW_OPENBSD) else link, SNAP)
    if not handle:
        raise BadFilter("libpcap has no memory")
    program = Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), words.encode("utf-8", "surrogateescape"), 1, NETMASK_UNKNOWN):
            raise BadFilter(pcap.pcap_geterr(handle).decode("utf-8", "replace").strip() or "not a filter")
        made = records(program.count, INSTRUCTION)
        made.view(np.ndarray).view(np.uint8)[:] = np.frombuffer(ctypes.string_at(program.instructions, 8 * program.count), np.uint8)
        pcap.pcap_freecode(ctypes.byref(program))
    finally:
        pcap.pcap_close(handle)
    fault = check(made)
    if fault:
        raise BadFilter(fault)
    return made


def check(program: Any) -> str:
    """Why a program INSTRUCTION[n] may not run, '' where it may: known opcodes, jumps and scratch words in range, no question to the
    kernel, a return at its end."""
    size = len(program)
    for place, (code, true, false, k) in enumerate(program.tolist()):
        if code not in OPCODES:
            return f"instruction {place}: unknown opcode 0x{code:02x}"
        far = k - (k >> 31 << 32) if code == JA else max(true, false)
        if (code == JA or code in JUMPS) and not 0 <= place + 1 + far < size:
            return f"instruction {place}: a jump out of the program"
        if code in ABSOLUTE and k >= KERNEL_ONLY:
            return "direction and interface are not known when a file is read"
        if code in SCRATCH and k >= MEMORY:
            return f"instruction {place}: scratch word {k} of {MEMORY}"
    return "" if size and program.tolist()[-1][0] in (RET_K, RET_X, RET_A) else "no return at the end of the program"


class Filter:
    """A filter, compiled for each link type when the first frame of it comes."""

    def __init__(self, words: str) -> None:
        """UserError: no libpcap, or a filter that is good for no link type that is read (the message is libpcap's, for Ethernet)."""
        self.words = words
        self.unfit: dict[int, str] = {}         #: link types the filter means nothing for, and what libpcap says; their frames are rejected
        self._instructions: Any = records(1, INSTRUCTION)
        self._programs: Any = records(8, PROGRAM)
        self._known = 0
        self._memory = np.zeros(MEMORY, np.int64)
        self._state: Any = records(1, RUN)
        if "\0" in words:
            raise UserError("a filter has no NUL characters", "--filter")
        first = ""
        for link in (1, *(link for link in LINK_TYPES if link != 1)):
            try:
                self._add(link, assemble(words, link))
                return
            except BadFilter as refused:
                first = first or str(refused)
        raise UserError(first, "--filter", "write it as for tcpdump, such as 'tcp port 443 and host 192.0.2.1'; see man pcap-filter")

    def _add(self, link: int, program: Any) -> None:
        start = len(self._instructions) if self._known else 0
        parts = [part.view(np.ndarray) for part in (self._instructions[:start], program)]
        whole = records(max(start + len(program), 1), INSTRUCTION)
        whole.view(np.ndarray)[:start + len(program)] = np.concatenate(parts)
        self._instructions = whole
        if self._known == len(self._programs):
            larger = records(2 * self._known, PROGRAM)
            larger.view(np.ndarray)[:self._known] = self._programs.view(np.ndarray)
            self._programs = larger
        self._programs.view(np.ndarray)[self._known] = (link, start, start + len(program))
        self._known += 1

    def _learn(self, link: int) -> None:
        try:
            program = assemble(self.words, link)
        except BadFilter as refused:
            self.unfit[link] = str(refused)
            program = records(0, INSTRUCTION)
        self._add(link, program)

    def keep(self, data: np.ndarray[Any, np.dtype[np.uint8]], frames: Any, count: int) -> int:
        """Move the accepted ones of frames[:count] (FRAME) to the front, in order; how many."""
        state = self._state
        state.view(np.ndarray).view(np.int64)[:] = 0
        while run(data, frames, count, self._instructions, self._programs, self._known, self._memory, state) == MISSING:
            self._learn(int(state[0]["link"]))
        return int(state[0]["kept"])
