"""The API as a real server has it: a key that is sent twice at once acts once, and whatever is sent is answered as the OpenAPI document says."""
from __future__ import annotations

import random
import threading
from collections import Counter

import anyio
import anyio.to_thread
import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import content_type_conformance, response_schema_conformance

from bss.cli.serve import _lent
from bss.office import Office
from bss.tables import AuditRow, Customer, Idempotency, Outbox
from tests.bss.belongings import fill, kind_of, token
from tests.bss.serving import serving
from tests.bss.test_belonging import HERE, filled

CUSTOMERS = "/tmf-api/customerManagement/v4/customer"

SENT = {"name": "王小明", "engagedParty": {"@referredType": "Individual"}, "characteristic": [{"name": "class", "value": "home"},
                                                                                       {"name": "region", "value": "贵阳"}]}


def test_a_key_sent_twice_at_once_acts_once(office: Office) -> None:
    secret = token(office, "manager", [])
    rounds, threads = 8, 2
    answers: dict[int, list[httpx.Response]] = {n: [] for n in range(rounds)}
    with serving(office) as url:
        for n in range(rounds):
            gate = threading.Barrier(threads)

            def send(n: int = n, gate: threading.Barrier = gate) -> None:
                with httpx.Client(base_url=url, headers={"authorization": f"Bearer {secret}", "idempotency-key": f"key {n}"}, timeout=30) as client:
                    client.get("/fullspan/v1/me")           # it is connected
                    gate.wait()
                    answers[n].append(client.post(CUSTOMERS, json=SENT))

            both = [threading.Thread(target=send) for _ in range(threads)]
            for one in both:
                one.start()
            for one in both:
                one.join()
    for n, got in answers.items():
        assert [one.status_code for one in got] == [201] * threads, (n, [one.text for one in got])
        assert len({one.text for one in got}) == 1 and len({one.headers["etag"] for one in got}) == 1
    with office.reading() as desk:
        session = desk.session
        assert session.query(Customer).count() == session.query(Idempotency).count() == rounds
        assert Counter(action for action, in session.query(AuditRow.action))["customer.create"] == rounds
        assert session.query(Outbox).filter_by(type="fullspan.customer.create").count() == rounds


@pytest.mark.parametrize("role", ["manager", "contractor"])
def test_whatever_is_sent_is_answered_as_the_document_says(office: Office, role: str) -> None:
    """Schemathesis: requests made from the OpenAPI document, well formed and not, half of them about things that are there."""
    ids, chance, asked = fill(office, HERE, "Guiyang1Own"), random.Random(1), Counter[int]()
    headers = {"authorization": f"Bearer {token(office, role, [HERE])}"}
    with serving(office) as url, requests.Session() as session:
        schema = schemathesis.openapi.from_url(f"{url}/tmf-api/openapi.json", timeout=60)
        operations = [one.ok() for one in schema.get_all_operations()]
        # each database has one half of them with each role: together all
        part = operations[(role == "manager") == office.database.lite::2]
        assert len(part) > 50
        for operation in part:
            @settings(max_examples=2 if operation.body else 1, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                      suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy())
            def ask(case: schemathesis.Case) -> None:
                if case.path_parameters and chance.random() < 0.6:
                    case.path_parameters = {name: next(filled("{" + name + "}", ids)) if name != "id" else ids[kind_of(case.path, ids) or "customer"]
                                            for name in case.path_parameters}
                answer = case.call(headers=headers, session=session, allow_redirects=False, timeout=30)
                asked[answer.status_code] += 1
                assert answer.status_code < 500 or answer.status_code == 503, (case.as_curl_command(), answer.text)     # 503: the store is not here
                case.validate_response(answer, checks=[response_schema_conformance, content_type_conformance])
            ask()
    assert asked[200] > 2 and asked[404] and asked[400], asked



def test_who_waits_for_the_store_lends_his_thread() -> None:
    """One thread, and the first request waits (as for the probe's store) until the second one has been answered."""
    answered = threading.Event()

    async def both() -> float:
        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = 1

        def waiting() -> None:
            with _lent(limiter):
                assert answered.wait(20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, waiting)
            await anyio.sleep(0.05)
            tasks.start_soon(anyio.to_thread.run_sync, answered.set)
        return limiter.total_tokens

    assert anyio.run(both) == 1
    with _lent(anyio.CapacityLimiter(1)):       # a command has no pool: nothing is lent
        pass
