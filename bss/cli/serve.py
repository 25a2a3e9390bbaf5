"""`fullspan bss serve`: the API and the pages."""
from __future__ import annotations

import gc
import ipaddress
import json
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import click
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from bss import pages
from bss.api import application
from bss.cli.counter import office_of
from bss.database import CONNECTIONS
from bss.office import Office
from bss.refusal import Refusal
from bss.settings import PREFIX, load

#: Of a process. They share one core: at 500 requests a second of two processes, sixteen took 136 ms at the 95th percentile, and four took 16.
THREADS = 4


def site(office: Office) -> FastAPI:
    """The API, and the pages where there are any."""
    app = application(office)
    app.router.lifespan_context = _ready
    add = getattr(pages, "add_to", None)
    if add is not None:
        add(app, office)
    return app


def opened() -> FastAPI:
    """The same, of the settings that the environment names: what each of several processes serves."""
    gc.set_threshold(50_000)        # as the command does for one: an answer makes many objects, and hardly one is garbage in a ring
    return site(Office(load()))


@asynccontextmanager
async def _ready(app: FastAPI) -> AsyncIterator[None]:
    """Before the first request: what is there now stays, and is no garbage to look through; few threads, which take requests in their order; and who waits for
    one of them is asked for often, for it is he who takes the next request."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.001)
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = THREADS
    app.state.office.aside = lambda: _lent(limiter)
    yield


@contextmanager
def _lent(limiter: anyio.CapacityLimiter) -> Iterator[None]:
    """While a thread of the pool waits for the probe's store, another one takes its place, as long as there are connections."""
    lent = 0

    def lend(by: int) -> int:
        by = min(by, int(CONNECTIONS - limiter.total_tokens))
        limiter.total_tokens += by
        return by

    with suppress(RuntimeError):        # of the pool are those that a loop started
        lent = anyio.from_thread.run_sync(lend, 1)
    try:
        yield
    finally:
        if lent:
            anyio.from_thread.run_sync(lend, -lent)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8470, show_default=True, type=click.IntRange(0, 65535), help="Port to listen at.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that answer; one uses one core.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate chain (PEM), for https.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its private key (PEM).")
@click.option("--behind", metavar="ADDRESSES", help="Addresses of a proxy that does https; its X-Forwarded headers are believed.")
@click.option("--plain", is_flag=True, help="Allow http from elsewhere: passwords and personal data can be read on the way.")
@click.option("--json", "as_json", is_flag=True, help="Say in JSON where it listens.")
@click.pass_context
def command(ctx: click.Context, host: str, port: int, processes: int, certificate: Path | None, key: Path | None, behind: str | None, plain: bool,
            as_json: bool) -> None:
    """Serve the API and the pages.

    Elsewhere than on this machine it wants a certificate, or a proxy in front that has one.
    """
    if not (certificate or behind or plain or _here(host)):
        raise Refusal("invalid", "passwords would go over the network as they are", "--host",
                      "give --certificate and --key, or --behind a proxy that does https")
    if certificate:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except (ssl.SSLError, OSError) as error:
            raise Refusal("invalid", f"certificate and key can't be used: {error}", "--certificate", "name a PEM certificate and its key") from None
    office = office_of(ctx)
    bound = _bound(host, port)
    scheme = "https" if certificate else "http"
    where = f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
    click.echo(json.dumps({"url": where}) if as_json else f"{office.settings.operator}: {where} (API: {where}tmf-api/docs)")
    config = uvicorn.Config(site(office) if processes == 1 else f"{__name__}:opened", factory=processes > 1, workers=processes, ssl_certfile=certificate,
                            ssl_keyfile=key, proxy_headers=behind is not None, forwarded_allow_ips=behind, server_header=False, log_level="warning",
                            access_log=False, timeout_graceful_shutdown=10)
    if processes == 1:
        uvicorn.Server(config).run(sockets=[bound])
        return
    if ctx.obj and ctx.obj[0]:
        os.environ[f"{PREFIX}CONFIG"] = str(Path(ctx.obj[0]).resolve())      # they read the settings themselves
    office.close()
    Multiprocess(config, sockets=[bound]).run()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Refusal: it can't. Without NODELAY, which all that it accepts have of it, an answer in two parts waits 40 ms for an ACK."""
    try:
        family, _, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, socket.SOCK_STREAM, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.bind(where)
        found.listen(2048)
        found.set_inheritable(True)
    except OSError as error:
        raise Refusal("away", f"it can't listen there: {error.strerror or error}", f"{host}:{port}", "name another address or port") from None
    return found


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
