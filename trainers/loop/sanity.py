"""A look at the real weights before the first step: is the loss that would be trained the model's own?

One decision: a probe has said how a family's rows go, on a small copy, in 32 bits, on a CPU. What else there may be (a
kernel of this GPU, a file of weights) shows here, on the study's own examples, and stops a training before it costs.
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from models.flat import causal_model
from models.quantised import layers_4bit
from trainers.batches.rows import Encoded
from trainers.loop.passes import row_of, share_of
from trainers.loop.plan import Plan
from trainers.loop.services import Services
from trainers.objective.token_losses import counts_of

# Nats a token by which the two may differ: in 32 bits, and where products have 16.
ALLOWED_FP32, ALLOWED_BF16 = 2e-5, 0.02
# The shortest: their logits are made whole here, as the model itself makes them.
_EXAMPLES = 3


def refuse_other_loss(plan: Plan, services: Services) -> None:
    """Compare training's mean loss of a few examples with that of the model's own forward pass of each alone.

    Raises:
        ValueError: if they differ, with both.
    """
    chosen = sorted(plan.train, key=lambda example: (len(example.ids), example.name))[:_EXAMPLES]
    tokens = sum(counts_of(chosen, plan.tracks))
    with services.engine.judging() as judged:
        rows, _ = share_of(chosen, services)
        sums = torch.zeros(len(plan.tracks), dtype=torch.float64)
        for numbers in rows:
            sums += judged.sums(row_of(chosen, numbers, plan=plan, services=services)).double().cpu()
        ours = float(services.engine.reduce(sums).sum()) / tokens
        theirs = sum(_own_sum(judged.model, example) for example in chosen) / tokens
        exact = plan.spec.settings.precision == "fp32" and not layers_4bit(judged.model)
    allowed = ALLOWED_FP32 if exact else ALLOWED_BF16
    if not abs(ours - theirs) <= allowed:
        raise ValueError(
            f"training {plan.spec.model.name} would compute a loss of {ours:.5f} nats a token on {len(chosen)} "
            f"examples where the model itself gives {theirs:.5f}, which may differ by {allowed:g}. Nothing was "
            "trained; name a model of another family"
        )


def _own_sum(model: Any, example: Encoded) -> float:
    """The loss of an example's loss-carrying tokens by the model's own forward pass, in nats."""
    base = causal_model(model)
    ids_1T = torch.tensor([example.ids], device=next(base.parameters()).device)
    logits_TV = base(input_ids=ids_1T, use_cache=False).logits[0, example.loss_from - 1 : -1].float()
    return float(cross_entropy(logits_TV, ids_1T[0, example.loss_from :], reduction="sum"))


__all__ = ["ALLOWED_BF16", "ALLOWED_FP32", "refuse_other_loss"]
