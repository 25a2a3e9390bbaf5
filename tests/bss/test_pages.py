"""Pages: words in both languages, every page answered, figures as people read them, forms of other sites refused."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bss import pages
from bss.language import LANGUAGES, catalogue
from bss.office import Office
from bss.pages.login import _inside
from bss.people import user
from bss.people.scope import SYSTEM
from tests.bss.belongings import fill
from tests.bss.conftest import site

ROOT = Path(pages.__file__).parent


def test_both_languages_say_the_same_things() -> None:
    en, zh = (catalogue(language) for language in LANGUAGES)
    names = {key for key in en if not key.startswith("state.")}
    assert names == {key for key in zh if not key.startswith("state.")} and {key for key in en if key.startswith("state.")} <= zh.keys()
    assert {key: sorted(re.findall(r"{(\w+)}", en[key])) for key in names} == {key: sorted(re.findall(r"{(\w+)}", zh[key])) for key in names}


def test_every_word_that_a_page_says_is_there() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.py"), *(ROOT / "html").glob("*.j2"))]
    said = {key for text in texts for key in re.findall(r"""(?:\bt|say)\(['"]([a-z_]+\.[a-z_]+)['"]""", text)}
    assert said and said - catalogue("en").keys() == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_who_comes_in_sees_every_page(office: Office, lang: str) -> None:
    ids = fill(office, "贵阳", "Own")
    office.act(SYSTEM, lambda desk: user.make(desk, "boss", "Boss", "a long password", ["manager", "auditor"]))
    app = site(office)
    with TestClient(app, headers={"accept": "text/html"}) as client:
        assert "wrong" in client.post("/login", data={"login": "boss", "password": "a wrong password"}).text
        assert client.post("/login", data={"login": "boss", "password": "a long password"}).url.path == "/"
        lists = {"customers": "customer", "orders": "product_order", "services": "service", "resources": "resource"}
        single = [f"/{name}/{ids[kind]}" for name, kind in lists.items()]
        single += ["/bills", "/bills/runs", "/bills/payments", "/bills/accounts", "/bills/ageing", "/bills/dunning", f"/bills/one/{ids['bill']}",
                   f"/bills/runs/{ids['bill_run']}", f"/bills/accounts/{ids['billing_account']}"]
        for path in ("/", "/catalogue", "/audit?whole=true", "/search?q=Own", *(f"/{name}" for name in lists), *single):
            page = client.get(path, params={"lang": lang} if "?" not in path else None)
            assert page.status_code == 200 and f'lang="{"zh-CN" if lang == "zh" else "en"}"' in page.text, path
            assert "default-src 'none'" in page.headers["content-security-policy"] and "script" not in page.text, path
        assert "13800138000" not in client.get(f"/customers/{ids['customer']}").text
        mark = re.search(r'name="csrf" value="([^"]+)"', client.get("/").text)
        assert mark is not None
        assert client.post(f"/customers/{ids['customer']}/unmask", data={"reason": "T-1"}).status_code == 403
        assert "13800138000" in client.post(f"/customers/{ids['customer']}/unmask", data={"reason": "T-1", "csrf": mark[1]}).text
        refused = client.post(f"/orders/{ids['product_order']}/move", data={"to": "completed", "csrf": mark[1]})
        assert refused.status_code in (400, 409, 422) and '<p class="error">' in refused.text
        client.post(f"/customers/{ids['customer']}/interaction", data={"channel": "phone", "subject": "asked for a date", "csrf": mark[1]})
        assert client.post("/logout", data={"csrf": mark[1]}).url.path == "/login" and client.get("/orders").url.path == "/login"


@pytest.mark.parametrize(("asked", "where"), [("/orders", "/orders"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/"),
                                               ("", "/")])
def test_a_log_in_leads_to_pages_of_ours_alone(asked: str, where: str) -> None:
    assert _inside(asked) == where
