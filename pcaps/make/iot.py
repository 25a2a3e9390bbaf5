"""Machines: Modbus, CoAP, OPC UA, IEC 60870-5-104, BACnet."""

from __future__ import annotations

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, address


@capture("modbus", "pypi:pymodbus", "Modbus/TCP: registers and coils read and written, and an exception for a register that isn't there")
def modbus(net: Network) -> None:
    """A controller."""
    net.start("server", net.call("iot.modbus_server", [SERVER]), tcp=502)
    net.capture()
    net.python("client", "iot.modbus_client", SERVER)


def modbus_server(host: str) -> None:
    """Twenty holding registers."""
    from pymodbus.server import StartTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    StartTcpServer(SimDevice(1, simdata=[SimData(0, values=[17] * 20, datatype=DataType.REGISTERS)]), address=(host, 502))


def modbus_client(server: str) -> None:
    """Read, write, read again, and ask for too much."""
    from pymodbus.client import ModbusTcpClient

    client = ModbusTcpClient(server, port=502)
    client.connect()
    client.read_holding_registers(0, count=10, device_id=1)
    client.write_register(3, 42, device_id=1)
    client.write_registers(4, [1, 2, 3], device_id=1)
    client.read_input_registers(0, count=4, device_id=1)
    client.read_coils(0, count=8, device_id=1)
    client.read_holding_registers(500, count=4, device_id=1)
    client.close()


@capture("coap", "pypi:aiocoap", "CoAP over UDP: GET, PUT, a block-wise GET of 3 kB, 4.04, and an observation with two notifications")
def coap(net: Network) -> None:
    """A thermometer."""
    net.start("server", net.call("iot.coap_server", [SERVER]), udp=5683)
    net.capture()
    net.python("client", "iot.coap_client", SERVER)


def coap_server(host: str) -> None:
    """Resources: heat (changes every half second), book (long), note (can be put)."""
    import asyncio

    import aiocoap
    from aiocoap import resource

    class Heat(resource.ObservableResource):
        heat = 20

        async def render_get(self, request):  # type: ignore[no-untyped-def]
            return aiocoap.Message(payload=b"%d" % self.heat)

    class Text(resource.Resource):
        def __init__(self, text: bytes) -> None:
            super().__init__()
            self.text = text

        async def render_get(self, request):  # type: ignore[no-untyped-def]
            return aiocoap.Message(payload=self.text)

        async def render_put(self, request):  # type: ignore[no-untyped-def]
            self.text = request.payload
            return aiocoap.Message(code=aiocoap.CHANGED)

    async def serve() -> None:
        site, heat = resource.Site(), Heat()
        site.add_resource(["heat"], heat)
        site.add_resource(["book"], Text(b"A line of words. " * 180))
        site.add_resource(["note"], Text(b"nothing yet"))
        await aiocoap.Context.create_server_context(site, bind=(host, 5683))
        while True:
            await asyncio.sleep(0.5)
            heat.heat += 1
            heat.updated_state()

    asyncio.run(serve())


def coap_client(server: str) -> None:
    """Ask for each resource."""
    import asyncio

    from aiocoap import GET, PUT, Context, Message

    async def ask() -> None:
        context = await Context.create_client_context()
        for code, path, payload in ((GET, "heat", b""), (PUT, "note", b"water the plants"), (GET, "book", b""), (GET, "nothing", b"")):
            await asyncio.wait_for(context.request(Message(code=code, uri=f"coap://{server}/{path}", payload=payload)).response, 10)
        request = context.request(Message(code=GET, uri=f"coap://{server}/heat", observe=0))
        await request.response
        seen = 0
        async for _ in request.observation:
            seen += 1
            if seen == 2:
                break
        request.observation.cancel()
        await asyncio.sleep(0.3)
        await context.shutdown()

    asyncio.run(ask())


@capture("opcua", "pypi:asyncua", "OPC UA binary over TCP: hello, secure channel without security, session, browse, read, write")
def opcua(net: Network) -> None:
    """A machine's variables."""
    net.start("server", net.call("iot.opcua_server", [SERVER]), tcp=4840)
    net.capture()
    net.python("client", "iot.opcua_client", SERVER)


def opcua_server(host: str) -> None:
    """One object with one variable."""
    import asyncio

    from asyncua import Server

    async def serve() -> None:
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://{host}:4840/office")
        space = await server.register_namespace("http://example.com/office")
        thing = await server.nodes.objects.add_object(space, "heater")
        await (await thing.add_variable(space, "heat", 21.5)).set_writable()
        async with server:
            await asyncio.sleep(60)

    asyncio.run(serve())


def opcua_client(server: str) -> None:
    """Browse, read and write."""
    import asyncio

    from asyncua import Client

    async def ask() -> None:
        async with Client(f"opc.tcp://{server}:4840/office") as client:
            space = await client.get_namespace_index("http://example.com/office")
            await client.nodes.objects.get_children()
            heat = await client.nodes.objects.get_child([f"{space}:heater", f"{space}:heat"])
            await heat.read_value()
            await heat.write_value(22.5)

    asyncio.run(ask())


@capture("iec104", "pypi:c104", "IEC 60870-5-104: STARTDT, a general interrogation, clock synchronisation, measured values, a single command")
def iec104(net: Network) -> None:
    """A substation."""
    net.start("server", net.call("iot.iec104_server", [SERVER]), tcp=2404)
    net.capture()
    net.python("client", "iot.iec104_client", SERVER)


def iec104_server(host: str) -> None:
    """One station with a measured value reported every second and a switch."""
    import time

    import c104

    server = c104.Server(ip=host, port=2404)
    station = server.add_station(common_address=47)
    heat = station.add_point(io_address=11, type=c104.Type.M_ME_NC_1, report_ms=1000)
    heat.value = 21.5
    station.add_point(io_address=12, type=c104.Type.C_SC_NA_1)
    server.start()
    time.sleep(60)


def iec104_client(server: str) -> None:
    """Connect, interrogate, listen, switch."""
    import time

    import c104

    client = c104.Client()
    connection = client.add_connection(ip=server, port=2404, init=c104.Init.ALL)
    station = connection.add_station(common_address=47)
    station.add_point(io_address=11, type=c104.Type.M_ME_NC_1)
    switch = station.add_point(io_address=12, type=c104.Type.C_SC_NA_1)
    client.start()
    for _ in range(100):
        if connection.is_connected:
            break
        time.sleep(0.1)
    time.sleep(2.5)
    switch.value = True
    switch.transmit(cause=c104.Cot.ACTIVATION)
    time.sleep(1)
    client.stop()


@capture("bacnet", "pypi:bacpypes3", "BACnet/IP: who-is by broadcast, i-am, properties read")
def bacnet(net: Network) -> None:
    """A building's controller."""
    net.start("server", net.call("iot.bacnet_server", [SERVER]), udp=47808)
    net.capture()
    net.python("client", "iot.bacnet_client", address(0), SERVER)


def bacnet_server(host: str) -> None:
    """A device of number 5."""
    import asyncio

    from bacpypes3.app import Application
    from bacpypes3.argparse import SimpleArgumentParser

    async def serve() -> None:
        Application.from_args(SimpleArgumentParser().parse_args(["--name", "heater", "--instance", "5", "--address", f"{host}/24"]))
        await asyncio.sleep(60)

    asyncio.run(serve())


def bacnet_client(host: str, server: str) -> None:
    """Find the device and ask its name."""
    import asyncio

    from bacpypes3.app import Application
    from bacpypes3.argparse import SimpleArgumentParser

    async def ask() -> None:
        app = Application.from_args(SimpleArgumentParser().parse_args(["--name", "desk", "--instance", "6", "--address", f"{host}/24"]))
        await asyncio.wait_for(app.who_is(), 8)
        for name in ("object-name", "vendor-name"):
            await asyncio.wait_for(app.read_property(server, "device,5", name), 8)

    asyncio.run(ask())
