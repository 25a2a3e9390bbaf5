"""Small servers, run in a namespace as `python -m benchmarks.attacks.responders FUNCTION WORDS...`, for what has no small real one."""
from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time

REFLECTED = {"ntp": (123, 468, 8), "ssdp": (1900, 320, 8), "cldap": (389, 2900, 1), "chargen": (19, 1020, 1), "snmp": (161, 1400, 2)}
"""Port, bytes and datagrams of an answer: monlist's items, one answer a service, a rootDSE, a line of text, a getbulk."""


def smtp(port: str, user: str, password: str) -> None:
    """A mail server that takes every letter and one password."""
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

    def known(server: object, session: object, envelope: object, mechanism: str, given: object) -> AuthResult:
        return AuthResult(success=isinstance(given, LoginPassword) and (given.login, given.password) == (user.encode(), password.encode()), handled=False)

    async def serve() -> None:
        made = lambda: SMTP(Sink(), auth_require_tls=False, authenticator=known, hostname="mail.example.com")  # noqa: E731
        await (await asyncio.get_running_loop().create_server(made, "0.0.0.0", int(port))).serve_forever()

    asyncio.run(serve())


def answer_of(name: str, asked: bytes) -> bytes:
    """What a reflector of this kind would send; only its head is as the protocol says."""
    size = REFLECTED[name][1]
    heads = {
        "ntp": b"\xd7\x00\x03\x2a\x00\x06\x00\x48", "chargen": bytes(32 + k % 95 for k in range(size)),
        "ssdp": b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://192.168.0.1:1900/rootDesc.xml\r\nSERVER: Linux UPnP/1.0\r\n"
                b"ST: upnp:rootdevice\r\nUSN: uuid:1234::upnp:rootdevice\r\n\r\n",
        "cldap": b"\x30\x84\x00\x00\x0b\x4e\x02\x01\x07\x64\x84\x00\x00\x0b\x45\x04\x00",
        "snmp": b"\x30\x82\x05\x74\x02\x01\x01\x04\x06public\xa2\x82\x05\x65\x02\x04" + asked[-4:] + b"\x02\x01\x00\x02\x01\x00\x30\x82\x05\x57",
    }
    return heads[name].ljust(size, b"\x00")


def reflector(name: str, *addresses: str) -> None:
    """Answer every datagram to the port of `name` on these addresses with many times as much."""
    port, _, times = REFLECTED[name]

    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.out = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for _ in range(times):
                self.out.sendto(answer_of(name, data), addr)        # type: ignore[attr-defined]

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for one in addresses:
            await loop.create_datagram_endpoint(Answer, local_addr=(one, port))
        await asyncio.Event().wait()

    asyncio.run(serve())


def listener(address: str, port: str, answer: str = "64") -> None:
    """Take connections; answer what each says with so many bytes."""
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(os.urandom(int(answer)))
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(take, address, int(port))).serve_forever()

    asyncio.run(serve())


def pool(address: str, port: str) -> None:
    """A mining pool: Stratum, a job every five seconds."""
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def jobs() -> None:
            while True:
                job = [f"{int(time.time()):x}", os.urandom(32).hex(), os.urandom(60).hex(), os.urandom(60).hex(), [os.urandom(32).hex()],
                       "20000000", "1d00ffff", f"{int(time.time()):08x}", True]
                writer.write(json.dumps({"id": None, "method": "mining.notify", "params": job}).encode() + b"\n")
                await asyncio.sleep(5)
        going = asyncio.ensure_future(jobs())
        while line := await reader.readline():
            asked = json.loads(line)
            result: object = [[["mining.notify", "ae68"]], "08000002", 4] if asked["method"] == "mining.subscribe" else True
            writer.write(json.dumps({"id": asked["id"], "result": result, "error": None}).encode() + b"\n")
        going.cancel()
        writer.close()

    async def serve() -> None:
        await (await asyncio.start_server(take, address, int(port))).serve_forever()

    asyncio.run(serve())


def sink(address: str, port: str) -> None:
    """Take datagrams and say nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((address, int(port)))
        while True:
            taken.recv(65536)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
