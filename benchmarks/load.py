"""Requests at a steady rate over some connections, each timed from when it was due: a server that falls behind is not spared the wait it causes."""
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import NamedTuple

READ = 1 << 16


class Request(NamedTuple):
    """kind: what it is counted as; body: '' none. One with a body is sent with an Idempotency-Key of its own."""
    kind: str
    method: str
    path: str
    body: str = ""


class Answer(NamedTuple):
    """due: s since the beginning; took: s from when it was due to its last byte; status: 0 where the connection broke."""
    kind: str
    due: float
    took: float
    status: int


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, head: str) -> int:
    body = request.body.encode()
    lines = f"{request.method} {request.path} HTTP/1.1\r\n{head}"
    if body:
        lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {os.urandom(12).hex()}\r\n"
    writer.write(lines.encode() + b"\r\n" + body)
    status_line = await reader.readline()
    length = 0
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if length:
        await reader.readexactly(length)
    return int(status_line.split()[1]) if status_line else 0


async def _run(port: int, rate: float, seconds: float, connections: int, token: str, make: Callable[[int], Request]) -> list[Answer]:
    total, answers = int(rate * seconds), []
    taken = iter(range(total))
    began = time.perf_counter() + 0.2
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n"

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in taken:
            due = number / rate
            wait = began + due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            request = make(number)
            try:
                status = await _one(reader, writer, request, head)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                status = 0
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answers.append(Answer(request.kind, due, time.perf_counter() - began - due, status))
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return answers


def steady(port: int, rate: float, seconds: float, connections: int, token: str, make: Callable[[int], Request]) -> list[Answer]:
    """Send make(0), make(1), ... to 127.0.0.1:port, `rate` a second; what came of each."""
    return asyncio.run(_run(port, rate, seconds, connections, token, make))


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1)] if ordered else float("nan")
