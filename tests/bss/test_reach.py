"""Nobody where they don't belong, by the other ways: the command line as every role, a receiver of events, what the probe and its dashboards read, the raw
database and a backup."""
from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bss.cli import command
from bss.desk import Desk
from bss.keeping import backup
from bss.office import Office
from bss.orders import enquiry, order, transition
from bss.orders.wanted import Line
from bss.parties import agreement, customer, interaction, merging
from bss.parties.contact import Given
from bss.people.scope import SYSTEM
from bss.running import batch, reading
from bss.services import binding, export, inventory
from bss.tables import AuditRow, Outbox, User
from bss.tables.person import ROLES
from bss.working import outbox
from tests.bss.belongings import fill
from tests.bss.selling import sold
from tests.bss.test_belonging import HERE, MARK, THERE, rows, tried
from tests.bss.test_outbox import Hook, hook, listening  # noqa: F401

#: Commands that are of the whole installation, or of who works here: they ask for a permission, and know no rows of customers.
WHOLE = {"backup", "init", "keys", "restore", "serve", "upgrade", "worker", "job", "user", "token", "catalogue", "audit", "traps"}
#: Who owns things of these kinds, by the name of a command or an argument.
KINDS = {"id": "", "id_": "", "item": "order_item", "item_id": "order_item", "order": "product_order", "service_id": "service", "other_id": "service",
         "ticket_id": "ticket", "planned_window_id": "planned_window", "account": "billing_account", "dunning": "dunning_case",
         "customer_id": "customer", "kept": "customer", "gone": "customer"}
WORDS = {"state": "cancelled", "since": "2026-11-01", "reason": "x", "until": "2027-01-01", "name": "x", "region": HERE, "to": "cancelled", "class_": "A",
         "month": "2026-12"}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All of them, by the words that one types."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        elif (*path, name)[0] not in WHOLE:
            yield (*path, name), found


def typed(path: tuple[str, ...], what: click.Command, ids: dict[str, str], file: Path) -> Iterator[list[str]]:
    """Lines that ask a command for things of another region: where an id may be of several kinds, each of them."""
    own = {"order": "product_order", "enquiry": "enquiry", "service": "service", "binding": "binding", "resource": "resource", "paper": "paper",
           "configuration": "configuration", "bill": "bill_run", "customer": "customer"}.get(path[0], path[0] if path[0] in ids else "")
    words: list[str] = []
    for one in what.params:
        name = str(one.name)
        if isinstance(one, click.Argument):
            kind = KINDS.get(name, name) or own
            if kind in ids:
                words.append(ids[kind])
            elif name == "entity":
                words.append("product_order")
            elif isinstance(one.type, click.Choice):
                words.append(str(one.type.choices[0]))
            elif isinstance(one.type, click.Path):
                words.append(str(file))
            elif name in ("address",):
                words.append("203.0.113.1")
            elif name == "text":
                words.append(MARK)
            elif one.required:
                words.append(WORDS.get(name, ids.get(own, "x")))
        elif one.required and getattr(one, "is_flag", False):
            words.append(one.opts[0])
        elif one.required:
            choices = one.type.choices if isinstance(one.type, click.Choice) else ()
            words += [one.opts[0], str(choices[0]) if choices else WORDS.get(name, "2026-12-01" if "cutover" in name else "1")]
        elif name == "reason":
            words += ["--reason", "ticket 1"]
        elif name in ("customer", "service", "order", "resource") and not getattr(one, "is_flag", False):
            words += [one.opts[0], ids[KINDS.get(name, name)]]
    yield [*path, *words]
    if "paper" in path and "product_order" in words:
        yield [*path, *(ids["order_item"] if one == ids.get("paper") else one for one in words)]


def written(office: Office, folder: Path) -> tuple[Path, Path]:
    """The settings as a file, and a file that may be brought in."""
    settings = {name: value for name, value in office.settings.model_dump().items() if name in ("database", "keys", "attachments", "bindings", "store")}
    (config := folder / "bss.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()))
    (file := folder / "some.csv").write_text("number\nx\n")
    return config, file


def test_the_commands_that_are_tried_show_what_is_there_to_who_may_see_it(office: Office, tmp_path: Path) -> None:
    """Or the next test would say nothing."""
    ids, seen = fill(office, THERE, MARK), set()
    config, file = written(office, tmp_path)
    for path, what in commands(command):
        for words in typed(path, what, ids, file):
            if CliRunner().invoke(command, ["--config", str(config), *words]).output.count(MARK) > (path[0] == "search"):
                seen.add(path[0])
    assert {"customer", "order", "service", "resource", "configuration", "enquiry", "paper"} <= seen, seen


@pytest.mark.parametrize("role", ROLES)
def test_the_command_line_as_somebody_else_of_another_region(office: Office, role: str, tmp_path: Path) -> None:
    tried(office, role)
    ids = fill(office, THERE, MARK)
    own = fill(office, HERE, "Guiyang1Own")
    office.act(SYSTEM, lambda desk: desk.add(User(login="they", name="they", roles=[role], regions=[HERE], created=desk.now,
                                                  customers=[own["customer"]] if role == "customer" else [])))
    config, file = written(office, tmp_path)
    before, done = rows(office), []
    runner = CliRunner()
    for path, what in commands(command):
        for words in typed(path, what, ids, file):
            answer = runner.invoke(command, ["--config", str(config), "--as", "they", *words])
            assert MARK not in answer.output.replace(f"search {MARK}", "") or path[0] == "search" and answer.output.count(MARK) <= 1, (words, answer.output)
            assert answer.exit_code in (0, 1, 2) and (answer.exception is None or isinstance(answer.exception, SystemExit)), (words, answer.output,
                                                                                                                           answer.exception)
            assert "Usage:" not in answer.output, (words, answer.output)         # it was refused by what it asks for, not by how it was written
            named = [one for one in words if one in ids.values()]
            if named and answer.exit_code == 0:
                told = re.sub(r"\s", "", answer.output)
                assert told in ("none", "[]", "") or not any(one in answer.output for one in ids.values()), (words, answer.output)
            done.append((words, answer.exit_code))
    assert len(done) > 50
    after = rows(office)
    for name, held in before.items():
        def theirs(one: str) -> bool:
            return MARK in one or any(key in one for key in ids.values())
        assert [row for row in held if theirs(row)] == [row for row in after[name] if theirs(row)], name


NAME, PHONE, MAIL, LEGAL, SITE, NOTE = "杨柳依依", "13912345678", "liuyiyi@private.example", "E98765432", "花溪大道北段七号", "她说夜里网速慢"
PERSONAL = (NAME, "yangliu", PHONE, "3912345678", MAIL, "liuyiyi", LEGAL, SITE, NOTE, "改名后依依")


def life(office: Office) -> dict[str, str]:
    """A person's whole life here: entered, asked, sold to, bound, changed, merged, parted, brought in by a file."""
    sold(office)

    def live(desk: Desk) -> dict[str, str]:
        contacts = [Given("phone", PHONE), Given("email", MAIL), Given("address", SITE)]
        one = customer.make(desk, kind="individual", name=NAME, class_="home", region=HERE, number="K1", legal_id=LEGAL, contacts=contacts)
        two = customer.make(desk, kind="individual", name=NAME, class_="home", region=HERE, number="K2", contacts=contacts[:1])
        agreement.make(desk, customer_id=one.id, name="home", valid_from=desk.now)
        interaction.note(desk, customer_id=one.id, channel="phone", subject=NOTE, note=f"{NAME} {PHONE}")
        asked = enquiry.enter_need(desk, one.id, {"kind": "broadband", "down_bps": 10 ** 8, "up_bps": 10 ** 7, "count": 1, "offering": ""}, channel="phone",
                              site=SITE)
        made = order.enter(desk, one.id, [Line.model_validate({"action": "add", "offering": "home-100", "site": SITE})], enquiry_id=asked.id)
        order.acknowledge(desk, made.id)
        order.amend(desk, made.id, [Line.model_validate({"action": "add", "offering": "home-100", "site": f"{SITE}二楼"})], "moved upstairs")
        service = inventory.design(desk, customer_id=one.id, offering="home-100", offering_version=1, kind="broadband", class_="home", region=HERE,
                                   down_bps=10 ** 8, up_bps=10 ** 7, site=SITE)
        inventory.change(desk, service.id, site=f"{SITE}三楼")
        inventory.move(desk, service.id, "reserved")
        binding.bind(desk, service.id, prefix="203.0.113.9/32")
        customer.change(desk, one.id, name="改名后依依", contacts=[Given("phone", PHONE)])
        row = merging.merge(desk, one.id, two.id, {"name": "gone"})
        merging.unmerge(desk, row.id)
        transition.move(desk, made.id, "pending", "waits")
        return {"customer": one.id, "service": service.id, "order": made.id}
    ids = office.act(SYSTEM, live)
    file = f"number,name,kind,class,region,phone,email,address,legal_id\nK3,{NAME},individual,home,{HERE},{PHONE},{MAIL},{SITE},{LEGAL}\n"
    sheet = reading.parse(file.encode(), "base.csv", batch.kind_of("customers").columns)
    office.act(SYSTEM, lambda desk: batch.bring(desk, "customers", sheet, desk.now))
    return ids


def test_a_receiver_of_events_learns_no_word_of_a_person(office: Office, tmp_path: Path, hook: Hook) -> None:          # noqa: F811
    ids = life(office)
    listening(office, tmp_path, hook.url)
    while office.act(SYSTEM, outbox.spread):
        pass
    with httpx.Client(timeout=5) as client:
        outbox.deliver(office, office.settings.events[0], "w", client)
    with office.reading() as desk:
        assert len(hook.got) == desk.session.query(Outbox).count() > 15
    kinds = {one["type"].removeprefix("fullspan.").partition(".")[0] for one in hook.got}
    assert {"customer", "productOrder", "service", "binding", "import", "partyInteraction"} <= kinds, kinds
    assert ids["customer"] in json.dumps(hook.got)
    for one in hook.got:
        told = json.dumps(one, ensure_ascii=False)
        assert not [word for word in PERSONAL if word in told], told


def test_the_probe_and_its_dashboards_know_ids_alone(office: Office) -> None:
    ids = life(office)
    export.write(office, always=True)
    told = Path(office.settings.bindings).read_text()
    assert ids["service"] in told and ids["customer"] in told and not [word for word in PERSONAL if word in told]


def test_no_word_of_a_person_is_in_the_raw_database_or_a_backup(office: Office, tmp_path: Path) -> None:
    life(office)
    target = tmp_path / "b" / "backup.tar.gz"
    target.parent.mkdir()
    backup.make(office, SYSTEM, target)
    words = [word.encode() for word in PERSONAL]
    raw: dict[str, bytes] = {}
    if office.database.lite:
        for path in Path(office.settings.database.removeprefix("sqlite:///")).parent.glob("bss.db*"):
            raw[path.name] = path.read_bytes()
    else:
        with office.database.session() as session:
            for table in session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all():
                raw[table] = "\n".join(session.execute(text(f'SELECT t::text FROM "{table}" t')).scalars()).encode()
                assert not [word for word in words if word.hex().encode() in raw[table]], table           # bytea is shown in hex
    with tarfile.open(target) as tar:
        for one in tar.getmembers():
            held = tar.extractfile(one)
            raw[f"backup {one.name}"] = held.read() if held else b""
    if not office.database.lite:
        import subprocess

        from benchmarks.postgresql import programs
        dump = tmp_path / "dump"
        dump.write_bytes(raw["backup database"])
        raw["dump"] = subprocess.run([programs() / "pg_restore", "-f", "-", dump], check=True, capture_output=True).stdout
    assert len(raw) > 2 and any(b"203.0.113.9" in content for content in raw.values())           # what is looked at is what is kept
    for name, content in raw.items():
        assert not [word.decode() for word in words if word in content or word.hex().encode() in content], name


def test_an_edited_row_of_the_audit_log_is_found(office: Office) -> None:
    from bss import audit
    from bss.refusal import Refusal

    life(office)
    with office.reading() as desk:
        numbers = [number for number, in desk.session.query(AuditRow.number).order_by(AuditRow.number)]
        assert audit.check(desk.session) == len(numbers)
    columns = ("actor", "action", "entity", "entity_id", "reason")
    for k, column in enumerate(columns):
        number: Any = numbers[k * len(numbers) // len(columns)]
        with office.database.session(writing=True) as session:
            off = "DROP TRIGGER IF EXISTS audit_no_update" if office.database.lite else "ALTER TABLE audit DISABLE TRIGGER USER"
            session.execute(text(off))
            changed = session.execute(text(f"UPDATE audit SET {column} = 'x' || {column} WHERE number = {number}"))
            assert changed.rowcount == 1            # type: ignore[attr-defined]
            session.expire_all()
            with pytest.raises(Refusal, match=f"row {number} "):
                audit.check(session)
            session.rollback()
