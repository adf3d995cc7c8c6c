"""What every room's tests share: one thread, a tiny real base model, and where the published data lie.

One decision: the tiny model is made by the code that makes the built-in one (its tokenizer, its
training loop, its saving), only smaller and for a few steps; no test depends on the shipped weights.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Read by PyTorch's and NumPy's thread pools when they are first imported, in this process and in
# those that tests start. Two processes of two threads each on two cores are tens of times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# How long one drawn example takes says more of the machine's load than of the code.
settings.register_profile("polytune", deadline=None)
settings.load_profile("polytune")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the published data sets; skips, visibly, where this machine has none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("POLYTUNE_DATA") or default)
    if not root.is_dir():
        pytest.skip(f"no published data at {root}; set POLYTUNE_DATA to the data sets' folder")
    return root


@pytest.fixture(scope="session")
def fresh_tokenizer() -> Any:
    """The built-in model's tokenizer as it is made, before it was ever saved."""
    from models.micro.pretrain import train_tokenizer

    return train_tokenizer(0)


@pytest.fixture(scope="session")
def tiny_base(fresh_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Qwen2 model of 0.2 M parameters, pretrained for some seconds, and its tokenizer."""
    import torch
    from transformers import Qwen2ForCausalLM

    from models.micro import pretrain

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny-base")
    fresh_tokenizer.save_pretrained(folder)
    config = pretrain.build_model(fresh_tokenizer, 0).config
    config.update({"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2})
    config.layer_types = ["full_attention"] * 2
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    recipe = pretrain.Recipe(tokens=60_000, batch_documents=16, learning_rate=1e-2, warmup_steps=5)
    batches = pretrain._encoded(fresh_tokenizer, seed=1, chunk=recipe.batch_documents)
    optimizer = torch.optim.AdamW(model.parameters())
    pretrain._train(model, optimizer, batches, recipe=recipe, out=folder)
    return folder


@pytest.fixture(scope="session")
def model_spec(tiny_base: Path) -> Any:
    """The tiny base."""
    from models.spec import ModelSpec

    return ModelSpec(name=str(tiny_base))


@pytest.fixture(scope="session")
def tokenizer(model_spec: Any) -> Any:
    """The tiny base's tokenizer."""
    from models.loading import load_tokenizer

    return load_tokenizer(model_spec)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In continuous integration a skip is a failure, but for tests that need a GPU.

    There the script installs whatever a test may need, so a skip means that it did not.
    """
    outcome = yield
    report = outcome.get_result()
    gpu = item.get_closest_marker("gpu") is not None
    if os.environ.get("CI") and report.skipped and not gpu and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in continuous integration: {report.longrepr}"
