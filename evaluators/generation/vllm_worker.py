"""What vLLM's own process is taught by us: to end when the process that started it does.

One decision: it looks at its parent once a second. A process that is killed tells nobody, and what it started would
hold a GPU's memory until somebody finds it.
"""

import os
import threading
import time

_LOOK_S = 1.0


class EndsWithParent:
    """Mixed into vLLM's worker by `worker_extension_cls`."""

    def end_with_parent(self, parent: int) -> bool:
        """Watch the process of this number, if it is this one's parent; returns whether it is."""
        if os.getppid() != parent:
            return False
        threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()
        return True


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os._exit(1)


__all__ = ["EndsWithParent"]
