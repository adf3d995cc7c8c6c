"""Python packages that are analyzers: whether one is installed, and in which version.

One decision: the interpreter's version is part of the version of a tool that reads code by `ast`, since
the same tool says other things of the same code under another Python.
"""

import platform
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

from evaluators.quality.outcome import MissingTool


def package_version(name: str, *, reads_with_ast: bool = False) -> Callable[[], str]:
    """A function that tells the version of an installed package, or raises `MissingTool`."""

    def tell() -> str:
        if find_spec(name) is None:
            raise MissingTool(f"the package {name} is not installed", remedy=f"pip install {name}")
        return version(name) + (f" (Python {platform.python_version()})" if reads_with_ast else "")

    return tell
