"""Which weights of a training are kept.

One decision: the better ones are written beside the best so far before that is removed, so there is always one whole
checkpoint once there was any.
"""

from trainers.loop.progress import Progress
from trainers.loop.services import Services


def keep(services: Services, progress: Progress, *, value: float | None) -> Progress:
    """Write the weights beside the previous best, then drop that one; every process calls it."""
    previous, folder = progress.best.folder, f"checkpoint-{progress.step}"
    services.engine.save(services.out / folder)
    if previous and services.engine.rank == 0:
        for path in (services.out / previous).iterdir():
            path.unlink()
        (services.out / previous).rmdir()
    return progress.kept(value=value, folder=folder)
