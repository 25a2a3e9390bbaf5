"""Web servers and clients: caddy, nginx, curl, aioquic."""

from __future__ import annotations

from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, address, address6, certificate

PAGE = "<!doctype html><title>A page</title>" + "<p>Some words that make up a page of middling length.</p>\n" * 60


def site(net: Network) -> Path:
    """A folder with a few files to serve."""
    folder = net.folder / "site"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "small.json").write_text('{"answer": 42}\n')
    (folder / "picture.bin").write_bytes(bytes(range(256)) * 40)
    return folder


def caddy(net: Network, *names: str, protocols: str = "h1 h2 h3", at: tuple[str, ...] = ()) -> None:
    """Start caddy with a self-signed certificate for `names`, on every address of the server.

    With several addresses and HTTP/3 they must be named in `at`: answers over UDP come from the right one only then.
    """
    cert, key = certificate(net.folder, *names)
    config = net.folder / "Caddyfile"
    config.write_text(
        "{\n admin off\n auto_https off\n servers {\n  protocols " + protocols + "\n }\n}\n"
        ":443 {\n" + (f" bind {' '.join(at)}\n" if at else "") + f" tls {cert} {key}\n root * {site(net)}\n file_server\n}}\n"
    )
    home = net.folder / "caddy"
    home.mkdir()
    net.start("server", ["env", f"HOME={home}", f"XDG_DATA_HOME={home}", "caddy", "run", "--config", config, "--adapter", "caddyfile"], tcp=443)


def nginx(net: Network, server: str) -> None:
    """Start nginx with the `server { }` block given."""
    config = net.folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {net.folder}/nginx.pid; error_log {net.folder}/nginx.err;\nevents {{}}\n"
        f"http {{ access_log off; keepalive_timeout 20; types {{ text/html html; application/json json; }}\n root {site(net)};\n {server}\n}}\n"
    )
    net.start("server", ["nginx", "-c", config], tcp=443 if "ssl" in server else 80)


@capture("tls13-h2", "caddy curl", "TLS 1.3 with ALPN h2, IPv4 and IPv6: two requests on one connection, one on another")
def tls13(net: Network) -> None:
    """HTTP/2 over TLS 1.3."""
    caddy(net, "www.example.com", protocols="h1 h2")
    net.capture()
    for where, pages in ((SERVER, ("", "picture.bin")), ("[2001:db8::1]", ("small.json",))):
        urls = [f"https://www.example.com/{page}" for page in pages]
        net.run("client", ["curl", "-sk", "--http2", "--resolve", f"www.example.com:443:{where}", *urls])


@capture("http3", "caddy pypi:aioquic", "HTTP/3 over QUIC version 1: one connection, three requests")
def http3(net: Network) -> None:
    """HTTP/3 with aioquic's client."""
    caddy(net, "www.example.com")
    net.capture()
    net.python("client", "web.quic_get", SERVER, "www.example.com", "/", "/small.json", "/picture.bin")


def quic_get(server: str, name: str, *paths: str) -> None:
    """Fetch `paths` from `server` over HTTP/3, saying `name` as SNI and authority."""
    import asyncio
    import ssl

    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration

    class Client(QuicConnectionProtocol):
        http: H3Connection | None = None
        done: asyncio.Event

        def quic_event_received(self, event) -> None:  # type: ignore[no-untyped-def]
            if self.http is not None:
                for one in self.http.handle_event(event):
                    if isinstance(one, (DataReceived, HeadersReceived)) and one.stream_ended:
                        self.done.set()

    async def fetch() -> None:
        settings = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, server_name=name)
        async with connect(server, 443, configuration=settings, create_protocol=Client) as client:
            assert isinstance(client, Client)
            client.http = H3Connection(client._quic)
            for path in paths:
                client.done = asyncio.Event()
                stream = client._quic.get_next_available_stream_id()
                client.http.send_headers(
                    stream,
                    [
                        (b":method", b"GET"),
                        (b":scheme", b"https"),
                        (b":authority", name.encode()),
                        (b":path", path.encode()),
                        (b"user-agent", b"aioquic"),
                    ],
                    end_stream=True,
                )
                client.transmit()
                await asyncio.wait_for(client.done.wait(), 10)

    asyncio.run(fetch())


@capture("http1-keepalive", "nginx-light curl", "HTTP/1.1: four requests on one connection (200, 404, range, HEAD), a POST on another, HTTP/1.0")
def keepalive(net: Network) -> None:
    """Cleartext HTTP."""
    nginx(net, "server { listen 80; server_name www.example.com; location /form { return 204; } }")
    net.capture()
    to = ["--resolve", f"www.example.com:80:{SERVER}"]
    url = "http://www.example.com"
    net.run(
        "client",
        [
            "curl",
            "-s",
            *to,
            "-o",
            "/dev/null",
            url + "/",
            "--next",
            "-s",
            *to,
            "-o",
            "/dev/null",
            url + "/nothing",
            "--next",
            "-s",
            *to,
            "-r",
            "0-99",
            "-o",
            "/dev/null",
            url + "/picture.bin",
            "--next",
            "-s",
            *to,
            "-I",
            url + "/small.json",
        ],
    )
    net.run("client", ["curl", "-s", *to, "-d", "name=value&other=1", url + "/form"])
    net.run("client", ["curl", "-s", "-0", *to, url + "/small.json"])


@capture("tls12", "nginx-light curl openssl", "TLS 1.2: the certificate is in clear; http/1.1; a second connection that resumes the first")
def tls12(net: Network) -> None:
    """An older TLS, where certificates can be seen."""
    cert, key = certificate(net.folder, "old.example.com")
    nginx(net, f"server {{ listen 443 ssl; server_name old.example.com; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2; }}")
    net.capture()
    net.run("client", ["curl", "-sk", "--tls-max", "1.2", "--http1.1", "--resolve", f"old.example.com:443:{SERVER}", "https://old.example.com/"])
    session = net.folder / "session"
    line = ["openssl", "s_client", "-connect", f"{SERVER}:443", "-servername", "old.example.com", "-tls1_2", "-ign_eof"]
    request = "GET /small.json HTTP/1.1\r\nHost: old.example.com\r\nConnection: close\r\n\r\n"
    net.run("client", [*line, "-sess_out", session], stdin=request)
    net.run("client", [*line, "-sess_in", session], stdin=request)


@capture("h2c", "caddy curl", "cleartext HTTP/2 with prior knowledge")
def h2c(net: Network) -> None:
    """HTTP/2 without TLS."""
    config = net.folder / "Caddyfile"
    config.write_text(f"{{\n admin off\n auto_https off\n servers {{\n  protocols h1 h2c\n }}\n}}\n:8080 {{\n root * {site(net)}\n file_server\n}}\n")
    net.start("server", ["env", f"HOME={net.folder}", "caddy", "run", "--config", config, "--adapter", "caddyfile"], tcp=8080)
    net.capture()
    net.run("client", ["curl", "-s", "--http2-prior-knowledge", "-A", "Fetcher/1.0", f"http://{SERVER}:8080/"])


@capture("web-users", "caddy curl", "three users with an address of their own each, over IPv4 and IPv6, at one server", users=3)
def users(net: Network) -> None:
    """Several clients at once, for reports per subscriber."""
    caddy(net, "intranet.example.com", protocols="h1 h2")
    net.capture()
    for user, host in enumerate(net.hosts()[1:]):
        for _ in range(user + 1):
            net.run(
                host,
                [
                    "curl",
                    "-sk",
                    "--interface",
                    address(user),
                    "--resolve",
                    f"intranet.example.com:443:{SERVER}",
                    "https://intranet.example.com/small.json",
                ],
            )
        net.run(
            host,
            [
                "curl",
                "-sk",
                "--interface",
                address6(user),
                "--resolve",
                "intranet.example.com:443:[2001:db8::1]",
                "https://intranet.example.com/small.json",
            ],
        )
