"""Who looks at a page, in which language; pages are rendered here. A form is taken only with the mark (CSRF) of the log-in that it was shown to."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bss.desk import Desk
from bss.language import LANGUAGES, state, words
from bss.office import Office
from bss.pages.cell import Cell, link, text
from bss.people.entry import COOKIE, CSRF, digest_of, of_request
from bss.people.permission import allowed
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.tables import Login

R = TypeVar("R")
LANG = "fullspan_lang"
OPEN = ("login", "refused")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
ROWS = 50               # of a page of a list
#: Pages of the head, and the permission that each needs.
MENU = (("customers", "customer.read"), ("orders", "order.read"), ("services", "service.read"), ("resources", "resource.read"), ("catalogue", "catalogue.read"),
        ("tickets", "ticket.read"), ("windows", "window.write"), ("work", "order.install"), ("field", "ticket.read"), ("sla", "sla.read"),
        ("credits", "sla.read"), ("usage", "usage.read"), ("recycled", "rating.write"), ("bills", "bill.read"), ("audit", "audit.read"))


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "html")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["style"] = (Path(__file__).parent / "html" / "style.css").read_text(encoding="utf-8")
    return made


def language_of(request: Request, office: Office) -> str:
    """What ?lang= says, else a cookie, else the browser, else the settings."""
    wished = request.headers.get("accept-language", "").lower()
    for asked in (request.query_params.get("lang"), request.cookies.get(LANG), "zh" if wished.startswith("zh") else "en" if wished.startswith("en") else None):
        if asked in LANGUAGES:
            return str(asked)
    return office.settings.lang


class Visitor:
    """One request of a page by somebody who is logged in. form: the fields of a form that was sent."""

    def __init__(self, request: Request, office: Office, actor: Actor | None, csrf: str, form: Mapping[str, str]) -> None:
        self.request, self.office, self._actor, self.csrf, self.form = request, office, actor, csrf, form
        self.lang = language_of(request, office)
        self.say = words(self.lang)

    @property
    def actor(self) -> Actor:
        """Who it is. Refusal `unauthorised`: nobody."""
        if self._actor is None:
            raise Refusal("unauthorised", "nobody is logged in", mend="log in")
        return self._actor

    def read(self, what: Callable[[Desk], R]) -> R:
        """Look at something."""
        with self.office.reading(self.actor) as desk:
            return what(desk)

    def act(self, what: Callable[[Desk], R]) -> R:
        """Do something, or look at what is put on record."""
        return self.office.act(self.actor, what)

    def time(self, moment: datetime | None, seconds: bool = False) -> str:
        """A time as people here read it."""
        return "" if moment is None else moment.astimezone(self.office.settings.zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")

    def way(self, permission: str, words: str, href: str) -> Cell:
        """A link, for whom what it leads to is open; else its words alone."""
        return link(words, href) if allowed(self.actor.roles, permission) else text(words)

    def heads(self, *keys: str, numbers: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Heads of a table's columns."""
        return [{"words": self.say(key), "n": key in numbers} for key in keys]

    def page(self, template: str, status: int = 200, **given: Any) -> Response:
        """A page; but for OPEN, to nobody who is not logged in."""
        if template not in OPEN:
            _ = self.actor
        roles = () if self._actor is None else self._actor.roles
        menu = [name for name, permission in MENU if allowed(roles, permission)]
        html = _environment().get_template(f"{template}.html.j2").render(
            t=self.say, lang=self.lang, state=self.state, time=self.time, me=self._actor, csrf=self.csrf, menu=menu, here=self.request.url.path, link=self.link,
            operator=self.office.settings.operator, bits=bits, octets=octets, may=lambda permission: allowed(roles, permission), **given)
        answer = HTMLResponse(html, status, {"Content-Security-Policy": f"{POLICY}; form-action 'self'; base-uri 'none'", **HEADERS})
        if self.request.query_params.get("lang") in LANGUAGES:
            answer.set_cookie(LANG, self.lang, max_age=31536000, httponly=True, samesite="lax", secure=self.request.url.scheme == "https")
        return answer

    def state(self, name: str) -> str:
        """A state as people call it."""
        return state(self.lang, name)

    def document(self, what: Callable[[Desk], str]) -> Response:
        """A document that is HTML itself; that it was looked at is put on record by `what`."""
        return HTMLResponse(self.act(what), 200, {"Content-Security-Policy": POLICY, **HEADERS})

    def link(self, **changed: Any) -> str:
        """This page with other parameters."""
        kept = {**dict(self.request.query_params), **{name: str(value) for name, value in changed.items() if value is not None}}
        for name, value in changed.items():
            if value is None:
                kept.pop(name, None)
        return self.request.url.path + ("?" + urlencode(kept) if kept else "")

    def back(self, path: str, said: str = "") -> Response:
        """Go on to another page after a form, and say what was done."""
        return RedirectResponse(path + (f"?said={quote(said)}" if said else ""), 303)


async def visitor(request: Request) -> Visitor:
    """Whoever asks; without a log-in nobody, which most pages refuse."""
    office: Office = request.app.state.office
    form: dict[str, str] = {}
    if request.method == "POST":
        form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    cookie = request.cookies.get(COOKIE)
    actor, csrf = None, ""
    if cookie:
        def known() -> tuple[Actor, str]:
            found = of_request(office, {CSRF: form.get("csrf", "")}, request.cookies, request.method)
            with office.reading() as desk:
                login = desk.session.get(Login, digest_of(cookie))
            return found, "" if login is None else login.csrf
        try:
            actor, csrf = await run_in_threadpool(known)
        except Refusal as error:
            if error.kind != "unauthorised":
                raise
    return Visitor(request, office, actor, csrf, form)


Visit = Annotated[Visitor, Depends(visitor)]


def bits(rate: float | None) -> str:
    """A rate in bit/s as people say it."""
    if rate is None:
        return "–"
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.4g} {unit}"
    return f"{rate:.0f} bit/s"


def octets(count: float | None) -> str:
    """A number of bytes as people say it."""
    if count is None:
        return "–"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
