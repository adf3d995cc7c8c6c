"""What vLLM takes and gives, by the sources of its wheels, so that our calls are held against it without a GPU.

    python -m tests.evaluators.generation.vllm_signatures PLACE ...     record wheels, or folders with their sources

One decision: names alone are recorded, read from syntax trees. What is called, what a call may say, which fields an
answer has, and the choices that we name; nothing is imported, so wheels for another machine do as well.
"""

import ast
import inspect
import json
import re
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluators.generation.engines import VLLM_FAMILIES

STORED = Path(__file__).with_suffix(".json")
# Calls and constructors by class, and the file that each is in.
_CALLS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "LLM": ("entrypoints/llm.py", ("__init__", "enqueue", "generate", "collective_rpc", "sleep", "wake_up")),
    "LLMEngine": (
        "v1/engine/llm_engine.py",
        ("step", "has_unfinished_requests", "get_num_unfinished_requests", "abort_request", "add_lora"),
    ),
    "EngineCoreClient": ("v1/engine/core_client.py", ("shutdown",)),
    "RequestOutput": ("outputs.py", ("__init__",)),
}
# Classes whose fields are what their constructors take.
_FIELDS: Mapping[str, str] = {
    "EngineArgs": "engine/arg_utils.py",
    "SamplingParams": "sampling_params.py",
    "LoRARequest": "lora/request.py",
    "PEFTHelper": "lora/peft_helper.py",
    "CompletionOutput": "outputs.py",
    "Logprob": "logprobs.py",
    "TokensPrompt": "inputs/llm.py",
}
_CHOICES: Mapping[str, str] = {"MaxLoRARanks": "config/lora.py", "LogprobsMode": "config/model.py"}
_VARIABLES = ("VLLM_BATCH_INVARIANT", "VLLM_WORKER_MULTIPROC_METHOD", "VLLM_NO_USAGE_STATS", "VLLM_LOGGING_LEVEL")
_CLASSES = {family: f"{family.capitalize()}ForCausalLM" for family in VLLM_FAMILIES}
Read = Callable[[str], str]


def recorded() -> dict[str, Any]:
    """What was recorded, by version."""
    found: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return found


def signatures_in(read: Read) -> dict[str, Any]:
    """What the sources of a version say; `read` gives a file's text by its path in the package."""
    trees = {path: ast.parse(read(path)) for path in {file for file, _ in _CALLS.values()} | set(_FIELDS.values())}
    return {
        "calls": {
            name: {method: _parameters(_method(trees[path], name, method)) for method in methods}
            for name, (path, methods) in _CALLS.items()
        },
        "fields": {name: _fields(_class(trees[path], name)) for name, path in _FIELDS.items()},
        "choices": {name: _choices(read(path), name) for name, path in _CHOICES.items()},
        "environment": [name for name in _VARIABLES if f'"{name}": ' in read("envs.py")],
        "families": {family: _family(read, name) for family, name in _CLASSES.items()},
    }


def signature(parameters: Sequence[Sequence[Any]]) -> inspect.Signature:
    """A recorded call as Python's own signature, which refuses what it does not know."""
    kinds = {str(kind): kind for kind in inspect._ParameterKind}
    made = [
        inspect.Parameter(name, kinds[kind], default=None if has_default else inspect.Parameter.empty)
        for name, kind, has_default in parameters
    ]
    return inspect.Signature(made)


def read_from(place: Path) -> tuple[str, Read]:
    """The version of a wheel, or of a folder with its sources, and what reads a file of it."""
    if place.suffix == ".whl":
        wheel = zipfile.ZipFile(place)
        return place.name.split("-")[1], lambda path: wheel.read(f"vllm/{path}").decode()
    (info,) = place.glob("vllm-*.dist-info")
    return info.name.split("-")[1].removesuffix(".dist"), lambda path: (place / "vllm" / path).read_text("utf-8")


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def _method(tree: ast.Module, cls: str, name: str) -> ast.FunctionDef:
    found = [node for node in _class(tree, cls).body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1]  # behind its overloads


def _parameters(function: ast.FunctionDef) -> list[list[Any]]:
    """Name, kind and whether there is a default, for each parameter but the first."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    bare = len(positional) - len(arguments.defaults)
    found: list[list[Any]] = [
        [one.arg, "POSITIONAL_OR_KEYWORD", place >= bare] for place, one in enumerate(positional) if place
    ]
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append([one.arg, "KEYWORD_ONLY", default is not None])
    if arguments.kwarg is not None:
        found.append([arguments.kwarg.arg, "VAR_KEYWORD", False])
    return [[name, str(inspect._ParameterKind[kind]), has_default] for name, kind, has_default in found]


def _fields(node: ast.ClassDef) -> list[str]:
    """Annotated names in a class's body, as dataclasses, msgspec and typed mappings have them."""
    return [
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def _choices(text: str, name: str) -> list[Any]:
    """The values of a `Literal`."""
    found = re.search(rf"^{name}\s*=\s*Literal(\[.*?\])", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return list(ast.literal_eval(found[1]))


def _family(read: Read, name: str) -> dict[str, bool]:
    """Whether a class of models is registered under its own name, and takes adapters, itself or by its parent."""
    registered = re.search(rf'"{name}": \(\s*"(\w+)",\s*"(\w+)"', read("model_executor/models/registry.py"))
    assert registered is not None, name
    return {"adapters": _takes_adapters(read, registered[1], registered[2])}


def _takes_adapters(read: Read, module: str, name: str) -> bool:
    tree = ast.parse(read(f"model_executor/models/{module}.py"))
    bases = [ast.unparse(base) for base in _class(tree, name).bases]
    if "SupportsLoRA" in bases:
        return True
    imported = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    return any(
        base in imported
        and base.endswith("ForCausalLM")
        and _takes_adapters(read, imported[base].rsplit(".", 1)[-1], base)
        for base in bases
    )


def main(places: Sequence[str]) -> None:
    """Record the versions that are given, beside those that were, and print which of them had changed."""
    found = recorded() if STORED.is_file() else {}
    for place in places:
        version, read = read_from(Path(place))
        before, found[version] = found.get(version), json.loads(json.dumps(signatures_in(read)))
        print(version, "is as recorded" if found[version] == before else "is recorded anew")
    STORED.write_text(json.dumps(found, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
