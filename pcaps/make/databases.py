"""Databases: PostgreSQL, MariaDB, Redis, memcached."""

from __future__ import annotations

import time
from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, certificate

QUESTIONS = (
    "CREATE TABLE person (number int, name varchar(20)); INSERT INTO person VALUES (1, 'alice'), (2, 'bob'); SELECT * FROM person WHERE number > 1;"
)


def postgres(net: Network) -> str:
    """Start PostgreSQL with a user and database called alice; give the client's connection words."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    data = net.folder / "postgres"
    data.mkdir()
    (net.folder / "password").write_text("secret")
    net.run("server", ["chown", "postgres:postgres", data])
    net.run(
        "server",
        [programs / "initdb", "-D", data, "-U", "alice", "--pwfile", net.folder / "password", "-A", "scram-sha-256"],
        user="postgres",
        seconds=60,
    )
    cert, key = certificate(net.folder, "db.example.com")
    net.run("server", ["sh", "-c", f"cp {key} {data}/key.pem && chown postgres {data}/key.pem && chmod 600 {data}/key.pem"])
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 192.0.2.0/24 scram-sha-256\n")
    net.start(
        "server",
        [
            programs / "postgres",
            "-D",
            data,
            "-h",
            SERVER,
            "-k",
            data,
            "-c",
            "ssl=on",
            "-c",
            f"ssl_cert_file={cert}",
            "-c",
            f"ssl_key_file={data}/key.pem",
            "-c",
            "fsync=off",
        ],
        tcp=5432,
        user="postgres",
    )
    return f"host={SERVER} user=alice password=secret dbname=postgres"


@capture(
    "postgresql",
    "postgresql-15 postgresql-client-15",
    "PostgreSQL: SCRAM, a table, an insert and a select in clear; a second connection that asks for TLS (SSLRequest)",
)
def postgresql(net: Network) -> None:
    """Questions to PostgreSQL."""
    words = postgres(net)
    net.capture()
    net.run("client", ["psql", words + " sslmode=disable", "-c", QUESTIONS])
    net.run("client", ["psql", words + " sslmode=require", "-c", "SELECT count(*) FROM person"])


def maria(net: Network) -> None:
    """Start MariaDB with a user alice."""
    data = net.folder / "maria"
    net.run(
        "server",
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=mysql", "--skip-test-db", "--auth-root-authentication-method=normal"],
        seconds=90,
    )
    start = net.folder / "start.sql"
    start.write_text("CREATE DATABASE office;\nCREATE USER alice@'%' IDENTIFIED BY 'secret';\nGRANT ALL ON office.* TO alice@'%';\n")
    net.start(
        "server",
        [
            "mariadbd",
            "--no-defaults",
            f"--datadir={data}",
            "--user=mysql",
            f"--bind-address={SERVER}",
            "--port=3306",
            f"--socket={data}/socket",
            f"--pid-file={data}/pid",
            f"--init-file={start}",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=16M",
        ],
        tcp=3306,
        seconds=60,
    )
    for _ in range(50):
        if b"ERROR" not in net.run(
            "server", ["mariadb", "--no-defaults", "-h", SERVER, "-u", "alice", "-psecret", "office", "-e", "SELECT 1"], check=False
        ):
            return
        time.sleep(0.2)


@capture("mysql", "mariadb-server mariadb-client", "the MySQL protocol: greeting, login, a table, an insert, a select, a mistake in the SQL")
def mysql(net: Network) -> None:
    """Questions to MariaDB."""
    maria(net)
    net.capture()
    client = ["mariadb", "--no-defaults", "-h", SERVER, "-u", "alice", "-psecret", "office"]
    net.run("client", [*client, "-e", QUESTIONS])
    net.run("client", [*client, "-e", "SELEKT 1"], check=False)


def redis_server(net: Network) -> None:
    """Start Redis without persistence."""
    net.start("server", ["redis-server", "--bind", SERVER, "--port", "6379", "--save", "", "--protected-mode", "no", "--dir", net.folder], tcp=6379)


@capture("redis", "redis-server redis-tools", "RESP 2 and 3: SET, GET, a list, a stream, INFO, a mistake, a pipeline of inline commands")
def redis(net: Network) -> None:
    """Words to Redis."""
    redis_server(net)
    net.capture()
    line = ["redis-cli", "-h", SERVER]
    for words in ("SET colour blue", "GET colour", "RPUSH list a b c", "LRANGE list 0 -1", "XADD stream * heat 21.5", "INFO server", "NOTHING"):
        net.run("client", [*line, *words.split()], check=False)
    net.run("client", [*line, "--pipe"], stdin="".join(f"SET key{one} {one * one}\r\n" for one in range(50)))
    net.run("client", [*line, "-3", "HGETALL", "person"])


@capture(
    "memcached",
    "memcached libmemcached-tools",
    "memcached: values stored and fetched in the text protocol, and stored, fetched and removed in the binary one",
)
def memcached(net: Network) -> None:
    """A cache."""
    net.start("server", ["memcached", "-u", "nobody", "-l", SERVER, "-p", "11211", "-m", "8"], tcp=11211)
    (net.folder / "colour").write_text("blue\n")
    net.capture()
    for more in ([], ["--binary"]):
        net.run("client", ["memccp", f"--servers={SERVER}", *more, "--set", net.folder / "colour"])
        net.run("client", ["memccat", f"--servers={SERVER}", *more, "colour"])
    net.run("client", ["memcrm", f"--servers={SERVER}", "--binary", "colour"])
    net.run("client", ["memcstat", f"--servers={SERVER}"])
