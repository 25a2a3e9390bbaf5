"""The filter machine against its slow twin and libpcap's own, and what a person gets for a filter that is none."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture import bpf
from dpi.capture.frame import FRAME
from dpi.errors import UserError
from dpi.jit import BUILD, records
from tests.hostile.samples import Sample, ether, ip4, samples, tcp, udp
from tests.oracle.bpf import answer

SAMPLES = samples()
FILTERS = ["ip", "ip6", "tcp", "tcp port 80", "udp port 53 or icmp", "host 192.0.2.1", "net 198.51.100.0/24 and not port 53", "vlan", "vlan and tcp",
           "mpls and ip", "pppoes and ip", "portrange 50-60", "less 100", "len > 100", "ip[8] * 3 - 1 > 180", "ip[2:2] % 7 = 3", "ip[2:2] / (ip[8] - 64) > 1",
           "tcp[tcpflags] & (tcp-syn|tcp-push) != 0", "(ip[2:2] - ((ip[0] & 15) << 2)) > 20", "tcp[4:4] ^ 0xffffffff > len * 100000", "ip[0] >> 4 | 3 = 7",
           "ip6 protochain 6", "ip[6:2] & 0x1fff != 0", "ip host 10.0.0.1 and -ip[8] > 4"]


def laid(frames: list[Sample]) -> tuple[Any, Any]:
    """(data, FRAME rows) of frames laid one after the other."""
    data = np.frombuffer(b"".join(one.frame for one in frames) or b"\0", np.uint8)
    rows = records(max(len(frames), 1), FRAME)
    at = 0
    for number, one in enumerate(frames):
        rows[number].offset, rows[number].captured, rows[number].wire = at, len(one.frame), one.wire or len(one.frame)
        rows[number].link, rows[number].number, rows[number].time = one.link, number + 1, number * 1000
        at += len(one.frame)
    return data, rows


def kept(words: str, frames: list[Sample]) -> list[int]:
    """Indices of the frames that a filter keeps."""
    data, rows = laid(frames)
    count = bpf.Filter(words).keep(data, rows, len(frames))
    return [int(number) - 1 for number in rows.view(np.ndarray)["number"][:count]]


@pytest.mark.parametrize("words", FILTERS)
def test_a_filter_keeps_what_the_twin_keeps(words: str) -> None:
    expected = []
    for index, one in enumerate(SAMPLES):
        try:
            program = bpf.assemble(words, one.link).tolist()
        except bpf.BadFilter:
            continue
        if answer(program, one.frame, one.wire or len(one.frame)):
            expected.append(index)
    assert kept(words, SAMPLES) == expected


@pytest.mark.parametrize("words", FILTERS[:12])
def test_a_filter_keeps_what_libpcap_keeps(words: str) -> None:
    judge = bpf.library().bpf_filter
    judge.argtypes, judge.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint), ctypes.c_uint
    frames = [one for one in SAMPLES if one.link == 1]
    cuts = frames + [Sample(one.name, 1, one.frame[:cut], len(one.frame)) for one in frames[:6] for cut in range(12, 60, 3)]
    program = bpf.assemble(words, 1)
    expected = [i for i, one in enumerate(cuts) if judge(program.ctypes.data, one.frame, one.wire or len(one.frame), len(one.frame))]
    assert kept(words, cuts) == expected


@st.composite
def programs(draw: Any) -> list[tuple[int, int, int, int]]:
    """A valid program of any instructions."""
    size = draw(st.integers(1, 24))
    out = []
    number = st.one_of(st.integers(0, 40), st.sampled_from([0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65536, 31, 32, 33]), st.integers(0, 0xFFFFFFFF))
    for place in range(size):
        left = size - place - 1         # the last instruction, behind these, returns
        code = draw(st.sampled_from(sorted(bpf.OPCODES)))
        if code == bpf.JA:
            k = draw(st.integers(-place - 1 if draw(st.booleans()) else 0, left)) & 0xFFFFFFFF
        else:
            k = draw(st.integers(0, 15) if code in bpf.SCRATCH else st.integers(0, 45) if code in bpf.ABSOLUTE else number)
        out.append((code, draw(st.integers(0, left)), draw(st.integers(0, left)), k))
    return [*out, (draw(st.sampled_from([bpf.RET_A, bpf.RET_X, bpf.RET_K])), 0, 0, draw(number))]


def accepted(program: list[tuple[int, int, int, int]], frames: list[Sample]) -> list[int]:
    """Indices of the frames that a program accepts."""
    data, rows = laid(frames)
    table = records(len(program), bpf.INSTRUCTION)
    table.view(np.ndarray)[:] = np.array(program, bpf.INSTRUCTION)
    assert bpf.check(table) == ""
    which, state = records(1, bpf.PROGRAM), records(1, bpf.RUN)
    which[0].link, which[0].start, which[0].end = 1, 0, len(program)
    assert bpf.run(data, rows, len(frames), table, which, 1, np.full(16, 77, np.int64), state) == bpf.DONE
    return [int(number) - 1 for number in rows.view(np.ndarray)["number"][:state[0].kept]]


@settings(max_examples=60 if BUILD == "off" else 120, deadline=None)
@given(programs(), st.lists(st.tuples(st.binary(max_size=48), st.integers(0, 0xFFFFFFFF)), min_size=1, max_size=6))
def test_any_program_equals_the_twin(program: list[tuple[int, int, int, int]], frames: list[tuple[bytes, int]]) -> None:
    laid_out = [Sample("", 1, frame, wire) for frame, wire in frames]
    assert accepted(program, laid_out) == [i for i, one in enumerate(laid_out) if answer(program, one.frame, one.wire or len(one.frame))]


@pytest.mark.parametrize("first, second, code, result", [
    (0xFFFFFFFF, 0xFFFFFFFF, bpf.MUL_K, 1), (5, 0, bpf.DIV_K, None), (5, 0, bpf.MOD_K, None), (0x80000001, 1, bpf.LSH_K, 2), (1, 32, bpf.LSH_K, 0),
    (1, 33, bpf.RSH_K, 0), (1, 2, bpf.SUB_K, 0xFFFFFFFF), (0xFFFFFFFF, 1, bpf.ADD_K, 0), (1, 0, bpf.NEG, 0xFFFFFFFF)])
def test_arithmetic_is_of_32_bits(first: int, second: int, code: int, result: int | None) -> None:
    wanted = 0 if result is None else result
    program = [(bpf.LD_IMM, 0, 0, first), (code, 0, 0, second), (bpf.JEQ_K, 0, 1, wanted), (bpf.RET_K, 0, 0, 1), (bpf.RET_K, 0, 0, 0)]
    assert accepted(program, [Sample("", 1, b"x")]) == ([] if result is None else [0])


@pytest.mark.parametrize("code, at, inside", [
    (bpf.LD_W_ABS, 4, True), (bpf.LD_W_ABS, 5, False), (bpf.LD_H_ABS, 6, True), (bpf.LD_H_ABS, 7, False), (bpf.LD_B_ABS, 7, True), (bpf.LD_B_ABS, 8, False),
    (bpf.LDX_MSH, 7, True), (bpf.LDX_MSH, 8, False), (bpf.LD_W_IND, 2, True), (bpf.LD_W_IND, 3, False), (bpf.LD_H_IND, 4, True), (bpf.LD_H_IND, 5, False),
    (bpf.LD_B_IND, 0xFFFFFFFF, False)])
def test_a_load_ends_at_the_captured_bytes(code: int, at: int, inside: bool) -> None:
    program = [(bpf.LDX_IMM, 0, 0, 2), (code, 0, 0, at), (bpf.RET_K, 0, 0, 1)]
    assert accepted(program, [Sample("", 1, bytes(8), 1500)]) == ([0] if inside else [])


@pytest.mark.parametrize("program, fault", [
    ([(bpf.LD_IMM, 0, 0, 0)], "no return"), ([], "no return"), ([(0xFF, 0, 0, 0), (6, 0, 0, 0)], "unknown opcode"),
    ([(bpf.ST, 0, 0, 16), (6, 0, 0, 0)], "scratch"), ([(bpf.JA, 0, 0, 1), (6, 0, 0, 0)], "out of"), ([(bpf.JA, 0, 0, 0xFFFFFFFE), (6, 0, 0, 0)], "out of"),
    ([(bpf.JEQ_K, 0, 1, 0), (6, 0, 0, 0)], "out of"), ([(bpf.LD_B_ABS, 0, 0, 0xFFFFF004), (6, 0, 0, 0)], "not known")])
def test_a_program_is_checked(program: list[tuple[int, int, int, int]], fault: str) -> None:
    table = records(len(program), bpf.INSTRUCTION)
    table.view(np.ndarray)[:] = np.array(program, bpf.INSTRUCTION)
    assert fault in bpf.check(table)


def test_a_loop_without_an_end_is_left() -> None:
    assert accepted([(bpf.JA, 0, 0, 0xFFFFFFFF), (bpf.RET_K, 0, 0, 1)], [Sample("", 1, b"x")]) == []


def test_a_wrong_filter_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^--filter: .*syntax error.*\(write it as for tcpdump.*\)$"):
        bpf.Filter("tcp prot 443")
    with pytest.raises(UserError, match="NUL"):
        bpf.Filter("tcp\0")


def test_a_missing_libpcap_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> Any:
        raise OSError(name)
    monkeypatch.setattr(bpf, "_library", None)
    monkeypatch.setattr(bpf.ctypes, "CDLL", none)
    with pytest.raises(UserError, match="libpcap is not installed.*libpcap0.8"):
        bpf.Filter("tcp")


def test_link_types_have_programs_of_their_own() -> None:
    four = ip4(6, tcp(target=443))
    frames = [Sample("ether", 1, ether(0x0800, four)), Sample("raw", 101, four), Sample("other", 1, ether(0x0800, ip4(17, udp()))),
              Sample("usb", 189, b"\0" * 64), Sample("raw", 12, four), Sample("ether", 1, ether(0x0800, four))]
    data, rows = laid(frames)
    one = bpf.Filter("tcp port 443")
    assert one.keep(data, rows, len(frames)) == 4
    assert rows.view(np.ndarray)["number"][:4].tolist() == [1, 2, 5, 6]
    assert one.unfit.keys() <= {189}
    ethernet = bpf.Filter("ether broadcast")
    assert ethernet.keep(*laid(frames), len(frames)) == 0 and 101 in ethernet.unfit


def test_more_link_types_than_expected() -> None:
    frames = [Sample("", link, bytes(64)) for link in range(2, 40)]
    one = bpf.Filter("less 64 or greater 65")
    assert one.keep(*laid(frames), len(frames)) == len(frames) - len(one.unfit)
