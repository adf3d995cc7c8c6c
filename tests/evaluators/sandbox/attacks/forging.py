"""Programs that know no answer and claim to: lying values, walks to the answers, patches, exits, false words."""

from attacks.hostile import ANSWER, Attack, forges

_WALK = """
    EXPECTED = {3: None, 14: None}
    def dig(consts):
        return [c for c in consts if type(c) is int and 26 < c < 99991 and c not in (3, 14, 159, 26535)]
    def consts_of(code, depth=0):
        found = []
        for const in code.co_consts:
            if hasattr(const, "co_consts") and depth < 5:
                found += consts_of(const, depth + 1)
        return dig(code.co_consts) + found
    def answers(codes):
        for code in codes:
            if code.co_name in ("check", "<module>"):
                found = consts_of(code)
                if len(found) >= 4:
                    return found[:4]
        return [0] * 4
    INPUTS = [3, 14, 159, 26535]
"""

LIES = (
    forges(
        "always equal",
        "an object whose every comparison is true",
        """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        def solve(n): return Equal()
        """,
    ),
    forges(
        "always equal, as data",
        "the same where tests are data",
        """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
        def solve(n): return Equal()
        """,
        problem="calls",
    ),
    forges(
        "int that lies",
        "a subclass of int with an equality of its own",
        """
        class Int(int):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
        def solve(n): return Int(0)
        """,
    ),
    forges(
        "int that lies, as data",
        "a subclass of int that lies to every conversion",
        """
        class Int(int):
            def __eq__(self, other): return True
            __ne__ = __lt__ = __gt__ = lambda self, other: False
            def __int__(self): return 0
            __index__ = __trunc__ = __int__
            def __getattribute__(self, name): return lambda *a: True
            def __reduce__(self): return (eval, ("0",))
        def solve(n): return Int(0)
        """,
        problem="calls",
    ),
    forges(
        "float that lies",
        "a subclass of float against a tolerance",
        """
        class Float(float):
            def __sub__(self, other): return 0.0
            __rsub__ = __sub__
            def __eq__(self, other): return True
            def __float__(self): return 0.0
        def solve(n): return Float(1.5)
        """,
        problem="tolerant",
    ),
    forges(
        "number of all operators",
        "an object that answers every operator with itself",
        """
        class Any:
            def __getattr__(self, name): return self
            def __call__(self, *a, **k): return self
            __sub__ = __rsub__ = __add__ = __abs__ = __neg__ = __call__
            __lt__ = __gt__ = __le__ = __ge__ = __eq__ = lambda self, other: True
            def __hash__(self): return 0
        def solve(n): return Any()
        """,
        problem="tolerant",
    ),
    forges(
        "string that lies",
        "a subclass of str",
        """
        class Text(str):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
            def __str__(self): return self
        def solve(n): return Text("x")
        """,
    ),
    forges(
        "list that lies",
        "a subclass of list with its own iteration and equality",
        """
        class List(list):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __iter__(self): return iter([])
            def __len__(self): return 0
        def solve(n): return List([1])
        """,
    ),
    forges(
        "nan is not different",
        "nan, which is neither equal nor smaller",
        "def solve(n): return float('nan')\n",
        problem="tolerant",
    ),
    forges(
        "borrowed class",
        "an object whose `__class__` is int",
        """
        class Fake:
            @property
            def __class__(self): return int
            def __eq__(self, other): return True
        def solve(n): return Fake()
        """,
        problem="calls",
    ),
    forges(
        "lying metaclass",
        "a class that claims every instance and every base",
        """
        class Meta(type):
            def __instancecheck__(cls, other): return True
            def __subclasscheck__(cls, other): return True
            def __eq__(cls, other): return True
            def __hash__(cls): return hash(int)
            @property
            def __mro__(cls): return (int, object)
            def mro(cls): return [cls, int, object]
            __name__ = "int"
        try:
            class Fake(metaclass=Meta):
                def __eq__(self, other): return True
        except TypeError:
            class Fake:
                def __eq__(self, other): return True
        def solve(n): return Fake()
        """,
    ),
    forges(
        "the standard library's wildcard",
        "`unittest.mock.ANY`",
        """
        def solve(n):
            from unittest.mock import ANY
            return ANY
        """,
    ),
    forges(
        "magic mock",
        "a `MagicMock` that was told to be equal",
        """
        def solve(n):
            from unittest.mock import MagicMock
            mock = MagicMock()
            mock.__eq__.return_value = True
            return mock
        """,
    ),
    forges(
        "equality in a container",
        "a wildcard within a tuple",
        """
        class Equal:
            def __eq__(self, other): return True
            def __hash__(self): return 0
        class Pair(tuple):
            def __eq__(self, other): return True
        def solve(n): return Pair((Equal(),))
        """,
    ),
)

WALKS = (
    forges(
        "frames",
        "the constants of the calling frames",
        _WALK
        + """
    import sys
    def solve(n):
        codes, frame = [], sys._getframe()
        while frame is not None:
            codes.append(frame.f_code)
            codes += [v.__code__ for v in [*frame.f_globals.values(), *frame.f_locals.values()] if hasattr(v, "__code__")]
            frame = frame.f_back
        return answers(codes)[INPUTS.index(n)]
    """,
    ),
    forges(
        "garbage collector",
        "all functions that the collector knows",
        _WALK
        + """
    import gc, types
    def solve(n):
        codes = [o.__code__ for o in gc.get_objects() if isinstance(o, types.FunctionType)]
        return answers(codes)[INPUTS.index(n)]
    """,
    ),
    forges(
        "referrers",
        "whoever refers to the function under test",
        _WALK
        + """
    import gc, types
    def solve(n):
        seen, todo = [], [solve]
        for _ in range(3):
            todo = [r for o in todo for r in gc.get_referrers(o)][:500]
            seen += todo
        codes = [v.__code__ for d in seen if type(d) is dict for v in d.values() if isinstance(v, types.FunctionType)]
        return answers(codes)[INPUTS.index(n)]
    """,
    ),
    forges(
        "modules",
        "the functions of all modules",
        _WALK
        + """
    import sys, types
    def solve(n):
        codes = [v.__code__ for m in list(sys.modules.values()) for v in list(getattr(m, "__dict__", {}).values())
                 if isinstance(v, types.FunctionType)]
        return answers(codes)[INPUTS.index(n)]
    """,
    ),
    forges(
        "stack of inspect",
        "`inspect.stack` and its source lines",
        _WALK
        + """
    import inspect
    def solve(n):
        codes = []
        for info in inspect.stack():
            codes += [v.__code__ for v in {**info.frame.f_globals, **info.frame.f_locals}.values() if hasattr(v, "__code__")]
        return answers(codes)[INPUTS.index(n)]
    """,
    ),
    forges(
        "frames of other threads",
        "`sys._current_frames`",
        _WALK
        + """
    import sys
    def solve(n):
        codes = []
        for frame in sys._current_frames().values():
            while frame:
                codes += [v.__code__ for v in {**frame.f_globals, **frame.f_locals}.values() if hasattr(v, "__code__")]
                frame = frame.f_back
        return answers(codes)[INPUTS.index(n)]
    """,
    ),
    forges(
        "expected lists in frames",
        "lists of expected values among locals",
        """
    import sys
    def solve(n):
        frame = sys._getframe()
        while frame:
            for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                if isinstance(value, (list, tuple)) and len(value) == 4 and all(type(v) is int for v in value):
                    if value[0] > 100: return value[[3, 14, 159, 26535].index(n)]
            frame = frame.f_back
    """,
    ),
    forges(
        "own memory",
        "the text of the tests within the process's own memory",
        """
    import re
    def solve(n):
        found = None
        for line in open("/proc/self/maps"):
            if "rw-p" not in line: continue
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            try:
                with open("/proc/self/mem", "rb", 0) as memory:
                    memory.seek(low)
                    block = memory.read(min(high - low, 1 << 24))
            except (OSError, ValueError): continue
            hit = re.search(rb"candidate\\(%d\\) == ([0-9]+)" % n, block)
            if hit: found = int(hit[1])
        return found
    """,
    ),
    forges(
        "tests on disk",
        "a file with the tests",
        """
    import os, re, sys, tempfile
    def solve(n):
        for root in {".", tempfile.gettempdir(), os.path.dirname(sys.argv[0] or "."), "..", "/work", "/var/tmp"}:
            for folder, _, names in os.walk(root):
                for name in names[:200]:
                    try: text = open(os.path.join(folder, name), "rb").read(100000)
                    except OSError: continue
                    hit = re.search(rb"candidate[(]%d[)] == ([0-9]+)" % n, text)
                    if hit: return int(hit[1])
    """,
    ),
)

PATCHES = (
    forges(
        "assertion error",
        "`AssertionError` that is never raised",
        """
        import builtins
        class Never(BaseException):
            def __new__(cls, *a): raise SystemExit(0)
        builtins.AssertionError = Never
        def solve(n): return 0
        """,
    ),
    forges(
        "compile and exec",
        "`compile`, `exec` and `eval` of the harness",
        """
        import builtins
        real = builtins.exec
        builtins.exec = lambda *a, **k: None
        builtins.eval = lambda *a, **k: True
        builtins.compile = lambda *a, **k: (lambda: None).__code__
        def solve(n): return 0
        """,
    ),
    forges(
        "compile and exec, in process",
        "the same where the tests run beside the program",
        """
        import builtins
        builtins.exec = lambda *a, **k: None
        class Counter:
            def __init__(self, n): pass
            def value(self): return 0
        """,
        problem="class",
    ),
    forges(
        "type, isinstance, abs",
        "the built-in functions that a comparison uses",
        """
        import builtins
        builtins.type = lambda *a: int
        builtins.isinstance = lambda *a: True
        builtins.abs = lambda *a: 0
        builtins.len = lambda *a: 0
        builtins.all = builtins.any = lambda *a: True
        def solve(n): return 0
        """,
        problem="tolerant",
    ),
    forges(
        "unittest",
        "every assertion of unittest, and operator.eq",
        """
        import math, operator, unittest
        for name in dir(unittest.TestCase):
            if name.startswith("assert"): setattr(unittest.TestCase, name, lambda *a, **k: None)
        operator.eq = operator.ne = math.isclose = lambda *a, **k: True
        def solve(n): return 0
        """,
    ),
    forges(
        "json",
        "the encoder that carries the answer",
        """
        import json
        json.dumps = lambda *a, **k: '["ok",true,[]]'
        json.JSONEncoder.encode = lambda *a: '["token",""]'
        json.loads = lambda *a, **k: ["call", None, "solve", [], None]
        def solve(n): return 0
        """,
    ),
    forges(
        "harness modules",
        "every function of the harness that can be found in memory",
        """
        import sys
        for name, module in list(sys.modules.items()):
            if "candidate" in name or "judge" in name or "values" in name or "zygote" in name:
                for key, value in list(vars(module).items()):
                    if key in ("encode", "same", "matches", "run_tests", "_run_tests", "unpack", "decode"):
                        setattr(module, key, lambda *a, **k: True)
        def solve(n): return 0
        """,
    ),
    forges(
        "trace function",
        "a trace that jumps over the assertions",
        """
        import sys
        def jump(frame, event, argument):
            if event == "line" and frame.f_code.co_name in ("check", "<module>"):
                try: frame.f_lineno = max(line for _, _, line in frame.f_code.co_lines() if line)
                except (ValueError, AttributeError): pass
            return jump
        sys.settrace(jump)
        def solve(n):
            frame = sys._getframe().f_back
            while frame: frame.f_trace = jump; frame = frame.f_back
            sys.settrace(jump)
            return 0
        """,
    ),
    forges(
        "small integers",
        "the value of cached integers, through ctypes",
        """
        import ctypes
        def solve(n):
            for small in range(200, 250):
                ctypes.c_uint32.from_address(id(small) + 24).value = 76001
            return 230
        """,
    ),
    forges(
        "exception hook",
        "an excepthook that ends well",
        """
        import os, sys, threading
        sys.excepthook = threading.excepthook = lambda *a: os._exit(0)
        sys.unraisablehook = sys.excepthook
        def solve(n): raise ValueError
        """,
    ),
)

EXITS = (
    forges("sys.exit at load", "success by exit status, before any call", "import sys\nsys.exit(0)\n"),
    forges("sys.exit in a call", "success by exit status", "import sys\ndef solve(n): sys.exit(0)\n"),
    forges("os._exit at load", "an end that nothing can catch", "import os\nos._exit(0)\n"),
    forges("os._exit in a call", "an end that nothing can catch", "import os\ndef solve(n): os._exit(0)\n"),
    forges(
        "os._exit, as data", "an end that nothing can catch", "import os\ndef solve(n): os._exit(0)\n", problem="calls"
    ),
    forges(
        "os._exit, in process",
        "an end within the tests",
        """
        import os
        class Counter:
            def __init__(self, n): os._exit(0)
        """,
        problem="class",
    ),
    forges(
        "sys.exit, in process",
        "an end within the tests",
        """
        import sys
        class Counter:
            def __init__(self, n): sys.exit(0)
        """,
        problem="class",
    ),
    forges(
        "atexit",
        "a handler that ends well, after a failure",
        """
        import atexit, os
        atexit.register(os._exit, 0)
        def solve(n): raise SystemExit(1)
        """,
    ),
    forges(
        "finalizer",
        "`__del__` that ends well",
        """
        import os
        class Late:
            def __del__(self): os._exit(0)
        late = Late()
        def solve(n):
            global late
            late = None
        """,
    ),
    forges(
        "another program", "`execv` of one that succeeds", "import os\ndef solve(n): os.execv('/bin/true', ['true'])\n"
    ),
    forges("abort", "death by a signal", "import os\ndef solve(n): os.abort()\n"),
    forges("keyboard interrupt", "an exception that harnesses let through", "def solve(n): raise KeyboardInterrupt\n"),
    forges(
        "base exception",
        "an exception of no known kind",
        """
        class Passed(BaseException):
            def __str__(self): return "passed"
            def __repr__(self): raise SystemExit(0)
        def solve(n): raise Passed
        """,
    ),
    forges(
        "exit from a thread",
        "another thread's end, while the test waits",
        """
        import os, threading, time
        def solve(n):
            threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()
            time.sleep(5)
        """,
    ),
)

_LINES = r"""
    LINES = [b'["ok",true,[]]\n', b'["token",""]\n', b'["loaded"]\n', b'["passed"]\n', b'{"ending":"passed","text":""}\n',
             b'passed\n', b'OK\n', b'1 passed\n', b'{"verdict":"passed"}\n', b'\n.\n---\nRan 1 test in 0.000s\n\nOK\n']
"""

WORDS = (
    forges(
        "printed words",
        "what a judge might print, on standard output",
        _LINES
        + """
    import sys
    def solve(n):
        for line in LINES: sys.stdout.write(line.decode()); sys.stderr.write(line.decode())
        sys.stdout.flush()
        return 0
    """,
    ),
    forges(
        "words on every descriptor",
        "what a judge might print, on all that is open",
        _LINES
        + """
    import os
    def solve(n):
        for fd in range(256):
            for line in LINES:
                try: os.write(fd, line)
                except OSError: pass
        os._exit(0)
    """,
        unsafe=True,
    ),
    forges(
        "words before the program is loaded",
        "protocol lines at load",
        _LINES
        + """
    import os
    for line in LINES * 3:
        try: os.write(3, line)
        except OSError: pass
    def solve(n): return 0
    """,
    ),
    forges(
        "words from a thread",
        "answers from a thread, ahead of the questions",
        """
    import os, threading
    def shout():
        for _ in range(2000):
            try: os.write(3, b'["ok",0,[]]\\n["token",""]\\n')
            except OSError: return
    threading.Thread(target=shout, daemon=True).start()
    def solve(n): return 0
    """,
    ),
    forges(
        "words, in process",
        "the token's line where the tests run beside the program",
        """
    import os
    class Counter:
        def __init__(self, n):
            for _ in range(9):
                try: os.write(3, b'["token",""]\\n["token",null]\\n["token","0"]\\n')
                except OSError: pass
            os._exit(0)
    """,
        problem="class",
    ),
    forges(
        "deep line",
        "an answer that is nested too deeply to read",
        """
    import os
    def solve(n):
        try: os.write(3, b'["ok",' + b'[' * 50000 + b']' * 50000 + b',[]]\\n')
        except OSError: pass
    """,
    ),
    forges(
        "malformed tags",
        "encodings of no value",
        """
    import os
    def solve(n):
        for content in (b'{"i":1}', b'{"x":[]}', b'{"t":5}', b'{"s":[[]]}', b'{"d":[[[],1]]}', b'{"r":["a"]}', b'{}'):
            try: os.write(3, b'["ok",' + content + b',[]]\\n')
            except OSError: pass
        os._exit(0)
    """,
    ),
    forges(
        "changed arguments that were not given",
        "a change of arguments beyond the list",
        """
    import os
    def solve(n):
        try: os.write(3, b'["ok",0,[[99,{"d":[]}],["x",1],null]]\\n')
        except OSError: pass
        os._exit(0)
    """,
    ),
    forges(
        "no JSON",
        "bytes that are no text",
        """
    import os
    def solve(n):
        try: os.write(3, b'\\xff\\xfe\\x00NaN\\n')
        except OSError: pass
        os._exit(0)
    """,
    ),
    forges(
        "empty answer",
        "a line without a word, and numbers as answers",
        """
    import os
    def solve(n):
        try: os.write(3, b'[]\\n')
        except OSError: pass
        os._exit(0)
    """,
    ),
    forges(
        "answer that is no list",
        "a scalar where the judge unpacks a list",
        """
    import os
    def solve(n):
        try: os.write(3, b'5\\n')
        except OSError: pass
        os._exit(0)
    """,
        problem="calls",
    ),
    forges(
        "empty answer, as data",
        "a line without a word",
        """
    import os
    def solve(n):
        try: os.write(3, b'[]\\n')
        except OSError: pass
        os._exit(0)
    """,
        problem="calls",
    ),
    forges(
        "short answer, as data",
        "a word without its content",
        """
    import os
    def solve(n):
        try: os.write(3, b'["failed"]\\n["raise"]\\n')
        except OSError: pass
        os._exit(0)
    """,
        problem="calls",
    ),
    forges(
        "colliding keys",
        "a dict whose hashing takes the judge for ever",
        """
    def solve(n): return {i * (2**61 - 1): 0 for i in range(1, 8000)}
    """,
    ),
    forges("cyclic list", "a list that holds itself", "def solve(n):\n    a = []\n    a.append(a)\n    return a\n"),
    forges(
        "nested a million deep",
        "a value that recursion cannot read",
        """
    def solve(n):
        a = []
        for _ in range(10**6): a = [a]
        return a
    """,
    ),
    forges(
        "lone surrogates and NUL", "text that is hard to carry", "def solve(n): return '\\ud800\\x00\\udfff\\n' * 9\n"
    ),
    forges(
        "names that lie",
        "an exception whose name and text are lines of the protocol",
        """
    Bad = type('x"]\\n["ok",true,[]]\\n', (Exception,), {"__str__": lambda self: '"]\\n["token",""]\\n'})
    def solve(n): raise Bad
    """,
    ),
    forges(
        "exception without text",
        "an exception whose text is another failure",
        """
    class Bad(Exception):
        def __str__(self): raise SystemExit(0)
    def solve(n): raise Bad
    """,
    ),
    forges(
        "integer of a billion digits",
        "an integer that memory cannot hold",
        "def solve(n): return 10 ** (10 ** 9)\n",
        unsafe=True,
    ),
    forges(
        "integer past the limit", "an integer longer than an answer may be", "def solve(n): return 1 << 9_000_000\n"
    ),
    forges(
        "endless iterator",
        "an iterator without end",
        """
    import itertools
    def solve(n): return itertools.count()
    """,
    ),
    forges("range without end", "a range that nothing can list", "def solve(n): return range(10**18)\n"),
)

IN_PROCESS = (
    forges(
        "always equal, in process",
        "what no apart judge would believe",
        """
        class Equal:
            def __eq__(self, other): return True
        class Counter:
            def __init__(self, n): pass
            def value(self): return Equal()
        """,
        problem="class",
    ),
    forges(
        "frames, in process",
        "the constants of the frame that runs the tests",
        """
        import sys
        class Counter:
            def __init__(self, n): self.n = n
            def value(self):
                consts = [c for c in sys._getframe(1).f_code.co_consts if type(c) is int]
                return consts[consts.index(self.n) + 1]
        """,
        problem="class",
    ),
)

ATTACKS: tuple[Attack, ...] = (*LIES, *WALKS, *PATCHES, *EXITS, *WORDS, *IN_PROCESS)
assert ANSWER
