"""Real servers for tests, each with a directory and ports of its own on 127.0.0.1: ClickHouse, ZooKeeper, and a wire between that can be cut."""
from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from dpi.store.server import ServerStore

_ZOO = "tickTime=300\ndataDir={path}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxClientCnxns=0\n"
_CONFIG = """<yandex>
<logger><level>warning</level><log>{path}/log</log><errorlog>{path}/errors</errorlog></logger>
<listen_host>127.0.0.1</listen_host><tcp_port>{port}</tcp_port><interserver_http_port>{exchange}</interserver_http_port>
<interserver_http_host>127.0.0.1</interserver_http_host><path>{data}/</path><tmp_path>{data}/tmp/</tmp_path>
<users_config>{path}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
<mark_cache_size>5000000</mark_cache_size><timezone>Asia/Tokyo</timezone><macros><replica>{name}</replica></macros>
<merge_tree><zookeeper_session_expiration_check_period>1</zookeeper_session_expiration_check_period></merge_tree>{zookeeper}
</yandex>"""
_USERS = """<yandex><profiles><default><max_threads>2</max_threads><background_pool_size>1</background_pool_size></default></profiles>
<quotas><default></default></quotas><users>
<default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
<probe><password>se:cret</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></probe>
</users></yandex>"""
_END_OF_STREAM = 5          # the packet of one byte by which the server says that an insert is done


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether somebody answers there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class _Program(ABC):
    """A server program that is started, killed and started again."""

    def __init__(self, path: Path, port: int = 0) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.port = path, port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line."""

    def begin(self) -> None:
        """Start it and wait until it listens."""
        with (self.path / "out").open("ab") as out:
            self._process = subprocess.Popen(self.command(), stdout=out, stderr=out, cwd=self.path)
        until(lambda: listens(self.port) or self._process is None or self._process.poll() is not None)
        assert self._process.poll() is None, (self.path / "out").read_text()[-2000:]

    def send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it and wait until it has."""
        if self._process is not None and self._process.poll() is None:
            self.send(number)
            self._process.wait(20)
        self._process = None


class ZooKeeper(_Program):
    """ZooKeeper of one server."""

    def command(self) -> list[str]:
        (self.path / "zoo.cfg").write_text(_ZOO.format(path=self.path, port=self.port))
        return ["java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/*",
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zoo.cfg"]


class Server(_Program):
    """A ClickHouse server. data: where its tables are; zookeeper: a port of one."""

    def __init__(self, path: Path, zookeeper: int = 0, data: Path | None = None) -> None:
        super().__init__(path)
        self._data, self._zookeeper, self._exchange = data or path / "data", zookeeper, free_port()

    def command(self) -> list[str]:
        zookeeper = (f"<zookeeper><node><host>127.0.0.1</host><port>{self._zookeeper}</port></node><session_timeout_ms>2000</session_timeout_ms></zookeeper>"
                     if self._zookeeper else "")
        (self._data / "tmp").mkdir(parents=True, exist_ok=True)
        (self.path / "users.xml").write_text(_USERS)
        (self.path / "config.xml").write_text(_CONFIG.format(path=self.path, data=self._data, port=self.port, exchange=self._exchange, name=self.path.name,
                                                             zookeeper=zookeeper))
        return ["/usr/sbin/clickhouse-server", f"--config-file={self.path}/config.xml"]

    def url(self, database: str, options: str = "timeout=20", port: int = 0) -> str:
        return f"clickhouse://probe:se%3Acret@127.0.0.1:{port or self.port}/{database}?{options}"


class Wire:
    """A relay before a server. `cut_up` and `cut_down`: after how many further bytes to and from the server it is cut, None for never.

    `lose_end`: the next answer that says all is stored is lost, and the connection with it."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut_up: int | None = None
        self.cut_down: int | None = None
        self.stalled = self.lose_end = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to), 5)
                except OSError:
                    near.close()
                    continue
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for one, other, name in ((near, far, "cut_up"), (far, near, "cut_down")):
                    threading.Thread(target=self._carry, args=(one, other, name), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, name: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                while self.stalled:
                    time.sleep(0.01)
                if self.lose_end and name == "cut_down" and data[-1] == _END_OF_STREAM:
                    self.lose_end = False
                    self.cuts += 1
                    break
                left = getattr(self, name)
                if left is not None and left <= len(data):
                    setattr(self, name, None)
                    self.cuts += 1
                    target.sendall(data[:left])
                    break
                if left is not None:
                    setattr(self, name, left - len(data))
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        self._listener.close()


def asked(server: Server, database: str, sql: str, options: str = "timeout=20") -> list[tuple[object, ...]]:
    """Rows of a question, on a connection of its own."""
    from dpi.store import address

    url = server.url(database, options)
    with contextlib.closing(ServerStore(url, address(url), create=False)) as store:
        return store.query(sql).rows
