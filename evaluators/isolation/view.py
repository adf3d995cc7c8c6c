"""The namespaces of the class `strict`, and the small read-only world that a candidate sees in them.

One decision: everything that costs milliseconds (users, mounts, network, IPC, host name) is made once
for each warm process; a candidate then needs a PID namespace alone. That shares nothing between one
candidate and the next: they hold no capabilities, mounts and network cannot be changed without one,
System V objects are refused by the filter, and the work folder is emptied in between.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from typing import NoReturn

from evaluators.isolation import kernel
from evaluators.isolation.processes import MAX_ENTRIES

NOBODY = 65534
WORK = "/candidate"
_INNER_ID = 1000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_WORK_OPTIONS = "size={bytes},nr_inodes={entries},mode=755"
_PROC_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_ALL_NAMESPACES = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWPID
)


def become_nobody() -> None:
    """Give up root, as the user `nobody`."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@contextlib.contextmanager
def _opened(paths: Sequence[str]) -> Iterator[dict[str, int]]:
    """Descriptors of the paths that exist, opened while this process may still reach all of them."""
    with contextlib.ExitStack() as stack:
        fds = {}
        for path in paths:
            if os.path.exists(path):
                fds[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
                stack.callback(os.close, fds[path])
        yield fds


def enter(*, readable: Sequence[str], root: str, work_bytes: int, proc: bool) -> int:
    """Go on as the first process of new namespaces, in which only `readable` exists, and nothing can be changed.

    Root is the user nobody in there; any other user stays what he is.

    Args:
        readable: files and folders, kept at their paths; symbolic links stay links.
        root: an existing folder of this machine's, over which the new world is built.
        work_bytes: size of the private folder `WORK`, which lies in memory.
        proc: whether candidates will `mount_proc`, which the kernel allows only over another view of processes.

    Returns:
        A descriptor of the own PID namespace, for `new_process_namespace`.

    Raises:
        OSError: naming the call that the kernel refused.
    """
    _enter_user_namespace()
    _go_on_as_first_process()
    namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    with _opened([*readable, *_DEVICES, root]) as fds:
        os.setresgid(_INNER_ID, _INNER_ID, _INNER_ID)
        os.setresuid(_INNER_ID, _INNER_ID, _INNER_ID)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # a change of user hides /proc/self/fd from its owner
        _build(root=root, fds=fds, work_bytes=work_bytes, proc=proc)
    return namespace


def _enter_user_namespace() -> None:
    """Unshare everything; the identities inside are written by a child that stays outside, as a root may map others."""
    user, group = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
    process, (read_end, write_end) = os.getpid(), os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.close(write_end)
        os.read(read_end, 1)
        status = 0
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{_INNER_ID} {user} 1"),
            ("gid_map", f"{_INNER_ID} {group} 1"),
        ):
            try:
                kernel.write(f"/proc/{process}/{name}", text)
            except OSError as error:
                status = error.errno or 1
        os._exit(status)
    os.close(read_end)
    kernel.unshare(_ALL_NAMESPACES)
    os.close(write_end)
    status = os.waitstatus_to_exitcode(os.waitpid(mapper, 0)[1])
    if status != 0:
        raise OSError(status, f"writing the user map: {os.strerror(status)}")


def _go_on_as_first_process() -> None:
    child = os.fork()
    if child != 0:
        _wait_for(child)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_for(child: int) -> NoReturn:
    _, status = os.waitpid(child, 0)
    os._exit(min(1, status))


def _build(*, root: str, fds: dict[str, int], work_bytes: int, proc: bool) -> None:
    own = f"/proc/{os.readlink('/proc/self')}/fd"  # this process has another number here than on the outside
    base = f"{own}/{fds[root]}"
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", base, kind="tmpfs", flags=kernel.MS_NOSUID | kernel.MS_NODEV, data="size=1m,mode=755")
    os.chdir(root)
    for path in sorted(fds.keys() - {root}):
        _bind(path, source=f"{own}/{fds[path]}", device=path in _DEVICES)
    for folder in (WORK, "/proc"):
        os.makedirs(f".{folder}", exist_ok=True)
    for link in ("/tmp", "/dev/shm"):
        with contextlib.suppress(FileExistsError):  # something readable lies below it
            os.symlink(f"{WORK}/box", f".{link}")
    if proc:
        kernel.mount("proc", "./proc", kind="proc", flags=_PROC_FLAGS)
    kernel.pivot_root(".")
    kernel.mount(
        "none", "/", flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    )
    mount_work(work_bytes)


def _bind(path: str, *, source: str, device: bool) -> None:
    target = f".{path}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        with contextlib.suppress(FileExistsError):
            os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
    if not device:
        kernel.seal(target)


def mount_work(size_bytes: int) -> None:
    """Lay a new, empty private folder over `WORK`."""
    options = _WORK_OPTIONS.format(bytes=size_bytes, entries=MAX_ENTRIES)
    kernel.mount("tmpfs", WORK, kind="tmpfs", flags=kernel.MS_NOSUID | kernel.MS_NODEV, data=options)


def new_process_namespace(own: int) -> None:
    """Have the next fork begin a PID namespace of its own."""
    kernel.setns(own, kernel.CLONE_NEWPID)  # back first: a namespace below one that was never entered is refused
    kernel.unshare(kernel.CLONE_NEWPID)


def mount_proc() -> None:
    """Show a process its own PID namespace under /proc, in a mount namespace of its own."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("proc", "/proc", kind="proc", flags=_PROC_FLAGS)
