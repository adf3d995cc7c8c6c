"""How busy the GPU is that a model writes on, by the driver's own measure.

One decision: NVIDIA's library is called as it comes with every driver, so that nothing has to be installed for one
number. Where it is not there, or does not answer, nobody knows.
"""

import ctypes
from functools import cache
from typing import Any


class _Rates(ctypes.Structure):
    """`nvmlUtilization_t`: per cent of the time of the last sampling period, a sixth of a second to a second."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


def gpu_busy(uuid: str) -> float | None:
    """The share of the time just past in which the GPU computed anything, 0 to 1; None where nobody knows.

    Args:
        uuid: The GPU's, `GPU-...`, so that hidden or renumbered GPUs are told apart; empty for none.
    """
    handle = _handle(uuid) if uuid else None
    rates = _Rates()
    if handle is None or _library().nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)):
        return None
    return float(rates.gpu) / 100


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return None if library.nvmlInit_v2() else library


@cache
def _handle(uuid: str) -> ctypes.c_void_p | None:
    library, handle = _library(), ctypes.c_void_p()
    if library is None or library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)):
        return None
    return handle


__all__ = ["gpu_busy"]
