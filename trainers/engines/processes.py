"""This process among those that train together, and what their machines hold.

One decision: the process group is the launcher's; where there is none, a process is the only one.
"""

import resource
from collections.abc import Sequence

import torch
from torch import Tensor


def rank_and_world() -> tuple[int, int]:
    """This process's number, and how many there are."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def total_over_processes(sums: Tensor) -> Tensor:
    """The sum of all processes' numbers, in 64 bits on the CPU."""
    wide = sums.detach().double()
    if rank_and_world()[1] > 1:
        on_gpu = torch.distributed.get_backend() == "nccl"
        wide = wide.to("cuda" if on_gpu else "cpu").clone()
        torch.distributed.all_reduce(wide)
    return wide.cpu()


def share_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Let every process have the sum of all processes' gradients, by one exchange of one buffer."""
    if rank_and_world()[1] == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    bucket = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(bucket)
    for gradient, part in zip(gradients, torch.split(bucket, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if rank_and_world()[1] > 1:
        torch.distributed.barrier()


def peak_bytes(device: torch.device) -> int:
    """The most memory that was held at once: of a GPU by PyTorch, else by this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
