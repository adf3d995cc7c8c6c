"""Landlock: what the kernel lets a process open, whatever its user may.

One decision: everything that the running kernel can restrict is restricted (files, TCP, signals to
outside, abstract sockets), and rules give back reading, executing and one writable folder.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import stat
from collections.abc import Iterable

from evaluators.isolation.kernel import Steps, syscall

_CREATE_RULESET, _ADD_RULE = 444, 445
_VERSION_FLAG, _RULE_PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 0x40, 0x200, 0x800
_TRUNCATE, _IOCTL_DEV = 0x4000, 0x8000
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_HANDLED_FS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # rights known to each version; from 5 on all 16
_TCP_VERSION, _SCOPE_VERSION = 4, 6
_READ = _READ_FILE | _READ_DIR | _EXECUTE


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none, or where it is turned off."""
    try:
        none = ctypes.c_void_p(None)
        return syscall(
            _CREATE_RULESET, none, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG), call="landlock_create_ruleset"
        )
    except OSError:
        return 0


def scopes_signals() -> bool:
    """Whether this kernel keeps a confined process from signalling processes outside (Linux 6.12)."""
    return version() >= _SCOPE_VERSION


def make_ruleset(*, readable: Iterable[str], writable: Iterable[str], devices: Iterable[str] = ()) -> int:
    """Build rules and return their descriptor; a path that does not exist needs no rule.

    Raises:
        OSError: if the kernel refuses.
    """
    known = version()
    every = _HANDLED_FS.get(known, 0xFFFF)
    words = [every, 3 if known >= _TCP_VERSION else 0, 3 if known >= _SCOPE_VERSION else 0]
    size = 8 * (3 if known >= _SCOPE_VERSION else 2 if known >= _TCP_VERSION else 1)
    attributes = (ctypes.c_uint64 * 3)(*words)
    none = ctypes.c_uint32(0)
    ruleset = syscall(
        _CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), none, call="landlock_create_ruleset"
    )
    work = every & ~(_MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _IOCTL_DEV | _EXECUTE)
    for paths, access in ((readable, _READ), (writable, work), (devices, _READ_FILE | _WRITE_FILE)):
        for path in paths:
            _allow(ruleset, path, access & every)
    return ruleset


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _ON_FILES
        rule = _PathRule(access, fd)
        words = (ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
        syscall(_ADD_RULE, *words, call="landlock_add_rule")
    finally:
        os.close(fd)


def add_step(steps: Steps, ruleset: int) -> None:
    """Add putting a process, and all that it starts, under the rules for good; needs no_new_privs."""
    steps.add("landlock_restrict_self", ruleset, 0)
    steps.add("close", ruleset)
