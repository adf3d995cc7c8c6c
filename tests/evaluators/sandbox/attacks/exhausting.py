"""Programs that take more than they were given, and answer rightly if nobody stops them."""

from attacks.hostile import Attack, exhausts

CPU = (
    exhausts("endless loop", "CPU time without end", "while True: pass\n", unsafe=False),
    exhausts(
        "loop behind ignored signals",
        "CPU time, with every signal ignored or handled",
        """
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.signal(signal.SIGXCPU, lambda *a: None)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass
        """,
    ),
    exhausts(
        "loop behind stopped timers",
        "CPU time, with all timers and limits taken away",
        """
        for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF): signal.setitimer(which, 0)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, lambda *a: None)
        try: resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))
        except (OSError, ValueError): pass
        while True: pass
        """,
    ),
    exhausts(
        "loop that catches all",
        "CPU time in a loop that no exception leaves",
        """
        while True:
            try:
                while True: pass
            except BaseException: pass
        """,
    ),
    exhausts(
        "threads that spin",
        "CPU time of many threads",
        """
        def spin():
            while True: pass
        for _ in range(20): threading.Thread(target=spin, daemon=True).start()
        while True: pass
        """,
        unsafe=False,
    ),
    exhausts(
        "threads without end",
        "as many threads as there can be",
        """
        started = 0
        while started < 3000:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); started += 1
        """,
    ),
    exhausts(
        "children that spin",
        "CPU time of children, while the parent sleeps",
        """
        for _ in range(4):
            if os.fork() == 0:
                while True: pass
        time.sleep(30)
        """,
    ),
    exhausts(
        "orphans that spin",
        "CPU time of processes whose parents ended",
        """
        for _ in range(4):
            if os.fork() == 0:
                os.setsid()
                if os.fork(): os._exit(0)
                while True: pass
        time.sleep(30)
        """,
    ),
    exhausts(
        "CPU time by relay",
        "a child that goes on where its parent's time ends",
        """
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            pid = os.fork()
            if pid: os._exit(0)
            end = time.process_time() + 0.1
            while time.process_time() < end: pass
        """,
    ),
    exhausts(
        "one operation without end",
        "a regular expression and a power that no signal interrupts",
        """
        re.match(r"(a|aa)+$", "a" * 80 + "b")
        """,
        unsafe=False,
    ),
    exhausts("power", "an integer's power, in one operation", "10 ** (10 ** 8)\n", unsafe=False),
    exhausts("sleep", "nothing at all, for ever", "time.sleep(1000)\n", waits=True, unsafe=False),
    exhausts(
        "lock",
        "a lock that nobody releases",
        """
        lock = threading.Lock(); lock.acquire(); lock.acquire()
        """,
        waits=True,
        unsafe=False,
    ),
    exhausts("halt of itself", "SIGSTOP", "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(1000)\n", waits=True),
)

MEMORY = (
    exhausts("resident memory", "bytes, touched", "hold = [bytearray(b'x' * (1 << 24)) for _ in range(300)]\n"),
    exhausts(
        "resident memory of children",
        "memory in many processes, each within its limit",
        """
        for _ in range(40):
            if os.fork() == 0:
                hold = bytearray(b"x" * (100 << 20))
                time.sleep(60); os._exit(0)
        time.sleep(1.5)
        """,
    ),
    exhausts(
        "resident memory of orphans",
        "the same in processes whose parents ended",
        """
        for _ in range(40):
            if os.fork() == 0:
                os.setsid()
                if os.fork(): os._exit(0)
                hold = bytearray(b"x" * (100 << 20))
                time.sleep(60); os._exit(0)
            os.wait()
        time.sleep(1.5)
        """,
    ),
    exhausts(
        "mapped memory",
        "anonymous mmap, private and shared",
        """
        hold = []
        for _ in range(300):
            hold.append(mmap.mmap(-1, 1 << 24)); hold[-1].write(b"x" * (1 << 24))
        """,
    ),
    exhausts(
        "memory in files",
        "files in the folders that lie in memory",
        """
        block = b"x" * 900_000
        for i in range(3000):
            for folder in (".", "/tmp", "/dev/shm"):
                with open(f"{folder}/fill-{i}", "wb") as file: file.write(block)
        """,
    ),
    exhausts(
        "recursion",
        "recursion without end, and without Python's limit",
        """
        sys.setrecursionlimit(10**9)
        def deeper(n): return deeper(n + 1) + 1
        deeper(0)
        """,
        unsafe=False,
    ),
    exhausts(
        "recursion in C",
        "a chain that recurses where it is freed or printed",
        """
        sys.setrecursionlimit(10**9)
        a = ()
        for _ in range(10**6): a = (a,)
        repr(a); hash(a)
        """,
        unsafe=False,
    ),
    exhausts(
        "limits raised",
        "setrlimit and prlimit of its own limits",
        """
        for kind in range(16):
            for raised in (resource.RLIM_INFINITY, 1 << 40):
                try: resource.setrlimit(kind, (raised, raised)); resource.prlimit(0, kind, (raised, raised))
                except (OSError, ValueError): pass
        hold = [bytearray(b"x" * (1 << 24)) for _ in range(300)]
        """,
    ),
)

SPACE = (
    exhausts(
        "fork bomb",
        "processes without end",
        """
        while True:
            try: os.fork()
            except OSError: pass
        """,
    ),
    exhausts(
        "fork bomb of leaders",
        "processes without end, each a session of its own, whose parents ended",
        """
        while True:
            try:
                if os.fork(): os._exit(0) if os.getpid() != 1 and os.fork() else None
                else: os.setsid()
            except OSError: pass
        """,
    ),
    exhausts(
        "one big file",
        "a file past its limit",
        """
        with open("big", "wb") as file:
            for _ in range(400): file.write(b"x" * (1 << 20)); file.flush()
        """,
    ),
    exhausts(
        "one big file, reserved",
        "posix_fallocate of a gigabyte",
        """
        fd = os.open("big", os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(fd, 0, 1 << 30)
        """,
    ),
    exhausts(
        "disk",
        "many files within the limit of each",
        """
        for i in range(3000):
            with open(f"part-{i}", "wb") as file: file.write(b"x" * 900_000)
        """,
    ),
    exhausts(
        "inodes",
        "empty files without end",
        """
        for i in range(200_000): os.close(os.open(f"empty-{i}", os.O_CREAT | os.O_WRONLY))
        """,
    ),
    exhausts(
        "open files",
        "descriptors without end",
        """
        hold = [os.open("/dev/null", os.O_RDONLY) for _ in range(100_000)]
        """,
        unsafe=False,
    ),
    exhausts(
        "endless output",
        "standard output without end",
        """
        while True: sys.stdout.write("x" * 100_000)
        """,
    ),
    exhausts(
        "endless output, below Python",
        "writes to descriptor 1 without end",
        """
        while True:
            try: os.write(1, b"x" * 100_000)
            except OSError: raise
        """,
    ),
    exhausts(
        "answer past the limit",
        "a long line to the judge",
        """
        block = b"x" * 65536
        while True: os.write(3, block)
        """,
        unsafe=False,
    ),
)

ATTACKS: tuple[Attack, ...] = (*CPU, *MEMORY, *SPACE)
