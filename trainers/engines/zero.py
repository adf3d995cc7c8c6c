"""Training under DeepSpeed ZeRO, in any number of processes.

One decision: the process group is the launcher's business (Ray Train, torchrun, or a test). This
module joins the group that it finds, and starts one of a single process only when there is none.

On CPU DeepSpeed keeps to PyTorch's AdamW and gloo. Its first use compiles an operator, which needs
g++ and ninja.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.loading import device_of
from trainers.batches.rows import Row
from trainers.engines.builds import build_root, outwait_builds
from trainers.engines.optimizers import optimizer_for
from trainers.engines.processes import peak_bytes, rank_and_world, total_over_processes, wait_for_all
from trainers.engines.protocol import Judged, LossModule, weighted
from trainers.spec import Runtime, TrainingSettings

_STATE = "state"


class ZeroEngine:
    """A model under ZeRO, after `join_group`. See `trainers.engines.protocol.Engine` for what each verb means."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        settings: TrainingSettings,
        runtime: Runtime,
        num_tracks: int,
        flat: bool,
        seed: int,
    ) -> None:
        import deepspeed

        self.flat, self._model, self._device, self._seed = flat, model, model.device, seed
        self._zero_stage = _stage(runtime)
        in_bf16 = settings.precision == "bf16"
        # What a training in 32 bits learnt is kept in 32: its smallest changes are lost in 16.
        self._kept = torch.bfloat16 if in_bf16 else torch.float32
        on_cpu = model.device.type == "cpu"
        # On CUDA the weights are bf16 with DeepSpeed's 32-bit masters; on CPU they are 32-bit and
        # the products are cast.
        self._loss = LossModule(
            model, num_tracks=num_tracks, autocast=on_cpu and in_bf16, flat=flat, smoothing=settings.label_smoothing
        )
        self._engine, *_ = deepspeed.initialize(
            model=self._loss,
            optimizer=optimizer_for(model.parameters(), settings=settings),
            config=_config(settings, stage=self._zero_stage, in_bf16=in_bf16 and not on_cpu),
            dist_init_required=False,
        )
        self.rank, self.world = rank_and_world()
        self._steps, self._passes = 0, 0

    def accumulate(self, row: Row, weights: Sequence[float], *, last: bool) -> Tensor:
        """See `Engine`; DeepSpeed averages over processes, and the loop wants the sum."""
        torch.manual_seed(hash((self._seed, self._steps, self._passes * self.world + self.rank)) % 2**63)
        with self._loss.attending():
            sums: Tensor = self._engine(row)
            self._engine.backward(weighted(sums, weights) * self.world)
        self._passes += 1
        return sums.detach()

    def set_aside(self) -> None:
        """See `Engine`; settings that need it are refused with this engine's methods."""
        raise NotImplementedError("DeepSpeed shards gradients as they come, so none can be kept apart")

    def step(self, *, learning_rate: float) -> float:
        """See `Engine`."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        self._engine.step()
        self._steps, self._passes = self._steps + 1, 0
        return float(self._engine.get_global_grad_norm())

    def reduce(self, sums: Tensor) -> Tensor:
        """See `Engine`."""
        return total_over_processes(sums)

    def state(self, folder: Path) -> None:
        """See `Engine`; each process writes its own share."""
        self._engine.save_checkpoint(str(folder), tag=_STATE, client_state={"steps": self._steps}, save_latest=False)

    def restore(self, folder: Path) -> None:
        """See `Engine`."""
        _, client = self._engine.load_checkpoint(str(folder), tag=_STATE, load_lr_scheduler_states=False)
        self._steps = client["steps"]

    @contextmanager
    def judging(self) -> Iterator[Judged]:
        """See `Engine`."""
        self._engine.train(False)
        try:
            with torch.no_grad():
                yield Judged(model=self._model, sums=self._sums)
        finally:
            self._engine.train(True)

    def _sums(self, row: Row) -> Tensor:
        with self._loss.attending():
            sums: Tensor = self._engine(row)
        return sums

    def save(self, folder: Path) -> None:
        """See `Engine`; under ZeRO 3 the shards are gathered first, on every process."""
        import deepspeed

        gathered = list(self._model.parameters()) if self._zero_stage == 3 else []
        with deepspeed.zero.GatheredParameters(gathered):
            if self.rank == 0:
                state = {name: tensor.detach().to(self._kept) for name, tensor in self._model.state_dict().items()}
                self._model.save_pretrained(str(folder), state_dict=state)
        wait_for_all()

    def parameters(self) -> tuple[int, int]:
        """See `Engine`; under ZeRO 3 the shard that is held here says nothing of a parameter's size."""
        # A weight that is used twice is one parameter.
        sizes = [int(getattr(p, "ds_numel", p.numel())) for p in self._model.parameters()]
        return sum(sizes), sum(sizes)

    def peak_bytes(self) -> int:
        """See `Engine`."""
        return peak_bytes(self._device)


def join_group(runtime: Runtime) -> None:
    """Make DeepSpeed ready for the device in use, and join, or start, a process group."""
    on_cpu = device_of(runtime.device).type == "cpu"
    if on_cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
    # ninja comes with our dependencies, and is found beside the interpreter.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    # DeepSpeed builds at its first use, and would wait for ever for a builder that was killed.
    outwait_builds(build_root())
    import deepspeed

    if not torch.distributed.is_initialized():
        os.environ.setdefault("LOCAL_RANK", "0")
        # PyTorch's stubs do not export the class, which is public and documented.
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        torch.distributed.init_process_group("gloo" if on_cpu else "nccl", store=store, rank=0, world_size=1)
    deepspeed.init_distributed(dist_backend="gloo" if on_cpu else "nccl", dist_init_required=False)


def _stage(runtime: Runtime) -> int:
    # Stage 0 keeps no norm, and is stage 1 for one process.
    return max(1, runtime.zero_stage)


def _config(settings: TrainingSettings, *, stage: int, in_bf16: bool) -> dict[str, Any]:
    return {
        # Counts of examples mean nothing to flat rows: a step is due when the loop says so.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": settings.max_grad_norm,
        "bf16": {"enabled": in_bf16},
        "zero_optimization": {"stage": stage, **({"overlap_comm": False} if stage == 1 else {})},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }
