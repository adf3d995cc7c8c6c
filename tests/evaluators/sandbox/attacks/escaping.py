"""Programs that reach out: for secrets, sockets, files and processes of others, and the kernel's rarer calls.

System call numbers are those of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl); elsewhere the calls are
others, which must be as harmless.
"""

from attacks.hostile import Attack, reaches

SECRETS = (
    reaches(
        "environment",
        "a secret of the environment",
        """
        return any(SECRET.search(v) for v in os.environb.values()) or SECRET.search(str(os.environ).encode())
        """,
    ),
    reaches(
        "environment of this process",
        "a secret in /proc/self/environ",
        """
        return holds_secret("/proc/self/environ") or holds_secret("/proc/thread-self/environ")
        """,
    ),
    reaches(
        "environment of others",
        "a secret in any /proc/*/environ",
        """
        return any(holds_secret(path) for path in glob.glob("/proc/[0-9]*/environ") + ["/proc/@PARENT@/environ"])
        """,
    ),
    reaches(
        "environment block in memory",
        "a secret behind libc's `environ`, or put back by getenv",
        """
        block = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
        found, i = [], 0
        while block and block[i] is not None and i < 999:
            found.append(block[i]); i += 1
        return any(SECRET.search(entry) for entry in found)
        """,
    ),
    reaches(
        "home",
        "a secret in the home folder",
        """
        homes = {"@HOME@", os.path.expanduser("~"), os.environ.get("HOME", "/root"), "/root"}
        return any(holds_secret(p) for h in homes for p in glob.glob(h + "/.*") + glob.glob(h + "/*"))
        """,
    ),
    reaches(
        "file that all may read",
        "a secret in a file of mode 644",
        """
        return holds_secret("@FILE@")
        """,
    ),
    reaches(
        "file by another name",
        "the same through links, /proc/self/root and the working folder",
        """
        os.symlink("@FILE@", "link")
        names = ["link", "/proc/self/root@FILE@", "/proc/self/cwd/../../../../../..@FILE@", "../../../../../../..@FILE@"]
        return any(holds_secret(name) for name in names)
        """,
    ),
    reaches(
        "file by hard link",
        "the same through a hard link of the program's own",
        """
        os.link("@FILE@", "hard")
        return holds_secret("hard")
        """,
    ),
    reaches(
        "file by its handle",
        "open_by_handle_at",
        """
        handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
        mount = ctypes.c_int()
        call(303, -100, b"@FILE@", ctypes.byref(handle), ctypes.byref(mount), 0)
        fd = call(304, os.open("/", os.O_RDONLY), ctypes.byref(handle), 0)
        return fd >= 0 and SECRET.search(os.pread(fd, 4096, 0))
        """,
    ),
    reaches(
        "inherited descriptors",
        "a secret behind a descriptor that was left open",
        """
        for fd in [@FD@, *range(4, 1024)]:
            try:
                if SECRET.search(os.pread(fd, 1 << 16, 0)): return True
            except OSError: pass
        """,
    ),
    reaches(
        "descriptors of others",
        "a secret behind /proc/*/fd/*",
        """
        return any(holds_secret(p) for p in glob.glob("/proc/[0-9]*/fd/*") + glob.glob("/proc/@PARENT@/fd/*"))
        """,
    ),
    reaches(
        "folders of others",
        "a secret below /proc/*/cwd and /proc/*/root",
        """
        return any(holds_secret(p + "@FILE@") for p in glob.glob("/proc/[0-9]*/root") + ["/proc/@PARENT@/root"])
        """,
    ),
    reaches(
        "warm process's memory",
        "a secret within the memory that the program was forked with",
        """
        for line in open("/proc/self/maps"):
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" in line and high - low < 1 << 26:
                block = ctypes.string_at(low, high - low)
                if SECRET.search(block): return True
        """,
    ),
    reaches(
        "warm process's objects",
        "a secret among all objects of the interpreter",
        """
        return any(type(o) in (str, bytes) and SECRET.search(o if type(o) is bytes else o.encode("utf-8", "replace"))
                   for d in gc.get_objects() if type(d) is dict for o in list(d.values()))
        """,
    ),
)

# What they open holds no secret that was planted, and nothing of it is a candidate's business.
OTHERS = (
    reaches(
        "memory of others",
        "/proc/*/mem of any process",
        """
        for path in glob.glob("/proc/[0-9]*/mem") + ["/proc/@PARENT@/mem"]:
            if path.split("/")[2] != str(os.getpid()):
                try:
                    os.close(os.open(path, os.O_RDWR)); return True
                except OSError: pass
        """,
    ),
    reaches(
        "memory of the parent",
        "process_vm_readv of the parent",
        """
        buffer = ctypes.create_string_buffer(64)
        local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
        return max(call(310, pid, ctypes.byref(local), 1, ctypes.byref(local), 1, 0) for pid in (os.getppid(), @PARENT@)) >= 0
        """,
    ),
    reaches(
        "descriptor of the parent",
        "pidfd_getfd",
        """
        pidfd = max(call(434, os.getppid(), 0), call(434, @PARENT@, 0))
        return call(438, pidfd, 0, 0) >= 0
        """,
    ),
    reaches(
        "accounts",
        "the machine's accounts and shadow file",
        """
        def readable(path):
            try: return os.path.getsize(path) and open(path, "rb").read(1)
            except OSError: return False
        return readable("/etc/passwd") or readable("/etc/shadow")
        """,
    ),
)

SOCKETS = (
    reaches(
        "TCP",
        "a connection to a listener on loopback",
        """
        socket.create_connection(("127.0.0.1", @PORT@), 1).sendall(b"hello")
        return True
        """,
    ),
    reaches(
        "TCP over IPv6",
        "the same by its other address",
        """
        s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.settimeout(1)
        s.connect(("::ffff:127.0.0.1", @PORT@)); s.sendall(b"hello")
        return True
        """,
    ),
    reaches(
        "UDP",
        "a datagram to loopback",
        """
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return s.sendto(b"hello", ("127.0.0.1", @PORT@))
        """,
    ),
    reaches(
        "raw sockets",
        "packet, raw, netlink, vsock, bluetooth and kernel crypto sockets",
        """
        opened = 0
        for family, kind in ((17, 3), (2, 3), (16, 3), (40, 1), (31, 3), (38, 5), (44, 3), (29, 3)):
            try: socket.socket(family, kind).close()
            except OSError: continue
            opened += 1
        return opened
        """,
    ),
    reaches(
        "listener of its own",
        "a socket that listens",
        """
        s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
        return True
        """,
    ),
    reaches(
        "socket in the file system",
        "a connection to a socket file",
        """
        s = socket.socket(socket.AF_UNIX); s.connect("@OUTSIDE@/stream"); s.sendall(b"hello")
        return True
        """,
    ),
    reaches(
        "abstract socket",
        "a connection to a name without a file",
        """
        s = socket.socket(socket.AF_UNIX); s.connect("\\0@NAME@"); s.sendall(b"hello")
        return True
        """,
    ),
    reaches(
        "datagram of a pair to a file",
        "one end of a socket pair, turned to a socket file",
        """
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
            a, b = socket.socketpair(socket.AF_UNIX, kind)
            a.sendto(b"hello", "@OUTSIDE@/datagram")
        return True
        """,
    ),
    reaches(
        "datagram of a pair to a name",
        "one end of a socket pair, turned to an abstract name",
        """
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        a.connect("\\0@NAME@-datagram"); a.send(b"hello")
        return True
        """,
    ),
    reaches(
        "connection, turned elsewhere",
        "the judge's connection, bound and connected anew",
        """
        s = socket.socket(fileno=os.dup(3)); s.connect("@OUTSIDE@/stream")
        return True
        """,
    ),
    reaches(
        "asynchronous connection",
        "asyncio, as libraries connect",
        """
        import asyncio
        async def connect():
            _, writer = await asyncio.open_connection("127.0.0.1", @PORT@)
            writer.write(b"hello"); await writer.drain()
        asyncio.run(connect())
        return True
        """,
    ),
    reaches(
        "io_uring",
        "a ring, on which a socket could be opened",
        """
        return call(425, 8, ctypes.byref(ctypes.create_string_buffer(120))) >= 0
        """,
    ),
)

FILES = (
    reaches(
        "file outside",
        "a new file in a folder that all may write to",
        """
        open("@OUTSIDE@/new", "w").write("x")
        return True
        """,
    ),
    reaches(
        "file outside, changed",
        "another's file that all may write to",
        """
        open("@OUTSIDE@/victim", "a").write("x")
        return True
        """,
    ),
    reaches(
        "file outside, removed",
        "unlink and rename",
        """
        for act in (lambda: os.rename("@OUTSIDE@/victim", "mine"), lambda: os.unlink("@OUTSIDE@/victim")):
            try:
                act(); return True
            except OSError: pass
        """,
    ),
    reaches(
        "file outside, emptied",
        "truncate by path",
        """
        os.truncate("@OUTSIDE@/victim", 0)
        return True
        """,
    ),
    reaches(
        "modes and times outside",
        "chmod, chown and utime of what the user owns elsewhere",
        """
        before = os.stat("@OUTSIDE@/victim")
        for act in (lambda: os.chmod("@OUTSIDE@/victim", 0o600), lambda: os.utime("@OUTSIDE@/victim", (1, 1)),
                    lambda: os.chown("@OUTSIDE@/victim", os.getuid(), os.getgid())):
            try: act()
            except OSError: pass
        after = os.stat("@OUTSIDE@/victim")
        return (before.st_mode, before.st_mtime) != (after.st_mode, after.st_mtime)
        """,
    ),
    reaches(
        "symbolic link out",
        "a link in the work folder, written through",
        """
        os.symlink("@OUTSIDE@", "out")
        open("out/new", "w").write("x")
        return True
        """,
    ),
    reaches(
        "hard link out",
        "a hard link to another's file, written through",
        """
        os.link("@OUTSIDE@/victim", "hard")
        open("hard", "a").write("x")
        return True
        """,
    ),
    reaches(
        "link into the outside",
        "a file of its own, linked or renamed to outside",
        """
        open("own", "w").write("x")
        for act in (os.link, os.rename):
            try:
                act("own", "@OUTSIDE@/new"); return True
            except OSError: pass
        """,
    ),
    reaches(
        "folder and device outside",
        "mkdir, mkfifo and mknod",
        """
        for act in (lambda: os.mkdir("@OUTSIDE@/d"), lambda: os.mkfifo("@OUTSIDE@/f"),
                    lambda: os.mknod("@OUTSIDE@/n", 0o60666, os.makedev(8, 0)), lambda: os.mknod("n", 0o20666, os.makedev(1, 1))):
            try:
                act(); return True
            except OSError: pass
        """,
    ),
    reaches(
        "system files",
        "the files that every program of this machine reads",
        """
        for path in ("/etc/ld.so.preload", "/etc/cron.d/x", "/usr/lib/x", "/var/lib/x", os.__file__, "/proc/sys/kernel/core_pattern"):
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)); return True
            except OSError: pass
        """,
    ),
    reaches(
        "modules of the warm process",
        "the harness's own code, on disk",
        """
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if path and path.endswith(".py"):
                try:
                    os.close(os.open(path, os.O_WRONLY)); return True
                except OSError: pass
        """,
    ),
)

PROCESSES = (
    reaches(
        "signal to all",
        "kill(-1)",
        """
        os.kill(-1, 0)
        return any(True for _ in [os.kill(@PARENT@, 0)])
        """,
        unsafe=True,
    ),
    reaches(
        "end of all",
        "kill(-1, SIGKILL), then an answer",
        """
        os.kill(-1, signal.SIGKILL)
        return False
        """,
        unsafe=True,
    ),
    reaches(
        "end of the parent",
        "SIGKILL to the parent and to the process that runs the campaign",
        """
        for pid in (os.getppid(), @PARENT@):
            try:
                if pid > 1: os.kill(pid, signal.SIGKILL)
            except OSError: pass
        return False
        """,
        unsafe=True,
    ),
    reaches(
        "halt of the parent",
        "SIGSTOP to the parent and its group",
        """
        for pid in (os.getppid(), @PARENT@):
            try:
                if pid > 1: os.kill(pid, signal.SIGSTOP); os.killpg(os.getpgid(pid), signal.SIGSTOP)
            except OSError: pass
        return False
        """,
        unsafe=True,
    ),
    reaches(
        "signal by descriptor",
        "pidfd_send_signal and rt_sigqueueinfo to the parent",
        """
        pidfd = call(434, os.getppid(), 0)
        return call(424, pidfd, 0, 0, 0) == 0 or call(62, os.getppid(), 0) == 0 and os.getppid() > 1
        """,
        unsafe=True,
    ),
    reaches(
        "signals by file owner",
        "F_SETOWN, which has the kernel send SIGIO for it",
        """
        import fcntl
        a, b = socket.socketpair()
        fcntl.fcntl(a, fcntl.F_SETOWN, @PARENT@)
        fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)
        fcntl.fcntl(a, 10, 0)
        b.send(b"x")
        return False
        """,
        unsafe=True,
    ),
    reaches(
        "limits of the parent",
        "prlimit of the parent, which would end it by CPU time",
        """
        did = 0
        for pid in (os.getppid(), @PARENT@):
            try:
                if pid > 1: resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, 4)); did = 1
            except OSError: pass
        return did
        """,
        unsafe=True,
    ),
    reaches(
        "priority of the parent",
        "setpriority, sched_setscheduler and affinity of the parent",
        """
        did = 0
        for pid in (os.getppid(), @PARENT@):
            for act in (lambda: os.setpriority(os.PRIO_PROCESS, pid, 19), lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19),
                        lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)), lambda: os.sched_setaffinity(pid, {0})):
                try:
                    if pid > 1: act(); did = 1
                except OSError: pass
        return did
        """,
        unsafe=True,
    ),
    reaches(
        "ptrace",
        "a trace of the parent, and of oneself",
        """
        libc.ptrace.restype = ctypes.c_long
        return libc.ptrace(16, os.getppid(), 0, 0) == 0 or libc.ptrace(0, 0, 0, 0) == 0
        """,
        unsafe=True,
    ),
    reaches(
        "memory written",
        "process_vm_writev",
        """
        buffer = ctypes.create_string_buffer(8)
        local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
        return call(311, os.getpid(), ctypes.byref(local), 1, ctypes.byref(local), 1, 0) >= 0
        """,
    ),
)


def _kernel(name: str, attempts: str, body: str) -> Attack:
    return reaches(name, attempts, body, unsafe=True)


KERNEL = (
    _kernel(
        "user namespace", "unshare of a user namespace, in which one is root", "return libc.unshare(0x10000000) == 0\n"
    ),
    _kernel(
        "user namespace by clone",
        "clone with CLONE_NEWUSER",
        """
        pid = call(56, 0x10000000 | 17, 0, 0, 0, 0)
        if pid == 0: os._exit(0)
        return pid > 0
        """,
    ),
    _kernel(
        "user namespace by clone3",
        "the same with flags that lie in memory",
        """
        arguments = struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
        pid = call(435, ctypes.c_char_p(arguments), 88)
        if pid == 0: os._exit(0)
        return pid > 0
        """,
    ),
    _kernel(
        "another's namespace",
        "setns",
        """
        return libc.setns(os.open("/proc/self/ns/mnt", os.O_RDONLY), 0) == 0
        """,
    ),
    _kernel(
        "mount",
        "a new file system, and the old one again",
        """
        return libc.mount(b"none", b".", b"tmpfs", 0, None) == 0 or libc.umount2(b"/work", 2) == 0
        """,
    ),
    _kernel(
        "mount by descriptors",
        "fsopen and open_tree",
        "return call(430, b'tmpfs', 0) >= 0 or call(428, -100, b'/', 1) >= 0\n",
    ),
    _kernel("another root", "chroot and pivot_root", "return call(161, b'.') == 0 or call(155, b'.', b'.') == 0\n"),
    _kernel(
        "program in memory",
        "memfd_create and its execution",
        """
        fd = os.memfd_create("x", 0)
        os.write(fd, open("/bin/true", "rb").read())
        if os.fork() == 0: os.execve(fd, ["x"], {})
        return os.wait()[1] == 0
        """,
    ),
    _kernel(
        "program by descriptor",
        "execveat",
        """
        fd = os.open("script", os.O_CREAT | os.O_RDWR, 0o755)
        os.write(fd, b"#!/bin/true\\n"); os.close(fd)
        return call(322, os.open("script", os.O_RDONLY), b"", 0, 0, 0x1000) == 0
        """,
    ),
    _kernel(
        "program of its own",
        "execution of a file that it wrote",
        """
        with open("/proc/self/exe", "rb") as file: content = file.read()
        with open("own", "wb") as file: file.write(content)
        os.chmod("own", 0o755)
        if os.fork() == 0:
            os.execv("./own", ["own", "-c", "0"])
        return os.wait()[1] == 0
        """,
    ),
    _kernel(
        "bpf",
        "a map of the kernel's",
        "return call(321, 0, ctypes.create_string_buffer(struct.pack('4I', 2, 4, 4, 1) + bytes(96)), 72) >= 0\n",
    ),
    _kernel(
        "keys",
        "keyctl and add_key, which outlive a process",
        "return call(250, 0, -3, 1) >= 0 or call(248, b'user', b'x', b'y', 1, -4) >= 0\n",
    ),
    _kernel("userfaultfd", "faults handled by the program", "return call(323, 1) >= 0\n"),
    _kernel(
        "perf",
        "perf_event_open",
        "return call(298, ctypes.create_string_buffer(struct.pack('2IQ', 1, 112, 0) + bytes(96)), 0, -1, -1, 0) >= 0\n",
    ),
    _kernel("local descriptor table", "modify_ldt", "return call(154, 0, ctypes.create_string_buffer(64), 64) >= 0\n"),
    _kernel("x32 calls", "a call by the other table's number", "return call(0x40000000 + 39) > 0\n"),
    _kernel("kcmp", "a comparison of kernel pointers", "return call(312, os.getpid(), os.getpid(), 0, 0, 0) >= 0\n"),
    _kernel("kernel log", "syslog", "return call(103, 3, ctypes.create_string_buffer(64), 64) >= 0\n"),
    _kernel(
        "shared memory that stays",
        "System V memory and message queues",
        """
        return call(29, 0x706f6c79, 4096, 0o1666) >= 0 or call(68, 0x706f6c79, 0o1666) >= 0 or call(240, b"x", 66, 384, 0) >= 0
        """,
    ),
    _kernel(
        "root",
        "setuid, setresuid and capset",
        """
        ids = os.getresuid()
        def holds(path):
            try: return os.open(path, os.O_RDONLY) >= 0
            except OSError: return False
        for act in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0])):
            try: act()
            except OSError: pass
        return os.getuid() == 0 and ids[0] != 0 or holds("/etc/shadow")
        """,
    ),
    _kernel(
        "clock and host name",
        "settimeofday and sethostname",
        """
        return call(170, b"x", 1) == 0 or call(227, 0, ctypes.create_string_buffer(16)) == 0
        """,
    ),
)

ATTACKS: tuple[Attack, ...] = (*SECRETS, *OTHERS, *SOCKETS, *FILES, *PROCESSES, *KERNEL)
