"""Objects of kernels as one shared library, where the machine has a linker (`ld` of binutils): the loader of the system maps it in a fifth of a millisecond
for what takes llvmlite 30 ms. A library is kept beside its objects under the hash of what is in it; the newest KEPT stay. Only on x86-64: what relocations
the objects have elsewhere, and whether a shared library may have them, was not tried."""
from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import struct
from collections.abc import Mapping
from pathlib import Path

KEPT = 16
#: numba's runtime names that unchecked kernels mention on paths they never take.
UNTAKEN = ("numba_unpickle", "numba_gil_ensure", "numba_gil_release", "numba_do_raise", "NRT_MemInfo_call_dtor", "NRT_incref", "NRT_decref", "NRT_Allocate",
           "NRT_Free", "numba_recreate_record", "numba_attempt_nocopy_reshape", "numba_runtime_build_excinfo_struct")
_SECONDS = 60


def linked(folder: Path, objects: Mapping[str, Path]) -> dict[str, int] | None:
    """Addresses of the entries of these objects, by label, loaded together; None where there is no linker, or anything is in the way. What they call of
    others must have been loaded before."""
    if os.uname().machine != "x86_64":
        return None
    said = "\n".join(f"{label} {path.name}" for label, path in sorted(objects.items()))
    library = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.so"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if not _whole(library) and not _link(library, objects):
            return None
        held = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        return {label: ctypes.cast(held[label], ctypes.c_void_p).value or 0 for label in objects}
    return None


def _whole(library: Path) -> bool:
    """Whether it is there and was not cut short: the table of sections, whose place the header tells (System V ABI), is what a linker writes last."""
    try:
        with library.open("rb") as file:
            head = file.read(64)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return False
    if len(head) < 64 or head[:5] != b"\x7fELF\x02":
        return False
    (begin,), (each, count) = struct.unpack_from("=Q", head, 40), struct.unpack_from("=HH", head, 58)
    return bool(size == begin + each * count)


def _link(library: Path, objects: Mapping[str, Path]) -> bool:
    """Make the library; it appears whole or not at all."""
    import subprocess
    from shutil import which

    linker = which("ld")
    if linker is None:
        return False
    # notext: objects for llvmlite hold addresses in their code, which the loader fills in; what nobody gets to calls address 0 and ends the process
    part, names = library.with_suffix(f".{os.getpid()}"), library.with_suffix(f".{os.getpid()}.names")
    names.write_text("{ global: " + " ".join(f'"{label}";' for label in objects) + " local: *; };\n")
    try:
        done = subprocess.run([linker, "-shared", "-s", "-z", "notext", "-z", "noexecstack", f"--version-script={names}",
                               *(f"--defsym={name}=0" for name in UNTAKEN), "-o", part, *sorted(set(objects.values()))],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        if done.returncode == 0:
            part.replace(library)
            for old in sorted(library.parent.glob("*.so"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
                old.unlink()
        return done.returncode == 0
    except subprocess.SubprocessError:
        return False
    finally:
        for left in (part, names):
            left.unlink(missing_ok=True)
