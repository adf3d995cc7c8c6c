"""Programs that answer rightly and leave something behind, for the machine or for the next sample."""

from attacks.hostile import Attack, lingers

ATTACKS: tuple[Attack, ...] = (
    lingers(
        "child that stays",
        "a child that outlives the answer",
        """
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
        """,
    ),
    lingers(
        "orphan in a session of its own",
        "double fork and setsid",
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
        """,
    ),
    lingers(
        "orphan that ignores all",
        "the same, deaf to signals and with no descriptor open",
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(1, 65):
                    try: signal.signal(number, signal.SIG_IGN)
                    except (OSError, ValueError): pass
                os.closerange(0, 256)
                time.sleep(60)
            os._exit(0)
        """,
    ),
    lingers(
        "orphans that fork on",
        "a chain of processes, each of which ends at once",
        """
        if os.fork() == 0:
            os.setsid()
            end = time.monotonic() + 20
            while time.monotonic() < end:
                try:
                    if os.fork(): os._exit(0)
                except OSError: pass
            os._exit(0)
        """,
    ),
    lingers(
        "shell in the background",
        "a shell in the background",
        """
        try:
            import subprocess
            subprocess.Popen(["/bin/sh", "-c", "sleep 60 & sleep 60"], start_new_session=True)
        except OSError: pass
        """,
    ),
    lingers(
        "thread that stays",
        "a thread that never ends",
        """
        threading.Thread(target=time.sleep, args=(60,)).start()
        """,
        unsafe=False,
    ),
    lingers(
        "process that answers for its parent",
        "the first process ends, and its child answers",
        """
        if os.fork(): os._exit(0)
        """,
    ),
    lingers(
        "file in the work folder",
        "a file that the next sample finds",
        "open('left', 'w').write('x')\n",
        follower="return os.path.exists('left')\n",
        unsafe=False,
    ),
    lingers(
        "file beside the work folder",
        "a file one folder up",
        """
        for path in ("../left", "/candidate/left", "/tmp/left", "/dev/shm/left", "/var/tmp/left-polytune", "@OUTSIDE@/left"):
            try: open(path, "w").write("x")
            except OSError: pass
        """,
        follower="""
        paths = ("../left", "/candidate/left", "/tmp/left", "/dev/shm/left", "/var/tmp/left-polytune", "@OUTSIDE@/left")
        found = [p for p in paths if os.path.exists(p)]
        for p in found: os.unlink(p)
        return found
        """,
    ),
    lingers(
        "folder swapped for a link",
        "a link where the work folder was, for whoever cleans it",
        """
        box = os.getcwd()
        try:
            os.rename(box, box + "-old"); os.symlink("@OUTSIDE@", box)
        except OSError: pass
        """,
        follower="return os.path.exists(os.getcwd() + '-old')\n",
    ),
    lingers(
        "work folder without rights",
        "a folder that cannot be listed, with one inside",
        """
        os.makedirs("a/b/c"); open("a/b/c/left", "w").write("x")
        for path in ("a/b/c", "a/b", "a", "."): os.chmod(path, 0)
        """,
        follower="return os.path.exists('a')\n",
    ),
    lingers(
        "folders two thousand deep",
        "a tree that recursion cannot remove",
        """
        for _ in range(2000):
            os.mkdir("d"); os.chdir("d")
        """,
        follower="return os.path.exists('d')\n",
    ),
    lingers(
        "files of odd names",
        "names that are no text, links in circles, a pipe",
        """
        open(b"\\xff\\n-rf *", "w").close(); os.symlink("loop", "loop"); os.mkfifo("pipe"); open("-rf", "w").close()
        """,
        follower="return len(os.listdir('.')) > 2\n",
    ),
    lingers(
        "patched built-ins",
        "functions of the interpreter, changed for all that come",
        """
        import builtins, json, random
        builtins.left = True
        builtins.len = lambda *a: 0
        builtins.exec = json.dumps = random.random = lambda *a, **k: None
        sys.modules["left"] = sys
        os.environ["LEFT"] = "x"
        """,
        follower="""
        import builtins
        return hasattr(builtins, "left") or "left" in sys.modules or "LEFT" in os.environ or len([1]) != 1
        """,
        unsafe=False,
    ),
    lingers(
        "shared memory",
        "POSIX shared memory and semaphores",
        """
        try:
            from multiprocessing import shared_memory
            memory = shared_memory.SharedMemory("polytune-left", create=True, size=64)
        except OSError: pass
        open("/dev/shm/polytune-left2", "w").write("x") if os.access("/dev/shm", os.W_OK) else None
        """,
        follower="""
        found = [p for p in ("/dev/shm/polytune-left", "/dev/shm/polytune-left2") if os.path.exists(p)]
        for p in found: os.unlink(p)
        return found
        """,
    ),
    lingers(
        "abstract name",
        "a listening socket without a file, in a process that stays",
        """
        if os.fork() == 0:
            try:
                s = socket.socket(socket.AF_UNIX); s.bind("\\0polytune-left"); s.listen()
            except OSError: pass
            time.sleep(60); os._exit(0)
        """,
        follower="socket.socket(socket.AF_UNIX).connect('\\0polytune-left')\nreturn True\n",
    ),
    lingers(
        "descriptors left to the judge",
        "descriptors sent over the connection",
        """
        s = socket.socket(fileno=os.dup(3))
        null = os.open("/dev/null", os.O_RDONLY)
        """,
        unsafe=False,
    ),
    lingers(
        "lowered limits",
        "limits and priorities that a warm process would inherit",
        """
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        os.nice(10); os.umask(0o777)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        """,
        follower="return resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 16 or os.nice(0) > @NICE@\n",
    ),
    lingers(
        "profile of all threads",
        "a profile function and a trace for whatever runs next",
        """
        sys.setprofile(lambda *a: None); threading.settrace(lambda *a: None); sys.dont_write_bytecode = False
        """,
        follower="return sys.getprofile() is not None\n",
        unsafe=False,
    ),
    lingers(
        "module on disk",
        "a module that the next sample would import",
        """
        for name in ("json", "random", "left_module"):
            open(name + ".py", "w").write("LEFT = True")
        os.makedirs("numpy", exist_ok=True); open("numpy/__init__.py", "w").write("LEFT = True")
        """,
        follower="""
        import json, random
        try: import left_module
        except ImportError: return hasattr(json, "LEFT") or hasattr(random, "LEFT")
        return True
        """,
    ),
)
