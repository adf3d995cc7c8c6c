"""Training under DeepSpeed ZeRO, in any number of processes.

One decision: the process group is the launcher's business (Ray Train, torchrun, or a test). This
module joins the group that it finds, and starts one of a single process only when there is none.

On CPU DeepSpeed keeps to PyTorch's AdamW and gloo. Its first use compiles an operator, which needs
g++ and ninja.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.loading import device_of
from trainers.batches.rows import Batch
from trainers.engines.builds import build_root, outwait_builds
from trainers.engines.optimizers import optimizer_for
from trainers.engines.protocol import LossModule
from trainers.spec import Runtime, TrainingSettings


class ZeroEngine:
    """A model under ZeRO, after `join_group`. See `trainers.engines.protocol.Engine` for what each verb means."""

    def __init__(
        self, model: PreTrainedModel, *, settings: TrainingSettings, runtime: Runtime, num_tracks: int
    ) -> None:
        import deepspeed

        self.model = model
        on_cpu = model.device.type == "cpu"
        # On CUDA the weights are bf16 with DeepSpeed's 32-bit masters; on CPU they are 32-bit and
        # the products are cast.
        loss = LossModule(self.model, num_tracks=num_tracks, autocast=on_cpu and settings.precision == "bf16")
        self._engine, *_ = deepspeed.initialize(
            model=loss,
            optimizer=optimizer_for(self.model.parameters(), settings=settings),
            config=_config(settings, runtime=runtime, on_cpu=on_cpu),
            dist_init_required=False,
        )
        self._zero_stage = runtime.zero_stage
        self.rank = torch.distributed.get_rank()
        self.world = torch.distributed.get_world_size()

    def sums(self, batch: Batch, *, last: bool) -> tuple[Tensor, Tensor]:
        """See `Engine`; DeepSpeed must know before the forward pass whether a step follows."""
        if torch.is_grad_enabled():
            self._engine.set_gradient_accumulation_boundary(last)
        sums, counts = self._engine(batch)
        return sums, counts

    def backward(self, loss: Tensor) -> None:
        """See `Engine`; DeepSpeed averages over processes, and the loop wants the sum."""
        self._engine.backward(loss * self.world)

    def step(self, *, learning_rate: float) -> float:
        """See `Engine`."""
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        # Without ZeRO DeepSpeed clips 32-bit gradients but keeps no norm of them.
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None] if self._zero_stage == 0 else []
        total = torch.nn.utils.get_total_norm(gradients)
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return float(total if norm is None else norm)

    def evaluating(self, on: bool) -> None:
        """See `Engine`."""
        self._engine.train(not on)

    def save(self, folder: Path) -> None:
        """See `Engine`; under ZeRO 3 the shards are gathered first, on every process."""
        import deepspeed

        gathered = list(self.model.parameters()) if self._zero_stage == 3 else []
        with deepspeed.zero.GatheredParameters(gathered):
            if self.rank == 0:
                state = {name: tensor.detach().to(torch.bfloat16) for name, tensor in self.model.state_dict().items()}
                self.model.save_pretrained(str(folder), state_dict=state)
        torch.distributed.barrier()


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


def _config(settings: TrainingSettings, *, runtime: Runtime, on_cpu: bool) -> dict[str, Any]:
    # Accumulation is the loop's: boundaries are set by hand, so DeepSpeed is told of one step.
    return {
        "train_micro_batch_size_per_gpu": runtime.micro_batch,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.max_grad_norm,
        "bf16": {"enabled": not on_cpu},
        "zero_optimization": {"stage": runtime.zero_stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }
