"""Our function for adapted projections against peft's own: layer by layer, and in a whole model.

peft's dropout is replaced by our mask where there is one, so that both drop the same elements.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor

from models.loading import load_base
from models.spec import ModelSpec
from trainers.methods.adapted import LowRank, Slot, adapt
from trainers.methods.dropout import DropoutKey, MaskKey, kept_share, layer_words, mask_of, threshold_of
from trainers.methods.lora import with_adapters
from trainers.spec import LoraSettings

pytestmark = pytest.mark.slow

TOKENS = 90
CPU = torch.device("cpu")
Figures = dict[str, Tensor]


def row_key(tokens: int = TOKENS) -> DropoutKey:
    """A row of examples of 30 tokens."""
    key = DropoutKey(seed=3)
    key.example_keys_T, key.positions_T = torch.arange(tokens) // 30, torch.arange(tokens) % 30
    return key


def drop_as_ours(layer: Any, name: str, key: DropoutKey) -> None:
    """Let peft's own forward pass drop what ours would."""
    threshold = threshold_of(getattr(layer.lora_dropout["default"], "p", 0.0))
    mask_key = MaskKey(words_2T=key.words_2T(CPU), layer=layer_words(name), threshold=threshold)

    def forward(x: Tensor) -> Tensor:
        return x * mask_of(mask_key, x.shape[-1]) / kept_share(threshold) if threshold else x

    layer.lora_dropout["default"].forward = forward


def filled(model: Any) -> dict[str, torch.nn.Parameter]:
    """What is trained, filled with numbers by name: fresh B are zero and would hide half of the arithmetic."""
    generator = torch.Generator().manual_seed(7)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for name in sorted(trained):
        trained[name].data.normal_(0, 0.05, generator=generator)
    return trained


def figures(run: Callable[[Tensor], Tensor], x: Tensor, dy: Tensor, trained: dict[str, Any], autocast: bool) -> Figures:
    """What a layer gives and what its gradients are."""
    x = x.clone().requires_grad_()
    for parameter in trained.values():
        parameter.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = run(x)
    y.backward(dy.to(y.dtype))  # type: ignore[no-untyped-call]
    assert x.grad is not None
    return {"y": y.detach(), "x": x.grad, **{name: p.grad.clone() for name, p in trained.items()}}


def worst(a: Figures, b: Figures) -> float:
    """The largest difference, in parts of the largest number of its kind."""
    return max(float((a[n].float() - b[n].float()).abs().max() / a[n].float().abs().max()) for n in a)


def one_layer(precision: torch.dtype, dropout: float) -> tuple[Figures, Figures]:
    torch.manual_seed(1)
    base = torch.nn.Sequential()
    base.add_module("up_proj", torch.nn.Linear(256, 704).to(precision).requires_grad_(False))
    config = LoraConfig(r=16, lora_alpha=32, lora_dropout=dropout, target_modules=["up_proj"])
    model = get_peft_model(base, config)  # type: ignore[arg-type]
    trained, key = filled(model), row_key()
    layer = model.base_model.model.up_proj
    x, dy = torch.randn(1, TOKENS, 256).to(precision), torch.randn(1, TOKENS, 704)
    autocast = precision is torch.bfloat16
    drop_as_ours(layer, "up_proj", key)
    theirs = figures(layer, x, dy, trained, autocast)
    del layer.lora_dropout["default"].forward
    assert adapt(model, key).own == ("base_model.model.up_proj",)
    return theirs, figures(layer, x, dy, trained, autocast)


def test_a_layer_without_dropout_is_pefts_to_the_bit_in_32_bits() -> None:
    theirs, ours = one_layer(torch.float32, 0.0)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_a_layer_with_dropout_is_pefts_within_rounding_in_32_bits() -> None:
    assert worst(*one_layer(torch.float32, 0.1)) < 1e-6


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_layer_in_16_bits_is_pefts_within_one_unit_in_the_last_place(dropout: float) -> None:
    assert worst(*one_layer(torch.bfloat16, dropout)) < 2**-7


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(5, 300, (1, TOKENS), generator=torch.Generator().manual_seed(2))


def loss_and_gradients(model: Any, trained: dict[str, Any], ids: Tensor, autocast: bool) -> Figures:
    for parameter in trained.values():
        parameter.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
    loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:])
    loss.backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), **{name: p.grad.clone() for name, p in trained.items()}}


def whole_model(
    spec: ModelSpec, ids: Tensor, *, precision: Any, dropout: float, checkpointing: bool
) -> tuple[Figures, Figures]:
    base = load_base(spec, precision=precision, device=CPU)
    if checkpointing:
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    base.requires_grad_(False)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(
        r=8, lora_alpha=16, lora_dropout=dropout, target_modules=targets, rank_pattern={"down_proj": 4}, use_rslora=True
    )
    model = get_peft_model(base, config).train()
    trained, key, autocast = filled(model), row_key(), precision != "fp32"
    layers = {n: m for n, m in model.named_modules() if isinstance(m, LoraLayer)}
    for name, layer in layers.items():
        drop_as_ours(layer, name.removeprefix("base_model.model."), key)
    theirs = loss_and_gradients(model, trained, ids, autocast)
    for layer in layers.values():
        del layer.lora_dropout["default"].forward
    coverage = adapt(model, key)
    assert set(coverage.own) == set(layers) and not coverage.by_peft
    return theirs, loss_and_gradients(model, trained, ids, autocast)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_whole_model_has_pefts_loss_and_gradients(
    model_spec: ModelSpec, ids: Tensor, dropout: float, checkpointing: bool
) -> None:
    figures = whole_model(model_spec, ids, precision="fp32", dropout=dropout, checkpointing=checkpointing)
    assert worst(*figures) < 5e-6


@pytest.mark.parametrize("precision", ["bf16", "nf4"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_whole_model_in_16_or_4_bits_has_pefts_loss_and_gradients_within_their_noise(
    model_spec: ModelSpec, ids: Tensor, precision: str, checkpointing: bool
) -> None:
    theirs, ours = whole_model(model_spec, ids, precision=precision, dropout=0.1, checkpointing=checkpointing)
    assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), rel=2e-3)
    noise = [float((ours[n].float() - theirs[n].float()).norm() / theirs[n].float().norm()) for n in theirs]
    assert max(noise) < 0.05


def test_several_adapters_in_one_row_have_the_output_and_gradients_of_the_plain_formula() -> None:
    torch.manual_seed(0)
    base = torch.nn.Linear(6, 5).double().requires_grad_(False)
    key = row_key(12)
    masks = MaskKey(words_2T=key.words_2T(CPU), layer=layer_words("a"), threshold=threshold_of(0.3))
    slots = (
        Slot(start=0, end=5, scale=2.0, mask=masks.part(0, 5)),
        Slot(start=5, end=9, scale=0.5),
        Slot(start=9, end=12, scale=1.0, mask=masks.part(9, 12)),
    )
    shapes = [(3, 6), (5, 3), (2, 6), (5, 2), (1, 6), (5, 1)]
    x = torch.randn(1, 12, 6, dtype=torch.float64, requires_grad=True)

    matrices = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    y = LowRank.apply(x, base, torch.float64, slots, *matrices)
    dy = torch.randn_like(y)
    y.backward(dy)
    reference = base(x)
    for slot, A_RI, B_OR in zip(slots, matrices[::2], matrices[1::2], strict=True):
        part = x[0, slot.start : slot.end]
        fed = part if slot.mask is None else part * mask_of(slot.mask, 6) / kept_share(slot.mask.threshold)
        change = torch.zeros_like(reference)
        change[0, slot.start : slot.end] = slot.scale * fed @ A_RI.T @ B_OR.T
        reference = reference + change
    assert torch.allclose(y, reference, atol=1e-12)
    expected = torch.autograd.grad(reference, [x, *matrices], dy)
    for got, want in zip([x, *matrices], expected, strict=True):
        assert torch.allclose(got.grad, want, atol=1e-5)


def saved_bytes(run: Callable[[], Tensor], model: torch.nn.Module) -> int:
    """Bytes that autograd keeps beyond the model's own, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for storage in kept.values())


def test_it_keeps_less_for_the_backward_pass_than_peft(model_spec: ModelSpec, ids: Tensor) -> None:
    base = load_base(model_spec, precision="bf16", device=CPU)
    base.requires_grad_(False)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(base, LoraConfig(r=8, lora_dropout=0.1, target_modules=targets)).train()

    def run() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            hidden: Tensor = model.base_model.model.model(input_ids=ids, use_cache=False).last_hidden_state
        return hidden

    theirs = saved_bytes(run, model)
    adapt(model, row_key())
    assert saved_bytes(run, model) < 0.7 * theirs


@pytest.fixture
def adapted_model(model_spec: ModelSpec) -> Iterator[Any]:
    base = load_base(model_spec, precision="fp32", device=CPU)
    yield with_adapters(base, LoraSettings(rank=4, dropout=0.5), seed=0, key=row_key())


def test_dropout_is_off_while_a_model_is_judged(adapted_model: Any, ids: Tensor) -> None:
    filled(adapted_model)
    with torch.no_grad():
        dropping = adapted_model(input_ids=ids).logits
        adapted_model.eval()
        judged, again = (adapted_model(input_ids=ids[:, :50]).logits for _ in range(2))
    assert torch.equal(judged, again)
    assert not torch.allclose(dropping[:, :50], judged, atol=1e-3)


def test_an_example_in_a_row_drops_what_it_drops_alone(adapted_model: Any, ids: Tensor) -> None:
    layer = adapted_model.base_model.model.model.layers[0].self_attn.q_proj
    filled(adapted_model)
    x = torch.randn(1, TOKENS, 64)
    whole = layer(x)
    key = layer.dropout_key
    key.example_keys_T, key.positions_T = torch.ones(30, dtype=torch.int64), torch.arange(30)
    assert torch.allclose(layer(x[:, 30:60]), whole[:, 30:60], atol=1e-6)
    with pytest.raises(ValueError, match=r"reads 29 tokens where the row has 30.*lora.dropout: 0"):
        layer(x[:, 31:60])


def test_what_is_not_the_ordinary_case_is_left_to_peft(adapted_model: Any) -> None:
    filled(adapted_model)
    layer = adapted_model.base_model.model.model.layers[0].self_attn.q_proj
    x = torch.randn(1, 20, 64)
    with adapted_model.disable_adapter():
        assert torch.equal(layer(x), layer.base_layer(x))
    adapted_model.eval()
    before = layer(x)
    adapted_model.merge_adapter()
    assert torch.allclose(layer(x), before, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_layer_on_a_gpu_is_the_one_on_a_cpu() -> None:
    torch.manual_seed(0)
    base, key = torch.nn.Linear(256, 704).requires_grad_(False), row_key()
    matrices = [torch.randn(16, 256).mul_(0.05), torch.randn(704, 16).mul_(0.05)]
    x = torch.randn(1, TOKENS, 256)
    found = []
    for device in (CPU, torch.device("cuda")):
        mask = MaskKey(words_2T=key.words_2T(device), layer=layer_words("a"), threshold=threshold_of(0.1))
        x_on, *on = (t.to(device).detach().requires_grad_() for t in (x, *matrices))
        slot = Slot(start=0, end=TOKENS, scale=2.0, mask=mask)
        y = LowRank.apply(x_on, base.to(device), torch.float32, (slot,), *on)
        y.sum().backward()
        found.append([t.detach().cpu() for t in (y, x_on.grad, on[0].grad, on[1].grad)])
    for here, there in zip(*found, strict=True):
        assert torch.allclose(here, there, rtol=2e-3, atol=2e-3)
