"""Short runs of `python -m tests.hostile.parsers` and `python -m tests.hostile.replays`, in the build this suite runs in."""
from __future__ import annotations

from dpi.jit import BUILD
from tests.hostile.child import survive
from tests.hostile.listening import TARGET as LISTENING
from tests.hostile.parsers import names
from tests.hostile.replays import TARGET
from tests.hostile.seeds import payloads
from tests.hostile.seeing import TARGET as SEEING

PLACE = "end" if BUILD == "on" else "own"


def test_every_parser_survives_mutations() -> None:
    count = len(names()) * (10 if BUILD == "off" else 150)
    outcome = survive("tests.hostile.parsers:Every", BUILD, PLACE, count, seed=3)
    assert (outcome.fault, outcome.done) == ("", count), str(outcome)


def test_the_listener_of_sessions_survives_mutations() -> None:
    count = 300 if BUILD == "off" else 8000
    outcome = survive(LISTENING, BUILD, PLACE, count, seed=5)
    assert (outcome.fault, outcome.done) == ("", count), str(outcome)


def test_what_is_seen_of_the_segment_survives_mutations() -> None:
    count = 300 if BUILD == "off" else 8000
    outcome = survive(SEEING, BUILD, PLACE, count, seed=6)
    assert (outcome.fault, outcome.done) == ("", count), str(outcome)


def test_a_shard_survives_hostile_captures() -> None:
    count = 150 if BUILD == "off" else 3000
    outcome = survive(TARGET, BUILD, PLACE, count, seed=4)
    assert outcome.fault == "" and outcome.done >= count, str(outcome)


def test_there_are_payloads_to_start_from() -> None:
    assert len(payloads()) > 100 and {number for number, *_ in payloads()} >= {6, 17}
