"""The filter on system calls that every candidate runs under.

One decision: a list of what is refused, not of what is allowed. Three languages with their runtimes
need most calls; what is refused has no use in a benchmark's programs and opens the kernel's less
trodden paths. Calls that only an attack makes end the process (verdict `forbidden`); calls that a
harmless library may try first get an error, and the library goes on.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of the kernel.
"""

import ctypes
import errno
import struct
from typing import NamedTuple

from evaluators.isolation.kernel import MACHINE, Steps, checked

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _AND, _JUMP_EQUAL, _JUMP_SET, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENT_0_AT, _ARGUMENT_1_AT = 0, 4, 16, 24
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag
_CLONE_THREAD = 0x00010000

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_ABSENT = -1

# name: (x86_64, aarch64). A call with one number has the same on both.
_KILLED: dict[str, tuple[int, int]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "memfd_secret": (447, 447),
    "iopl": (172, _ABSENT),
    "ioperm": (173, _ABSENT),
    "modify_ldt": (154, _ABSENT),
}
_REFUSED: dict[str, tuple[int, int, int]] = {
    "socket": (41, 198, errno.EACCES),  # of every family; pairs without an address remain
    "clone3": (435, 435, errno.ENOSYS),  # its flags lie in memory, where a filter cannot look; libraries fall back
    "memfd_create": (319, 279, errno.EPERM),
    "execveat": (322, 281, errno.EPERM),
    "name_to_handle_at": (303, 264, errno.EPERM),
    "syslog": (103, 116, errno.EPERM),
    "personality": (135, 92, errno.EPERM),
    "shmget": (29, 194, errno.EPERM),  # System V objects would outlive their sample
    "semget": (64, 190, errno.EPERM),
    "msgget": (68, 186, errno.EPERM),
    "mq_open": (240, 180, errno.EPERM),
    "setxattr": (188, 5, errno.EPERM),
    "lsetxattr": (189, 6, errno.EPERM),
    "fsetxattr": (190, 7, errno.EPERM),
    "setxattrat": (463, 463, errno.EPERM),
    "ioprio_set": (251, 30, errno.EPERM),  # of other processes, as the next three
    "migrate_pages": (256, 238, errno.EPERM),
    "move_pages": (279, 239, errno.EPERM),
    "process_madvise": (440, 440, errno.EPERM),
}
# Limits and priorities of other processes of the same user, the keeper's among them: only with 0, oneself.
_OF_ONESELF: dict[str, tuple[int, int]] = {
    "prlimit64": (302, 261),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
}
_SET_PRIORITY, _SOCKET_PAIR, _FCNTL = (141, 140), (53, 199), (72, 25)
# One end of a pair of datagram sockets can be turned to any address of the machine's; these cannot.
_SOCKET_TYPE_MASK, _CONNECTED_TYPES = 0xF, (1, 5)  # SOCK_STREAM, SOCK_SEQPACKET
_SET_OWNER = (8, 15)  # F_SETOWN, F_SETOWN_EX: whom the kernel sends SIGIO for a file
# Landlock lets a process change modes and times of whatever its user owns. Libraries do so in passing
# (`shutil.copy`), so these succeed and do nothing.
_PRETENDED: dict[str, tuple[int, int]] = {
    "chmod": (90, _ABSENT),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, _ABSENT),
    "fchown": (93, 55),
    "lchown": (94, _ABSENT),
    "fchownat": (260, 54),
    "utime": (132, _ABSENT),
    "utimes": (235, _ABSENT),
    "futimesat": (261, _ABSENT),
    "utimensat": (280, 88),
}
_CLONE, _FORKS = (56, 220), ((57, _ABSENT), (58, _ABSENT))
# Signals, where Landlock cannot keep them inside: only to the process itself (the first argument).
_SIGNALS: dict[str, tuple[int, int]] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}
_PIDFD_SEND_SIGNAL = 424


class _Instruction(NamedTuple):
    code: int
    if_true: int
    if_false: int
    value: int

    def packed(self) -> bytes:
        return struct.pack("=HBBI", *self)


class Filter(NamedTuple):
    """A compiled filter, ready to be installed; it holds the memory that the kernel reads."""

    program: ctypes.Array[ctypes.c_char]
    length: int


def _refusal(code: int) -> int:
    return _ERRNO | code


def _on_number(number: int, action: int) -> list[_Instruction]:
    return [_Instruction(_JUMP_EQUAL, 0, 1, number), _Instruction(_RETURN, 0, 0, action)]


def _unless(number: int, tests: list[_Instruction], code: int) -> list[_Instruction]:
    """A call that is refused with `code` unless `tests`, which fall through to the end, allow it."""
    block = [*tests, _Instruction(_RETURN, 0, 0, _refusal(code))]
    return [_Instruction(_JUMP_EQUAL, 0, len(block), number), *block]


def _if_equal(at: int, value: int, *, mask: int | None = None) -> list[_Instruction]:
    """Allow a call one argument of which has a value."""
    masked = [] if mask is None else [_Instruction(_AND, 0, 0, mask)]
    test = [_Instruction(_JUMP_EQUAL, 0, 1, value), _Instruction(_RETURN, 0, 0, _ALLOW)]
    return [_Instruction(_LOAD, 0, 0, at), *masked, *test]


def _on_others(column: int) -> list[_Instruction]:
    """Calls that reach other processes, or sockets outside, by one of their arguments."""
    body: list[_Instruction] = []
    for numbers in _OF_ONESELF.values():
        body += _unless(numbers[column], _if_equal(_ARGUMENT_0_AT, 0), errno.EPERM)
    for at in (_ARGUMENT_0_AT, _ARGUMENT_1_AT):  # PRIO_PROCESS of oneself: both are 0
        refuse = [
            _Instruction(_LOAD, 0, 0, at),
            _Instruction(_JUMP_EQUAL, 1, 0, 0),
            _Instruction(_RETURN, 0, 0, _refusal(errno.EPERM)),
            _Instruction(_LOAD, 0, 0, _NUMBER_AT),
        ]
        body += [_Instruction(_JUMP_EQUAL, 0, len(refuse), _SET_PRIORITY[column]), *refuse]
    types = [_if_equal(_ARGUMENT_1_AT, kind, mask=_SOCKET_TYPE_MASK) for kind in _CONNECTED_TYPES]
    body += _unless(_SOCKET_PAIR[column], [step for test in types for step in test], errno.EACCES)
    owners = [_Instruction(_LOAD, 0, 0, _ARGUMENT_1_AT)]
    for command in _SET_OWNER:
        owners += [_Instruction(_JUMP_EQUAL, 0, 1, command), _Instruction(_RETURN, 0, 0, _refusal(errno.EPERM))]
    owners.append(_Instruction(_RETURN, 0, 0, _ALLOW))
    return [*body, _Instruction(_JUMP_EQUAL, 0, len(owners), _FCNTL[column]), *owners]


def _on_clone(column: int, *, processes: bool) -> list[_Instruction]:
    """New namespaces end the process; new processes are refused where they cannot be counted."""
    tests = [
        _Instruction(_LOAD, 0, 0, _ARGUMENT_0_AT),
        _Instruction(_JUMP_SET, 0, 1, _NEW_NAMESPACES),
        _Instruction(_RETURN, 0, 0, _KILL_PROCESS),
    ]
    if not processes:
        tests += [
            _Instruction(_JUMP_SET, 1, 0, _CLONE_THREAD),
            _Instruction(_RETURN, 0, 0, _refusal(errno.EAGAIN)),
        ]
    tests.append(_Instruction(_RETURN, 0, 0, _ALLOW))
    return [_Instruction(_JUMP_EQUAL, 0, len(tests), _CLONE[column]), *tests]


def _on_signals(column: int, own_process: int) -> list[_Instruction]:
    block: list[_Instruction] = []
    for numbers in _SIGNALS.values():
        tests = [
            _Instruction(_LOAD, 0, 0, _ARGUMENT_0_AT),
            _Instruction(_JUMP_EQUAL, 1, 0, own_process),
            _Instruction(_RETURN, 0, 0, _refusal(errno.EPERM)),
            _Instruction(_RETURN, 0, 0, _ALLOW),
        ]
        block += [_Instruction(_JUMP_EQUAL, 0, len(tests), numbers[column]), *tests]
    return block + _on_number(_PIDFD_SEND_SIGNAL, _refusal(errno.EPERM))


def supported() -> bool:
    """Whether the filter knows this machine's system calls."""
    return MACHINE in _COLUMN


def compile_filter(
    *, processes: bool = True, signals_only_to: int | None = None, keeps_attributes: bool = False
) -> Filter:
    """Compile the filter for this machine.

    Args:
        processes: whether candidates may start processes (threads they always may).
        signals_only_to: the only process that may be signalled; None leaves signals to Landlock and
            namespaces.
        keeps_attributes: whether modes, owners and times of files stay as they are, for where the
            candidate sees others' files.

    Raises:
        OSError: if this machine's system calls are not known here.
    """
    if not supported():
        raise OSError(errno.ENOSYS, f"no filter on system calls is known for {MACHINE}")
    column = _COLUMN[MACHINE]
    body = [
        _Instruction(_LOAD, 0, 0, _ARCH_AT),
        _Instruction(_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[MACHINE]),
        _Instruction(_RETURN, 0, 0, _KILL_PROCESS),
        _Instruction(_LOAD, 0, 0, _NUMBER_AT),
    ]
    if MACHINE == "x86_64":
        body += [_Instruction(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), _Instruction(_RETURN, 0, 0, _KILL_PROCESS)]
    for numbers in _KILLED.values():
        body += _on_number(numbers[column], _KILL_PROCESS) if numbers[column] != _ABSENT else []
    for row in _REFUSED.values():
        body += _on_number(row[column], _refusal(row[2]))
    for numbers in _PRETENDED.values() if keeps_attributes else ():
        body += _on_number(numbers[column], _refusal(0)) if numbers[column] != _ABSENT else []
    body += _on_others(column)
    if not processes:
        for fork in _FORKS:
            body += _on_number(fork[column], _refusal(errno.EAGAIN)) if fork[column] != _ABSENT else []
    if signals_only_to is not None:
        body += _on_signals(column, signals_only_to)
    body += _on_clone(column, processes=processes)
    body.append(_Instruction(_RETURN, 0, 0, _ALLOW))
    packed = b"".join(instruction.packed() for instruction in body)
    return Filter(program=ctypes.create_string_buffer(packed, len(packed)), length=len(body))


def add_step(steps: Steps, compiled: Filter) -> None:
    """Add putting a process, and all that it starts, under the filter for good; needs no_new_privs."""
    address = ctypes.addressof(compiled.program)
    # struct sock_fprog: the number of instructions, and where they are.
    header = ctypes.create_string_buffer(struct.pack("@HP", compiled.length, address))
    steps.keep(compiled.program)
    steps.add("prctl", _PR_SET_SECCOMP, _MODE_FILTER, header)


__all__ = ["Filter", "add_step", "checked", "compile_filter", "supported"]
