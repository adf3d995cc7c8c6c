"""The system calls that Python's own library lacks: namespaces, mounts, capabilities, prctl.

One decision: thin functions that raise OSError with the call's name, so that what reports why an
isolation class is refused can simply show the error.
"""

import ctypes
import os
import platform
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x1000, 0x4000, 0x40000, 2
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 4, 24, 36
PR_SET_NO_NEW_PRIVS = 38
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63  # the kernel refuses those that it does not know, which ends the loop

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

# The same numbers on every architecture since Linux 5.1, and older ones that are not.
_MOUNT_SETATTR = 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_STEPS = {
    "x86_64": {"close": 3, "setsid": 112, "capset": 126, "prctl": 157, "prlimit64": 302, "landlock_restrict_self": 446},
    "aarch64": {
        "close": 57,
        "setsid": 157,
        "capset": 91,
        "prctl": 167,
        "prlimit64": 261,
        "landlock_restrict_self": 446,
    },
}
_STEP_WORDS = 6
MACHINE = platform.machine()
LONE_PYTHON = ("-P", "-s", "-S", "-B")  # not -I, under which PYTHONHASHSEED would not count


def checked(result: int, call: str) -> int:
    """Return a call's result, or raise what errno says.

    Raises:
        OSError: if the result is negative.
    """
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result


def syscall(number: int, *arguments: object, call: str) -> int:
    """Make a system call by number.

    Raises:
        OSError: if it fails.
    """
    return checked(_libc.syscall(ctypes.c_long(number), *arguments), call)


def prctl(option: int, *arguments: int, call: str = "prctl") -> None:
    """Change how the kernel treats this process.

    Raises:
        OSError: if it is refused.
    """
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    checked(_libc.prctl(option, *words), call)


def unshare(flags: int) -> None:
    """Enter new namespaces.

    Raises:
        OSError: if they are refused.
    """
    checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Enter an existing namespace.

    Raises:
        OSError: if it is refused.
    """
    checked(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, *, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount a file system, or bind a part of one elsewhere.

    Raises:
        OSError: if it is refused.
    """
    words = [None if text is None else text.encode() for text in (source, target, kind, data)]
    checked(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def detach(target: str) -> None:
    """Unmount at once, whatever is still open below.

    Raises:
        OSError: if it is refused.
    """
    checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def seal(target: str, *, read_only: bool = True) -> None:
    """Make a mount and all below it read-only, without devices and set-user-id programs (Linux 5.12).

    Raises:
        OSError: if it is refused.
    """
    bits = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV | (_MOUNT_ATTR_RDONLY if read_only else 0)
    attributes = (ctypes.c_uint64 * 4)(bits, 0, 0, 0)
    words = (ctypes.c_int(_AT_FDCWD), target.encode(), ctypes.c_uint(_AT_RECURSIVE), ctypes.byref(attributes))
    syscall(_MOUNT_SETATTR, *words, ctypes.c_size_t(32), call="mount_setattr")


def pivot_root(new_root: str) -> None:
    """Make `new_root` the root of this mount namespace, and let go of the old one.

    Raises:
        OSError: if it is refused.
    """
    os.chdir(new_root)
    syscall(_PIVOT_ROOT[MACHINE], b".", b".", call="pivot_root")
    detach(".")  # the old root lies on top of the new one
    os.chdir("/")


def bound_capabilities() -> None:
    """Let nothing that this process executes gain a capability."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # past the last that this kernel knows, or no right to drop any: no_new_privs holds then
            break


class Steps:
    """System calls that are prepared before a fork and made after it.

    A fork copies each page that it touches, and any Python function touches several: prepared so, what
    confines a candidate costs a third.
    """

    _call = ctypes.CDLL(None, use_errno=True).syscall
    _call.restype, _call.argtypes = ctypes.c_long, [ctypes.c_long] * _STEP_WORDS

    def __init__(self) -> None:
        """Begin with none."""
        self._calls: list[tuple[int, ...]] = []
        self._names: list[str] = []
        self._kept: list[object] = []

    def add(self, name: str, *arguments: "int | ctypes.Array[Any]") -> None:
        """Add a call of `_STEPS` with numbers, or memory for the kernel to read."""
        words = [word if isinstance(word, int) else ctypes.addressof(word) for word in arguments]
        self._kept += arguments
        padding = [0] * (_STEP_WORDS - 1 - len(words))
        self._calls.append((_STEPS[MACHINE][name], *words, *padding))
        self._names.append(name)

    def keep(self, memory: object) -> None:
        """Keep alive what an added call's memory points to."""
        self._kept.append(memory)

    def add_dropping_capabilities(self) -> None:
        """Add giving up every capability."""
        self.add("capset", (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)())

    def take(self) -> None:
        """Make the calls.

        Raises:
            OSError: if one is refused.
        """
        for number, call in enumerate(self._calls):
            if self._call(*call) < 0:
                checked(-1, self._names[number])


def write(path: str, text: str) -> None:
    """Write a small file of the kernel's.

    Raises:
        OSError: if it is refused.
    """
    fd = os.open(path, os.O_WRONLY)  # not `open`, which may load a codec from where this user cannot read
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
