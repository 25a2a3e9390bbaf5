"""The schema: the contract's columns in order, types that derive from kinds."""
from __future__ import annotations

import numpy as np
import pytest

from dpi.arrow import arrow_batch
from dpi.batch import Batch, Coded
from dpi.classify.inspection import TRANSACTION
from dpi.schema import KINDS, TABLES, TRANSACTION_TABLES
from dpi.store import tables
from dpi.store.native import block, columns_of, varint
from tests.oracle import columns as twin
from tests.rows import batch

FLOWS = """
flow_id community_id probe interface source capture_id first_packet interval interval_start interval_end flow_start_time final end_reason
midstream sampling_rate vlan inner_vlan tunnel tunnel_id outer_client_ip outer_server_ip client_mac server_mac client_ip server_ip
client_port server_port ip_protocol icmp_type icmp_code client_ttl server_ttl client_dscp server_dscp client_packets server_packets
client_bytes server_bytes client_wire_bytes server_wire_bytes client_payload_bytes server_payload_bytes client_tcp_flags server_tcp_flags
client_mss client_rtt_us server_rtt_us server_response_us client_retransmissions server_retransmissions client_out_of_order
server_out_of_order client_zero_windows server_zero_windows protocol application category confidence evidence server_name alpn ja3 ja3s ja4
ja4_all user_agent risks tags folded client_asn server_asn client_country server_country client_local server_local client_service_id
client_customer_id server_service_id server_customer_id client_duplicate server_duplicate rules_version stored_time
""".split()    # noqa: SIM905  as the house plan writes it


def test_flows_has_the_contracts_columns_in_order() -> None:
    assert list(TABLES["flows"].names) == FLOWS


def test_every_column_says_what_it_is() -> None:
    for table in TABLES.values():
        assert table.words and len(set(table.names)) == len(table.names)
        assert set(table.order) <= set(table.names) and (table.order or table.column(table.span).kind == "time")
        for column in table.columns:
            assert column.kind in KINDS and len(column.words) > 5, (table.name, column)
            assert column.name == column.name.lower()


def test_transaction_slots_fit_the_record_and_are_used_once() -> None:
    numbers, texts = (TRANSACTION.fields[name][0].shape[0] for name in ("numbers", "ends"))
    for name in TRANSACTION_TABLES[1:]:
        slots = [column.slot for column in TABLES[name].columns if column.slot]
        assert slots and len(set(slots)) == len(slots)
        for slot in slots:
            kind, place = slot.split()
            assert int(place) < (numbers if kind == "number" else texts)


def test_ddl_partitions_by_the_time_of_writing() -> None:
    for table in TABLES.values():
        ddl = tables.create(table)
        assert "PARTITION BY toDate(stored_time)" in ddl or "PARTITION BY stored_day" in ddl
        assert " TTL " not in ddl.rpartition("ENGINE")[2]
        for column in table.columns:
            assert f"`{column.name}` {column.type()}" in ddl


def test_every_rollup_column_comes_from_what_it_folds() -> None:
    """By its name, or by an expression where the rollup is of rows; sort keys tell every row apart, and the name that is bounded is a key."""
    folding = [table for table in TABLES.values() if table.folds]
    assert len(folding) >= 9
    for table in folding:
        held = set(TABLES[table.folds].names)
        keys = {column.name for column in table.columns if column.kind != "u64"}
        assert set(table.order) == keys and table.step % (TABLES[table.folds].step or 1) == 0
        assert bool(table.most) == bool(table.named) and (not table.most or "name" in keys and table.named in held)
        for column in table.columns:
            if TABLES[table.folds].folds or not column.fold:
                assert column.name in held | {"time", "stored_day"}, (table.name, column.name)


def test_a_column_the_table_has_not_is_refused() -> None:
    wrong = Batch("dns", 1, {"nonsense": np.zeros(1)})
    for use in (columns_of, block, arrow_batch):
        with pytest.raises(ValueError, match="nonsense"):
            use(wrong)


def test_a_batch_of_unequal_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="2 rows, 3 expected"):
        Batch("flows", 3, {"vlan": np.zeros(2, np.uint16)})


def test_varint_is_leb128() -> None:
    assert varint(0) == b"\0" and varint(127) == b"\x7f" and varint(128) == b"\x80\x01" and varint(300) == b"\xac\x02"


def test_arrow_holds_the_values() -> None:
    rows = batch("flows", 30)
    table = arrow_batch(rows)
    for want, got in zip(twin.rows(rows), table.to_pylist(), strict=True):
        assert got["server_name"] == want["server_name"] and got["application"] == want["application"]
        assert twin.address(got["client_ip"]) == want["client_ip"] and got["client_rtt_us"] == want["client_rtt_us"]
        assert got["risks"] == want["risks"] and str(got["flow_id"]) == want["flow_id"]


def test_coded_of_nothing_has_a_word() -> None:
    assert Coded.of([]).words == [""]
