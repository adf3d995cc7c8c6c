"""A decoding step as a captured CUDA graph, which is launched at once where its thousand kernels take far longer.

One decision: a step is captured for a few counts of slots and reaches. A step for a count between takes the next larger
one; what its unused slots compute is thrown away, and they write into their own slots, which nobody reads.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evaluators.generation.slots import SlotStore, go_on
from models.rack import Rack

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Captured:
    graph: Any
    inputs_3S: Tensor
    logits_SV: Tensor


class Replay:
    """The captured steps of one model over one store.

    Args:
        model: The model, within `slot_attending`.
        store: Its slots.
        rack: Its adapters, if it has any on.
    """

    def __init__(self, model: Any, store: SlotStore, *, rack: Rack | None) -> None:
        self._model, self._store, self._rack = model, store, rack
        self._steps: dict[tuple[int, int], _Captured] = {}
        self._pool: Any = None
        self._refused = False

    def go_on(self, ids: Sequence[int], positions: Sequence[int], rows: Sequence[int], *, reach: int) -> Tensor:
        """One token more for the first slots: the logits behind it, (S, V); see `slots.go_on`."""
        count = len(ids)
        size = min(self._store.slots, 1 << (count - 1).bit_length())
        padding = [0] * (size - count)
        inputs_3S = torch.tensor([[*ids, *padding], [*positions, *padding], [*rows, *padding]], pin_memory=True).to(
            self._model.device, non_blocking=True
        )
        if self._refused:
            return self._eager(inputs_3S[:, :count], reach=reach)
        step = self._steps.get((size, reach))
        if step is None:
            step = self._capture(inputs_3S, reach=reach)
            if step is None:
                return self._eager(inputs_3S[:, :count], reach=reach)
            self._steps[size, reach] = step
        step.inputs_3S.copy_(inputs_3S)
        step.graph.replay()
        return step.logits_SV[:count]

    def _eager(self, inputs_3S: Tensor, *, reach: int) -> Tensor:
        if self._rack is not None:
            self._rack.rows(inputs_3S[2])
        return go_on(self._model, self._store, inputs_3S[0], inputs_3S[1], reach=reach)

    def _capture(self, like_3S: Tensor, *, reach: int) -> _Captured | None:
        """Capture a step, or None where the model does what a graph cannot hold; then no other is tried."""
        inputs_3S = like_3S.clone()
        try:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                # Libraries make their workspaces at the first call, which a capture does not allow.
                self._eager(inputs_3S, reach=reach)
            torch.cuda.current_stream().wait_stream(side)
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                logits_SV = self._eager(inputs_3S, reach=reach)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _LOG.info("decoding steps are not captured: %s", error)
            self._refused = True
            return None
        return _Captured(graph=graph, inputs_3S=inputs_3S, logits_SV=logits_SV)


__all__ = ["Replay"]
