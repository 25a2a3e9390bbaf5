"""Messages: MQTT, XMPP, IRC, NATS."""

from __future__ import annotations

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, certificate


def mosquitto(net: Network) -> None:
    """Start mosquitto in clear on 1883 and with TLS on 8883."""
    cert, key = certificate(net.folder, "broker.example.com")
    config = net.folder / "mosquitto.conf"
    config.write_text(f"user root\nallow_anonymous true\nlistener 1883 {SERVER}\nlistener 8883 {SERVER}\ncertfile {cert}\nkeyfile {key}\n")
    net.start("server", ["mosquitto", "-c", config], tcp=8883)


@capture(
    "mqtt",
    "mosquitto mosquitto-clients",
    "MQTT 3.1.1 and 5: a subscriber, publishers with QoS 0, 1 and 2; one publisher over TLS on port 8883",
    users=2,
)
def mqtt(net: Network) -> None:
    """Sensors and a listener."""
    mosquitto(net)
    net.capture()
    net.start("client", ["mosquitto_sub", "-h", SERVER, "-i", "listener", "-t", "office/#", "-C", "4"])
    net.run("client1", ["sleep", "0.5"])
    for quality, edition in (("0", "311"), ("1", "311"), ("2", "5")):
        net.run("client1", ["mosquitto_pub", "-h", SERVER, "-V", edition, "-i", f"sensor{quality}", "-t", "office/heat", "-q", quality, "-m", "21.5"])
    net.run(
        "client1",
        [
            "mosquitto_pub",
            "-h",
            SERVER,
            "-p",
            "8883",
            "--cafile",
            net.folder / "broker.example.com.pem",
            "--insecure",
            "-t",
            "office/light",
            "-m",
            "on",
        ],
    )


@capture("irc", "ngircd sic", "IRC: registration, a channel, a message", users=2)
def irc(net: Network) -> None:
    """Two people in a channel."""
    config = net.folder / "ngircd.conf"
    config.write_text(
        f"[Global]\nName = irc.example.com\nInfo = an office\nListen = {SERVER}\nPorts = 6667\nServerUID = root\nServerGID = root\n"
        f"MotdPhrase = hello\n"
        "[Options]\nIdent = no\nDNS = no\nPAM = no\n"
    )
    net.start("server", ["ngircd", "-n", "-f", config], tcp=6667)
    net.capture()
    net.start("client", ["sh", "-c", f"(sleep 0.5; echo ':j #office'; sleep 3) | sic -h {SERVER} -n alice"])
    net.run(
        "client1",
        [
            "sh",
            "-c",
            f"(sleep 0.5; echo ':j #office'; sleep 0.5; echo ':m #office good morning'; sleep 0.5; echo ':QUIT bye'; sleep 0.3) | timeout 5 "
            f"sic -h {SERVER} -n bob",
        ],
        check=False,
    )


@capture("xmpp", "prosody pypi:slixmpp", "XMPP: stream, SASL, SCRAM, roster, presence and a message to oneself, in clear")
def xmpp(net: Network) -> None:
    """A chat."""
    data = net.folder / "prosody"
    data.mkdir()
    net.run("server", ["chown", "prosody:prosody", data])
    config = net.folder / "prosody.cfg.lua"
    config.write_text(
        f'data_path = "{data}"\npidfile = "{data}/pid"\nlog = {{ warn = "*console" }}\n'
        f'modules_enabled = {{ "roster", "saslauth", "disco", "ping" }}\n'
        f'modules_disabled = {{ "s2s", "tls" }}\nc2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n'
        f'authentication = "internal_plain"\n'
        f'interfaces = {{ "{SERVER}" }}\nVirtualHost "example.com"\n'
    )
    net.run("server", ["prosodyctl", "--config", config, "register", "alice", "example.com", "secret"], user="prosody")
    net.start("server", ["prosody", "--config", config, "-F"], tcp=5222, user="prosody")
    net.capture()
    net.python("client", "messaging.xmpp_client", SERVER)


def xmpp_client(server: str) -> None:
    """Log in, send a message to oneself, wait for it, leave."""
    import asyncio

    import slixmpp

    async def talk() -> None:
        client = slixmpp.ClientXMPP("alice@example.com/desk", "secret")
        client.enable_starttls = False
        client.enable_direct_tls = False
        client.enable_plaintext = True
        client["feature_mechanisms"].unencrypted_plain = True
        client["feature_mechanisms"].unencrypted_scram = True
        came = asyncio.Event()
        client.add_event_handler("message", lambda _: came.set())

        async def begin(_: object) -> None:
            client.send_presence()
            await client.get_roster()
            client.send_message(mto="alice@example.com/desk", mbody="good morning", mtype="chat")

        client.add_event_handler("session_start", begin)
        client.connect(server, 5222)
        await asyncio.wait_for(came.wait(), 10)
        client.disconnect(wait=1.0)
        await asyncio.sleep(0.5)

    asyncio.run(talk())


@capture("nats", "nats-server pypi:nats-py", "NATS: connect, subscribe, publish, ping")
def nats(net: Network) -> None:
    """A broker of services."""
    net.start("server", ["nats-server", "-a", SERVER, "-p", "4222"], tcp=4222)
    net.capture()
    net.python("client", "messaging.nats_client", f"nats://{SERVER}:4222")


def nats_client(server: str) -> None:
    """Subscribe, publish and wait for what was published."""
    import asyncio

    import nats as library

    async def talk() -> None:
        client = await library.connect(server, name="office")
        inbox = await client.subscribe("office.heat")
        for one in range(3):
            await client.publish("office.heat", b"21.%d" % one)
        for _ in range(3):
            await inbox.next_msg(timeout=5)
        await client.drain()

    asyncio.run(talk())
