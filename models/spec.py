"""Which base model is meant, and the closed choices of how its weights are held.

One decision: precision and device are said by whoever loads. What a method wants is for the method to know.
"""

from typing import Literal

from pydantic import Field, JsonValue, field_validator
from pydantic.json_schema import SkipJsonSchema

from tasks.records import Record

Precision = Literal["nf4", "bf16", "fp32"]
"""How weights are held: 4-bit NormalFloat with doubly quantised scales, 16 bits, 32 bits."""

Device = Literal["auto", "cpu", "cuda"]
"""Where a model runs; `auto` takes CUDA where there is one."""


class ModelSpec(Record):
    """A base model. A text in place of this block is its name."""

    name: str = Field(examples=["Qwen/Qwen2.5-Coder-0.5B-Instruct"])
    """Id on the Hugging Face hub, a local folder, or `builtin:micro`, which comes with Polytune."""

    revision: str | None = Field(default=None, examples=["0123456789abcdef0123456789abcdef01234567"])
    """Commit of a hub model. Without it the model may change under a finished study, and a plan lists it as
    unresolved."""

    trust_remote_code: bool = False
    """Whether code that comes with the model may run on this machine. Leave it out for models that need none."""

    digest: SkipJsonSchema[str | None] = None
    """Hash of a local or built-in model's files, filled in when a study is planned."""

    chat_template: str | None = Field(
        default=None, min_length=1, examples=["templates/chat.jinja"], json_schema_extra={"since": 2}
    )
    """A chat template in place of the tokenizer's own: a file, or the template itself. A base model that has none gets
    a plain one: the system line, the text, `Answer:`."""

    template_arguments: dict[str, JsonValue] = Field(
        default={}, examples=[{"enable_thinking": False}], json_schema_extra={"since": 2}
    )
    """What the template is told besides the conversation."""

    @field_validator("template_arguments")
    @classmethod
    def _arguments_have_names(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in value:
            if not name.isidentifier() or name in ("messages", "add_generation_prompt"):
                raise ValueError(f"template_arguments.{name} is no name that a template can be told; use letters and _")
        return value
