"""The version that a tool says it has.

One decision: a tool that does not answer is there all the same; its version is unknown.
"""

import subprocess


def asked_version(tool: str | None) -> str:
    """The first line that `tool --version` writes; `unknown` if it writes none, or there is no tool."""
    if tool is None:
        return "unknown"
    try:
        done = subprocess.run(
            [tool, "--version"], capture_output=True, text=True, timeout=30, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout or done.stderr).partition("\n")[0].strip()


__all__ = ["asked_version"]
