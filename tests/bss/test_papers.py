"""Papers in versions, sealed files, configuration data that nothing breaks out of."""
from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bss.office import Office
from bss.orders import attachment, configuration
from bss.orders import paper as papers
from bss.orders.attachment import DOCX, XLSX, type_of
from bss.refusal import Refusal
from bss.services import binding
from bss.tables import Attachment, Binding, Configuration, Paper, ProductOrder
from tests.bss.selling import act, customer, line, ordered, person, records, served, sold

PDF, PNG, JPEG = b"%PDF-1.7\n%...", b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff\xe0...."


def packed(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return made.getvalue()


# ---- papers

def test_papers_are_versions_that_another_person_approves(office: Office) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office)
    writer, boss = person(office, "writer", "presales", "manager"), person(office, "boss", "manager")

    def write(monthly: str) -> str:
        return act(office, lambda desk: papers.write(desk, "quote", "product_order", order_id, {"monthly": monthly}), writer).id
    first = write("1.00")
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: papers.decide(desk, first, True), writer)
    act(office, lambda desk: papers.decide(desk, first, True), boss)
    second, third = write("2.00"), write("3.00")
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: papers.decide(desk, third, False), boss)
    with pytest.raises(Refusal, match="it is superseded"):
        act(office, lambda desk: papers.decide(desk, second, True), boss)
    act(office, lambda desk: papers.decide(desk, third, True), boss)
    with office.reading() as desk:
        states = {one.number: one.state for one in desk.session.query(Paper)}
        assert states == {1: "superseded", 2: "superseded", 3: "approved"}
        assert desk.session.get_one(Paper, first).content == {"monthly": "1.00"}
    with pytest.raises(Refusal, match="no kind of paper"):
        act(office, lambda desk: papers.write(desk, "novel", "product_order", order_id, {}))
    with pytest.raises(Refusal, match="256 kB"):
        act(office, lambda desk: papers.write(desk, "quote", "product_order", order_id, {"x": "字" * 100_000}))


# ---- attachments

@pytest.mark.parametrize(("content", "name", "media"), [
    (PDF, "a.pdf", "application/pdf"), (PNG, "a.PNG", "image/png"), (JPEG, "a.jpeg", "image/jpeg"), ("字,1\n".encode(), "a.csv", "text/csv"),
    ("方案".encode("gb18030"), "a.txt", "text/plain"), (packed("[Content_Types].xml", "xl/workbook.xml"), "a.xlsx", XLSX),
    (packed("[Content_Types].xml", "word/document.xml"), "a.docx", DOCX)])
def test_types_are_told_by_content(content: bytes, name: str, media: str) -> None:
    assert type_of(content, name) == media


@pytest.mark.parametrize(("content", "name", "why"), [
    (b"MZ\x90\x00", "a.pdf", "not taken"), (PDF, "a.png", "its content is application/pdf"), (b"<svg/>\x00", "a.txt", "not taken"),
    (packed("[Content_Types].xml", "xl/workbook.xml", "xl/vbaProject.bin"), "a.xlsx", "not taken"), (packed("evil.exe"), "a.xlsx", "not taken"),
    (b"PK\x03\x04broken", "a.docx", "not taken"), (b"#!/bin/sh\n", "a.sh", "its content is text/plain"), (b"\x7fELF\x02", "a.csv", "not taken")])
def test_what_is_not_taken(content: bytes, name: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        type_of(content, name)


@given(st.binary(max_size=200), st.sampled_from(["a.pdf", "a.xlsx", "a.txt", "a", ".csv"]))
def test_no_file_makes_it_stumble(content: bytes, name: str) -> None:
    try:
        assert type_of(content, name) in attachment.TYPES
    except Refusal as refusal:
        assert refusal.kind == "invalid"


def test_files_are_sealed_whole_and_their_reading_is_on_record(office: Office, tmp_path: Path) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office)
    content = PDF + b"unmistakable" * 100
    made = act(office, lambda desk: attachment.attach(desk, "product_order", order_id, "..\\..\\王小明.pdf", content))
    folder = Path(office.settings.attachments)
    stored = [path for path in folder.rglob("*") if path.is_file()]
    assert len(stored) == 1 and b"unmistakable" not in stored[0].read_bytes() and stored[0].stat().st_mode & 0o077 == 0
    row, found = act(office, lambda desk: attachment.read(desk, made.id, "ticket 7"))
    assert found == content and row.name == "王小明.pdf" and row.size == len(content)
    with office.reading() as desk:
        seen, _detail = records(desk, "attachment", made.id)[0]
        assert seen.action == "attachment.read" and seen.reason == "ticket 7"
    stored[0].write_bytes(stored[0].read_bytes()[:-1] + b"x")
    with pytest.raises(Refusal, match="was changed"):
        act(office, lambda desk: attachment.read(desk, made.id))
    stored[0].unlink()
    with pytest.raises(Refusal, match="its file is not there"):
        act(office, lambda desk: attachment.read(desk, made.id))


def test_sizes_and_owners_are_checked(office: Office) -> None:
    owner = customer(office)
    sold(office)
    order_id = ordered(office)
    for content, name, why in ((b"", "a.pdf", "it is empty"), (PDF + bytes(office.settings.attachment_mb << 20), "a.pdf", "20 are taken"),
                               (PDF, "a\n.pdf", "not printable"), (PDF, "..", "its name ends with nothing")):
        with pytest.raises(Refusal, match=why):
            act(office, lambda desk, content=content, name=name: attachment.attach(desk, "product_order", order_id, name, content))      # type: ignore[misc]
    with pytest.raises(Refusal, match="files are attached to one of"):
        act(office, lambda desk: attachment.attach(desk, "user", "U1", "a.pdf", PDF))
    made = act(office, lambda desk: attachment.attach(desk, "customer", owner, "a.pdf", PDF))
    other = person(office, "other", "customer", customers=("C0",))
    with pytest.raises(Refusal, match="there is no attachment"):
        act(office, lambda desk: attachment.read(desk, made.id), other)
    with office.reading() as desk:
        assert desk.session.query(Attachment).count() == 1


# ---- configuration data

def item_at_work(office: Office, values: dict[str, Any], offering: str = "line-a", owner: str = "") -> str:
    """An item in progress with a service, that wants these network values."""
    rate = 0 if offering.startswith("home") else 100_000_000
    order_id = ordered(office, line(offering, rate).model_copy(update={"wanted": line(offering, rate).wanted.model_copy(update=values)}), started=True)
    item = act(office, lambda desk: desk.find(ProductOrder, order_id).items[0].id)
    served(office, item, bound=False, offering=offering)
    return item


def rendered(office: Office, item: str, **values: Any) -> Configuration:
    return act(office, lambda desk: configuration.render(desk, item, values))


@pytest.mark.parametrize("value", ["ge-0/0/1\nshutdown", "ge-0/0/1; reboot", "{{ 7*7 }}", "a\r", "x\u2028y", "`id`", "$(id)", "a'b", " a", "x" * 200, "接口"])
def test_no_value_breaks_out_of_its_line(value: str) -> None:
    for values in ({"port": value}, {"prefixes": ["203.0.113.0/29", value]}, {value: "x"}):
        with pytest.raises(Refusal, match="can't be put into configuration data|no name of a value"):
            configuration.checked_values(values)


@given(st.text(max_size=40))
def test_a_value_that_is_taken_is_one_line_of_plain_marks(text: str) -> None:
    try:
        found = configuration.checked_values({"port": text})["port"]
    except Refusal:
        return
    assert found == text and (not text or (text.isascii() and text.isprintable() and not set(text) & set("{}%#;|&$`'\"<>\\()")))


def test_a_template_that_misses_a_value_is_refused(office: Office) -> None:
    customer(office)
    sold(office)
    item = item_at_work(office, {"vlan": 301})
    with pytest.raises(Refusal, match="'port' is undefined"):
        rendered(office, item)
    for values in ({"port": "p\nshutdown"}, {"up_kbps": "1\nno shutdown"}):
        with pytest.raises(Refusal, match="can't be put into configuration data"):
            rendered(office, item, **values)


def test_what_is_taken_already_is_a_conflict_until_it_is_reverted(office: Office) -> None:
    customer(office)
    sold(office)
    signer = person(office, "signer", "manager")
    one, two = item_at_work(office, {"vlan": 301, "prefixes": ("203.0.113.0/29",)}), item_at_work(office, {"vlan": 301, "prefixes": ("203.0.113.4/30",)})
    first = rendered(office, one, port="ge-0/0/1")
    assert first.conflicts == [] and rendered(office, two, port="ge-0/0/1").conflicts == []        # nobody has it yet
    act(office, lambda desk: configuration.sign(desk, first.id), signer)
    second = rendered(office, two, port="ge-0/0/1")
    assert second.version == 2 and len(second.conflicts) == 2 and "VLAN 301 on port ge-0/0/1" in second.conflicts[0]
    assert "203.0.113.4/30 overlaps 203.0.113.0/29" in second.conflicts[1]
    with pytest.raises(Refusal, match="VLAN 301 on port"):
        act(office, lambda desk: configuration.sign(desk, second.id), signer)
    assert rendered(office, two, port="ge-0/0/2", prefixes=[]).conflicts == []
    act(office, lambda desk: configuration.revert(desk, first.id, "cancelled"))
    third = rendered(office, two, port="ge-0/0/1")
    assert third.conflicts == []
    act(office, lambda desk: configuration.sign(desk, third.id), signer)
    assert act(office, lambda desk: configuration.apply(desk, third.id)).state == "applied"


def test_a_prefix_that_is_bound_elsewhere_is_a_conflict(office: Office) -> None:
    customer(office)
    sold(office)
    item = item_at_work(office, {"vlan": 301, "prefixes": ("203.0.113.0/29",)})
    other = served(office, state="active", bound=False)
    act(office, lambda desk: binding.bind(desk, other, prefix="203.0.113.6/32"))
    assert "bound to service" in rendered(office, item, port="p1").conflicts[0]
    with office.reading() as desk:
        assert desk.session.query(Binding).count() == 1


def test_broadband_has_its_own_template_and_deletion_the_inverse(office: Office) -> None:
    customer(office, class_="home")
    sold(office)
    item = item_at_work(office, {"vlan": 41, "inner_vlan": 7, "user": "u1@isp"}, "home-100")
    made = rendered(office, item, onu="0/1/1:3")
    assert "service-port vlan 41 inner 7" in made.text and "traffic-profile down 100000 up 20000" in made.text and "pppoe user u1@isp" in made.text
    assert "no service-port vlan 41 inner 7" in made.inverse and "disable" in made.inverse
    assert [text for text in (made.text + made.inverse).splitlines() if "  " in text.strip()] == []
