"""Executes generated Python, Java and C# in separate, limited processes, and judges what they return.

One decision: the only entry is `execute(problems, programs, limits=..., workers=...)`, one verdict a
program, so that the walls around a candidate can grow without anybody noticing.

What stands between a candidate and this machine today: a process and session of its own, ended as a
whole; a private work folder, removed afterwards; an empty environment; limits on CPU time, memory,
file size, open files and processes; and, where the kernel grants them, new user, PID, network and IPC
namespaces, hence no network. Expected values of `CallTests` never enter the candidate's process.

What it does NOT protect against:

- reading the machine's files (data sets and their answers included), and, for a candidate that runs
  as the judge's user, writing and deleting them. A judge that runs as root hands candidates to the
  user nobody, unless the interpreter lies where nobody cannot go (below /root);
- attacks on the kernel through system calls; there is no seccomp filter and no Landlock rule set;
- filling the disk with many files, or memory with many processes, each below its own limit;
- in `in-process` tests (`CodeTests`), a candidate that reads the nonce from the frames of its callers;
- where `isolation()` says `rlimits`: the network, and a flood of processes.
"""

from evaluators.sandbox.confinement import isolation
from evaluators.sandbox.judge import execute
from evaluators.sandbox.records import Limits, Program
from evaluators.sandbox.toolchains import Toolchain, missing_toolchain, toolchains

__all__ = ["Limits", "Program", "Toolchain", "execute", "isolation", "missing_toolchain", "toolchains"]
