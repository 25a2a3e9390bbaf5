"""Listens for SNMP traps (UDP) and takes them as alarms, some at a time. Who does not know the community is not heard; an inform is answered once its alarm is
kept, so that who sent it sends it again where it is not."""
from __future__ import annotations

import hmac
import logging
import socket
import threading
import time
from collections.abc import Mapping

from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.tickets import ber
from bss.tickets.alarm import LOT
from bss.tickets.sweeping import intake
from bss.tickets.trap import Came, Meaning, events

LONGEST = 8192          # octets of a trap
GATHER = 0.2            # s in which traps are gathered
WAIT = 0.5              # s between two looks whether to stop
BUFFER = 4 << 20        # octets that the kernel keeps while we write
log = logging.getLogger("fullspan.bss.traps")


class Listener:
    """community: who does not send it is not heard. Counts: heard, refused, taken."""

    def __init__(self, office: Office, community: str, known: Mapping[str, Meaning], host: str = "127.0.0.1", port: int = 162, actor: Actor = SYSTEM) -> None:
        """Refusal: the address can't be listened at."""
        self._office, self._community, self._known, self._actor = office, community.encode(), known, actor
        self.heard = self.refused = self.taken = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise Refusal("away", f"{host} port {port} can't be listened at: {error.strerror}", "--port",
                          "take a port above 1023, or give the right to it") from None
        self.address: tuple[str, int] = self._socket.getsockname()[:2]

    def run(self, stop: threading.Event) -> None:
        """Until it is stopped. A database that is away is waited for: what came meanwhile is taken then, as much as there is room for."""
        waiting: list[tuple[Came, tuple[str, int]]] = []
        while not stop.is_set():
            waiting += self._gathered(LOT - len(waiting), WAIT if not waiting else GATHER)
            if waiting:
                if self._take(waiting):
                    waiting = []
                else:
                    stop.wait(WAIT)
        if waiting:
            self._take(waiting)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def _gathered(self, most: int, wait: float) -> list[tuple[Came, tuple[str, int]]]:
        found: list[tuple[Came, tuple[str, int]]] = []
        until = time.monotonic() + wait
        while len(found) < most and (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                octets, whence = self._socket.recvfrom(LONGEST)
            except TimeoutError:
                break
            except OSError as error:
                log.warning("a trap can't be received: %s", error)
                break
            self.heard += 1
            until = min(until, time.monotonic() + GATHER)
            try:
                trap = ber.read(octets)
            except ber.Malformed as error:
                self.refused += 1
                log.warning("what came from %s is no trap: %s", whence[0], error)
                continue
            if not hmac.compare_digest(trap.community, self._community):
                self.refused += 1
                log.warning("a trap from %s has another community", whence[0])
                continue
            found.append((Came(trap, str(whence[0]), self._office.clock()), whence[:2]))
        return found

    def _take(self, waiting: list[tuple[Came, tuple[str, int]]]) -> bool:
        try:
            told = self._office.act(self._actor, lambda desk: events(desk, [one for one, _ in waiting], self._known))
            intake(self._office, told, self._actor)
        except Refusal as error:
            log.warning("%d traps wait: %s", len(waiting), error)
            return len(waiting) >= LOT and error.kind != "away"
        self.taken += len(waiting)
        for one, whence in waiting:
            if one.trap.inform:
                try:
                    self._socket.sendto(ber.write(one.trap, ber.RESPONSE), whence)
                except OSError as error:
                    log.warning("%s is not answered: %s", whence[0], error)
        return True
