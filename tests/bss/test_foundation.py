"""What everything of the business layer stands on: transactions, scope, sealing, the audit chain, on both databases."""
from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from bss import audit, identifier, sealing
from bss.database import Table
from bss.office import Office
from bss.people.permission import PERMISSIONS
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.sealing import Ring, masked, plain
from bss.settings import load
from bss.tables import Customer, Outbox, Party
from bss.tables.person import ROLES

pytestmark = pytest.mark.both


def customer(office: Office, number: str, region: str = "贵阳", name: str = "王小明") -> str:
    def make(desk: object) -> str:
        party = desk.add(Party(kind="individual", name=name, created=desk.now))        # type: ignore[attr-defined]
        made = desk.add(Customer(number=number, party_id=party.id, class_="home", region=region, created=desk.now))       # type: ignore[attr-defined]
        desk.record("customer.create", made, after={"number": number, "name": name})        # type: ignore[attr-defined]
        desk.emit("customer.create", made.id, {"id": made.id})       # type: ignore[attr-defined]
        return str(made.id)
    return office.act(SYSTEM, make)


def test_an_act_is_there_whole_or_not_at_all(office: Office) -> None:
    with pytest.raises(RuntimeError), office.writing() as desk:
        desk.add(Party(kind="individual", name="x", created=desk.now))
        desk.record("x", ("party", "x"))
        raise RuntimeError
    with office.reading() as desk:
        assert desk.session.query(Party).count() == 0 and audit.check(desk.session) == 0


def test_who_may_not_see_a_row_does_not_find_it(office: Office) -> None:
    here, there = customer(office, "K1", "贵阳"), customer(office, "K2", "遵义")
    for who, seen in ((Actor("U1", "a", frozenset({"presales"}), ("贵阳",)), {here}), (Actor("U2", "b", frozenset({"customer"}), (), (there,)), {there}),
                      (Actor("U3", "c", frozenset({"contractor"}), own_work=True), set()), (SYSTEM, {here, there})):
        with office.reading(who) as desk:
            assert set(desk.session.execute(desk.select(Customer).with_only_columns(Customer.id)).scalars()) == seen
            for one in {here, there} - seen:
                with pytest.raises(Refusal, match="there is no customer"):
                    desk.find(Customer, one)


def test_personal_fields_are_unreadable_in_the_database(office: Office) -> None:
    customer(office, "K1", name="王小明-unmistakable")
    engine = create_engine(office.settings.database)
    with engine.connect() as connection:
        for table in ("party", "audit", "outbox"):
            for row in connection.execute(text(f"SELECT * FROM {table}")):
                assert not any("unmistakable" in str(bytes(value) if isinstance(value, memoryview) else value) for value in row)
    engine.dispose()
    if office.settings.database.startswith("sqlite"):
        assert b"unmistakable" not in b"".join(path.read_bytes() for path in Path(office.settings.database.removeprefix("sqlite:///")).parent.glob("bss.db*"))


def test_keys_rotate_and_old_values_stay_readable() -> None:
    ring = Ring.fresh()
    sealed = ring.seal(b"a")
    rotated = ring.rotated()
    assert rotated.open(sealed) == b"a" and rotated.open(rotated.seal(b"b")) == b"b" and rotated.digest("phone", "1") == ring.digest("phone", "1")
    with pytest.raises(Refusal, match="key 1 is not in the ring"):
        rotated.without(1).open(sealed)
    with pytest.raises(Refusal, match="was changed"):
        ring.open(sealed[:-1] + bytes([sealed[-1] ^ 1]))


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'y'", "DELETE FROM audit"])
def test_the_audit_log_is_append_only(office: Office, statement: str) -> None:
    customer(office, "K1")
    with pytest.raises(Exception, match="append-only"), office.writing() as desk:
        desk.session.execute(text(statement))


@pytest.mark.parametrize(("edit", "found"), [
    ("UPDATE audit SET actor = 'y' WHERE number = 2", "row 2 .* is not as it was written"), ("DELETE FROM audit WHERE number = 2", "row 2 .* is missing"),
    ("DELETE FROM audit WHERE number = 3", "rows 3 to 3"), ("UPDATE audit SET detail = NULL WHERE number = 1", "row 1")])
def test_the_chain_tells_an_edited_row(office: Office, edit: str, found: str) -> None:
    for number in ("K1", "K2", "K3"):
        customer(office, number)
    with office.reading() as desk:
        assert audit.check(desk.session) == 3
    with office.writing() as desk:          # as somebody who owns the database could
        if office.database.lite:
            for trigger in ("audit_no_update", "audit_no_delete"):
                desk.session.execute(text(f"DROP TRIGGER {trigger}"))
        else:
            desk.session.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        desk.session.execute(text(edit))
    with office.reading() as desk, pytest.raises(Refusal, match=found):
        audit.check(desk.session)


def test_acts_at_once_make_one_chain(office: Office) -> None:
    def some(k: int) -> None:
        for n in range(10):
            customer(office, f"K{k}-{n}")
    threads = [threading.Thread(target=some, args=(k,)) for k in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with office.reading() as desk:
        assert audit.check(desk.session) == 40 and desk.session.query(Outbox).count() == 40


def test_the_same_number_twice_is_refused(office: Office) -> None:
    customer(office, "K1")
    with pytest.raises(Refusal, match="the database refuses it"):
        customer(office, "K1")


def test_ids_rise_and_differ() -> None:
    made = [identifier.fresh("C") for _ in range(1000)]
    assert len(set(made)) == 1000 and [one[:10] for one in made] == sorted(one[:10] for one in made) and all(len(one) == 16 for one in made)


def test_every_role_has_something_to_do_and_every_permission_somebody() -> None:
    assert {role for one in PERMISSIONS.values() for role in one.roles} == set(ROLES) and all(one.roles and one.en and one.zh for one in PERMISSIONS.values())


def test_masks() -> None:
    assert [masked(text) for text in ("王小明", "13800138000", "li@example.cn", "", None)] == ["王**", "*********00", "l***@example.cn", "", None]
    assert plain("Ｌｉ Ｍing-1") == "liming1"


def test_settings_are_refused_with_their_name(tmp_path: Path) -> None:
    file = tmp_path / "bss.toml"
    file.write_text('timezone = "Mars/Olympus"\n')
    with pytest.raises(Refusal, match="timezone: .*is no time zone"):
        load(str(file))
    file.write_text("databas = 1\n")
    with pytest.raises(Refusal, match="databas"):
        load(str(file))


def test_the_migrations_make_the_tables_that_the_program_has(office: Office) -> None:
    with office.database.engine.connect() as connection:
        differs = compare_metadata(MigrationContext.configure(connection), Table.metadata)
    assert not differs


def test_a_ring_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, before = tmp_path / "ring", (sealing._ring, sealing._file)
    sealing.Ring.fresh().write(file)
    read = sealing.Ring.read

    def slow(path: Path) -> sealing.Ring:
        found = read(path)
        if found.current == 1:
            found.rotated().write(path)
        return found
    monkeypatch.setattr(sealing.Ring, "read", staticmethod(slow))
    try:
        sealing.follow(file)
        assert sealing.ring().current == 2
    finally:
        if before[0] is not None:
            sealing.install(*before)
