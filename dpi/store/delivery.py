"""Delivery: what stands between a probe and its store. Taking rows never fails and waits for no store; storing them is retried until it is done.

Rows are gathered, encoded as parcels by one thread and sent by another, strictly in their order. A parcel that can't be stored for a reason that may
pass stays, in memory and then in a spool on disk, and is sent again after a pause that grows. It may be sent twice but counts once: see
Store.insert. What is given up is counted, and the reason told: rows for which there is no room, and rows the store refuses for good.
"""
from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from dpi.batch import Batch
from dpi.errors import UserError
from dpi.health import StoreHealth
from dpi.store import Away, Store
from dpi.store.disk_spool import DiskSpool, Full, Order
from dpi.store.gathering import Gathering
from dpi.store.native import KERNELS
from dpi.store.parcel import ROWS, Packing, Parcel

MEMORY = 256 << 20      # bytes of encoded parcels
GATHERED = 4 * ROWS     # rows that may wait to be encoded
WAIT = 1.0              # s after which rows go though few have come together
PATIENCE = 20.0         # s that rows wait to be taken while others are encoded: a table of a million flows that ends is encoded in a few
PAUSES = (0.1, 30.0)    # s: the first pause after a failure, doubled each time, and the longest
CLOSING = 10.0          # s that `close` gives the store to take what is left
log = logging.getLogger("dpi.store")


class Delivery:
    """A sink. The store is opened in a thread of its own, and again until that succeeds; the spool and the store are closed with it."""

    kernels = KERNELS

    def __init__(self, open: Callable[[], Store], probe: str, spool: DiskSpool | None = None, *, ahead: bool = False, rows: int = ROWS,
                 memory: int = MEMORY, gathered: int = GATHERED, wait: float = WAIT, pauses: tuple[float, float] = PAUSES, patience: float = PATIENCE) -> None:
        """ahead: each parcel is on disk before it is sent, so that a killed process loses none that was encoded.

        Without a spool only `memory` bytes wait for a store that is away."""
        self._open_store, self._spool = open, spool
        self._ahead, self._memory, self._wait, self._pauses = ahead and spool is not None, memory, wait, pauses
        boot = time.time_ns() // 1000
        self._packing = Packing(probe, rows, max(boot, spool.last_boot + 1) if spool is not None else boot)
        self._most, self._patience = gathered, patience
        self._changed = threading.Condition()       # guards all below
        self._kept: deque[Parcel] = deque()         # in memory, in their order
        self._bytes = 0                             # of those
        self._packed = 0                            # rows being encoded
        self._tried: set[Order] = set()             # sent at least once
        self._own = self._packing.boot
        self._accepted = self._lost = self._unwanted = 0
        self._away = self._refused = ""
        self._calls: list[Callable[[], None]] = []          # see `after`
        self._due_calls: list[Callable[[], None]] = []      # of those, what waits for the rows that are being encoded
        self._flushing = self._closing = self._stopped = False
        self._store: Store | None = None
        self._threads = [threading.Thread(target=work, name=f"fullspan-{name}", daemon=True)
                         for name, work in (("packing", self._pack), ("delivery", self._send))]
        for thread in self._threads:
            thread.start()

    # ---- taking

    def write(self, batch: Batch) -> None:
        """Take rows; never raises. Waits for those before to be encoded, however the store stands; where that takes too long they are counted as lost."""
        with self._changed:
            room = self._changed.wait_for(lambda: self._closing or not self._packing.rows or self._packing.rows + batch.count <= self._most, self._patience)
            if self._closing or not room:
                self._give_up(batch.count, "rows come faster than they can be encoded" if not self._closing else "it is closed")
                return
            try:
                self._packing.add(batch)
            except Exception as error:              # a batch that is not of this schema
                self._give_up(batch.count, str(error))
            if self._packing.full or self._packing.rows >= self._most // 2:
                self._changed.notify_all()

    def pace(self, wait: float) -> None:
        """Rows go after that many seconds at the latest from now on."""
        with self._changed:
            self._wait = wait
            self._changed.notify_all()

    def room(self, bound: int) -> None:
        """The spool may hold so many bytes from now on."""
        if self._spool is not None:
            self._spool.room(bound)

    def after(self, call: Callable[[], None]) -> None:
        """Call it, in another thread, once all rows taken so far are where a killed process does not lose them: on disk, where each goes there first. That is
        done now, without waiting for more to come."""
        with self._changed:
            self._calls.append(call)
            self._flushing = True
            self._changed.notify_all()

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until no row waits: each is stored or given up. False where that took longer than `timeout` seconds."""
        until = time.monotonic() + timeout
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            while self._waiting:
                left = until - time.monotonic()
                if left <= 0 or self._stopped:
                    return False
                self._changed.wait(left)
            return True

    def close(self) -> None:
        """Give the store a moment for what is left, then keep it in the spool for the next start. Raises UserError where rows were lost by that."""
        if self._stopped:
            return
        with self._changed:
            self._closing = True
        self.flush(0.5 if self._away else CLOSING)
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(CLOSING)
        for gathering in self._packing.take(True):
            self._place(self._packing.pack(gathering))
        self._to_disk()
        self._due_calls = self._due_calls + self._calls
        self._call(not self._kept)
        with self._changed:
            left = sum(parcel.rows for parcel in self._kept)
            self._kept.clear()
            self._lost += left
        store, self._store = self._store, None
        if store is not None and not self._threads[1].is_alive():
            with contextlib.suppress(UserError):        # it has taken all it was given
                store.close()
        if self._spool is not None:
            self._spool.close()
        if left:
            raise UserError(f"{left} rows were lost: {self._away or 'the store did not take them in time'}", "store",
                            "give the spool more room" if self._spool is not None else "give it a spool")

    def health(self) -> StoreHealth:
        """How it stands. `away` says why the store can't be reached; after it is reached again, nothing."""
        with self._changed:
            oldest = [stamp for stamp in (self._packing.oldest, self._oldest() / 1e6) if stamp]
            damaged = self._spool.lost if self._spool is not None else 0
            return StoreHealth(self._accepted, self._lost + damaged, self._waiting, self._spool.bytes if self._spool is not None else 0,
                               max(0.0, time.time() - min(oldest)) if oldest else 0.0, self._away, self._unwanted)

    @property
    def refused(self) -> str:
        """Why rows were given up the last time; '' where none were."""
        return self._refused

    @property
    def volatile(self) -> int:
        """Rows that are in the memory of this process only."""
        with self._changed:
            return self._packing.rows + self._packed + sum(parcel.rows for parcel in self._kept)

    @property
    def _waiting(self) -> int:
        """Rows taken and not yet stored or given up."""
        on_disk = self._spool.rows if self._spool is not None else 0
        return self._packing.rows + self._packed + sum(parcel.rows for parcel in self._kept) + on_disk

    def _oldest(self) -> int:
        """When the oldest parcel was encoded, us; 0 where there is none."""
        kept = self._kept[0].stored_time if self._kept else 0
        on_disk = self._spool.oldest if self._spool is not None else 0
        return min(kept or on_disk, on_disk or kept)

    def _give_up(self, rows: int, why: str) -> None:
        self._lost += rows
        self._refused = why

    # ---- encoding

    def _pack(self) -> None:
        """The thread that encodes."""
        while True:
            with self._changed:
                while not (taken := self._due()) and not self._due_calls:
                    if self._stopped:
                        return
                    self._changed.wait(self._wait)
                self._packed = sum(one.rows for one in taken)
                kept = bool(taken) or not (self._ahead and self._kept)      # nothing was to be encoded: what is in memory has to be on disk all the same
            for gathering in taken:
                try:
                    kept &= self._place(self._packing.pack(gathering))
                except Exception as error:
                    with self._changed:
                        self._give_up(gathering.rows, str(error))
                with self._changed:
                    self._packed -= gathering.rows
                    self._changed.notify_all()
            self._call(kept)

    def _call(self, kept: bool) -> None:
        """What was to be called after the rows that were encoded now: those that a killed process would lose are waited for."""
        with self._changed:
            calls, self._due_calls = self._due_calls, []
            if not kept:
                self._calls = calls + self._calls
        for call in calls if kept else ():
            call()

    def _due(self) -> list[Gathering]:
        packing = self._packing
        late = bool(packing.oldest) and time.time() - packing.oldest >= self._wait
        if self._stopped or not (packing.full or late or self._flushing or packing.rows >= self._most // 2):
            return []
        everything = late or self._flushing or not packing.full
        self._flushing = False
        if everything:
            self._due_calls, self._calls = self._due_calls + self._calls, []
        return packing.take(everything)

    def _place(self, parcel: Parcel) -> bool:
        """Where a new parcel waits: in memory while the store takes rows, else on disk; where that has no room, in memory again. False: it is in memory
        though it was to be on disk."""
        with self._changed:
            trouble = bool(self._away) or bool(self._spool)
            fits = self._bytes + parcel.size <= self._memory or not self._kept
            if self._spool is None or not (self._ahead or trouble) and fits:
                self._keep(parcel, fits, "the store is away and memory is full")
                return True
        try:
            self._spool.put(parcel)
        except Full as error:
            with self._changed:
                self._keep(parcel, self._bytes + parcel.size <= self._memory, str(error))
            return False
        return True

    def _keep(self, parcel: Parcel, fits: bool, why: str) -> None:
        if fits:
            self._kept.append(parcel)
            self._bytes += parcel.size
            self._changed.notify_all()
        else:
            self._give_up(parcel.rows, why)

    def _to_disk(self) -> None:
        """What is in memory goes to the spool, as far as there is room; the oldest first, and each at its place in the order.

        Writing to disk takes its time: nobody waits for it here, as only this thread takes from what is kept."""
        while self._spool is not None and self._kept:
            try:
                self._spool.put(self._kept[0])
            except Full:
                return
            with self._changed:
                self._bytes -= self._kept.popleft().size

    # ---- sending

    def _send(self) -> None:
        """The thread that stores."""
        pause = self._pauses[0]
        while True:
            try:
                parcel = self._next()
                if parcel is None:
                    return
                if self._deliver(parcel):
                    pause = self._pauses[0]
                    continue
            except Exception as error:              # of the spool itself, or a mistake of this program: nothing may end this thread
                with self._changed:
                    self._away = f"{type(error).__name__}: {error}"
            with self._changed:
                until = time.monotonic() + pause
                while not self._stopped and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
            pause = min(2 * pause, self._pauses[1])

    def _next(self) -> Parcel | None:
        """The oldest parcel, when there is one; None at the end."""
        while True:
            with self._changed:
                if self._stopped:
                    return None
                kept = self._kept[0] if self._kept else None
                first = self._spool.first if self._spool is not None else None
                if kept is not None and (first is None or kept.order < first):
                    return kept
                if first is None:
                    self._changed.wait(self._wait)
                    continue
            if self._spool is not None and (parcel := self._spool.read()) is not None:
                return parcel
            with self._changed:
                self._changed.notify_all()          # all that was there was damaged

    def _deliver(self, parcel: Parcel) -> bool:
        """Store a parcel. True: it is no longer waiting; False: a pause is due."""
        # one of an earlier process may have been sent by it
        again = parcel.order in self._tried or parcel.boot != self._own
        try:
            if self._store is None:
                self._store = self._open()
            self._tried.add(parcel.order)
            self._store.insert(parcel, again)
        except Away as error:
            self._failed(str(error))
            return False
        except Exception as error:                  # the store says these rows will never go in
            why = str(error)
            if self._spool is not None:
                try:
                    self._spool.refuse(parcel)
                except Full as full:
                    why = f"{why}; {full.args[0]}"
            self._done(parcel, why)
            return True
        self._done(parcel)
        return True

    def _open(self) -> Store:
        """The store. Whatever keeps it from opening may pass."""
        try:
            return self._open_store()
        except UserError as error:
            raise Away(error.what, error.where, error.mend) from None

    def _failed(self, why: str) -> None:
        with self._changed:
            before, self._away = self._away, why
        if not before:
            log.warning("the store is away", extra={"reason": why})
        self._to_disk()

    def _done(self, parcel: Parcel, refused: str | None = None) -> None:
        """It is stored, or given up."""
        self._tried.discard(parcel.order)
        with self._changed:
            if refused is not None:
                self._give_up(parcel.rows, refused)
                self._unwanted += parcel.rows
            else:
                self._accepted += parcel.rows
                before, self._away = self._away, ""
                if before:
                    log.info("the store is back", extra={"waiting": self._waiting})
            if self._kept and self._kept[0] is parcel:
                self._bytes -= self._kept.popleft().size
                self._changed.notify_all()
                return
        if self._spool is not None:
            self._spool.remove(parcel.order)
        with self._changed:
            self._changed.notify_all()
