"""Executes generated Python, Java and C# in isolated processes, and judges what they return.

    judge (this process) -> keeper (trusted; runs Python tests, watches limits) -> zygote (warm) -> candidate

One decision: the candidate is believed in nothing but data. Tests run in a trusted process, where the
name under test is a proxy; what crosses is plain data in a closed encoding (`evaluators.isolation.values`).
Only tests that need the candidate's own objects run in its process (`strength: in-process`), decided
from the problem alone. An exit status is never a verdict. What only waits, or what the harness could
not run, is `unjudged`, and never counted against a program.

What confines a candidate, by class (`auto` takes the first that the machine gives):

    strict    its own user, PID, mount, network, IPC and UTS namespaces; a read-only view that holds the
              language's files and one empty work folder of limited size, in memory; no /proc of others;
              and all of the next
    landlock  no capabilities, no new privileges; Landlock: reads the language's files, writes its work
              folder, signals nobody outside; a seccomp filter: no sockets, no tracing, no namespaces, no
              mounts, no keys, no io_uring, no new kernel interfaces; limits on CPU, memory, files, processes
    none      separate processes and limits on resources alone; only when asked for by name

Limits do not depend on load: CPU time decides, and wall time is a net that does not count the time in
which a ready thread had no processor.

What it does NOT protect against:

- faults of the kernel itself, and what processors leak by timing: it is no virtual machine;
- `in-process` tests: such a program can reach the test's code after it was loaded and forge its outcome.
  In Java and C# that takes more than reading the connection in the driver's place, since the token needs a
  key that was read before; in Python nothing can be hidden. Their share is reported for that reason;
- a program that knows the published tests by heart and answers them by rote;
- under `landlock`: names and sizes of files can be asked for (`stat`), other processes be seen in /proc,
  though not read; before Linux 6.2 a file that the same user may write can be emptied; processes and memory
  are watched every 0.1 s, and the kernel bounds their number only at 1,024 more than the user had before;
- several processes that together use much memory for less than 0.1 s, in every class: cgroups are not used,
  because few machines let an ordinary user make them;
- use of both the CPU's caches and the disk's bandwidth by a candidate within its limits.
"""

from evaluators.sandbox.availability import Availability, available_isolation
from evaluators.sandbox.judge import execute, judged, judged_programs
from evaluators.sandbox.records import Isolation, IsolationClass, IsolationError, Limits, Program
from evaluators.sandbox.toolchains import Toolchain, missing_toolchain, toolchains

__all__ = [
    "Availability",
    "Isolation",
    "IsolationClass",
    "IsolationError",
    "Limits",
    "Program",
    "Toolchain",
    "available_isolation",
    "execute",
    "judged",
    "judged_programs",
    "missing_toolchain",
    "toolchains",
]
