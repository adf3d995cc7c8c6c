"""How completions are decoded.

One decision: this module loads no engine, so a study can say how to generate without importing torch.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from tasks.records import Problem, Seed, Settings, Task

EngineName = Literal["transformers", "vllm"]

ENGINE_VERSIONS: Mapping[str, int] = {"transformers": 2, "vllm": 1}
"""Engines by name, each with the version of what it computes; both are part of what a completion is known by."""

# vLLM's `SamplingParams` refuse more.
_WARMEST_OF_VLLM = 2.0


class GenerationSettings(Settings):
    """How completions are decoded."""

    max_new_tokens: int = Field(default=512, ge=1, examples=[160])
    """Most new tokens of an answer that is code."""

    max_summary_tokens: int = Field(default=128, ge=1, examples=[60])
    """Most new tokens of a summary."""

    max_tokens_by_track: dict[str, int] = Field(
        default={}, examples=[{"translation/java-csharp": 320}], json_schema_extra={"since": 2}
    )
    """Most new tokens of the answers of single tracks, in place of the two above."""

    samples: int = Field(default=1, ge=1, examples=[10])
    """Completions for each problem. More than one need a `temperature` above 0."""

    temperature: float = Field(default=0.0, ge=0.0, examples=[0.8])
    """Temperature of sampling; 0 takes the likeliest token each time (greedy)."""

    top_p: float = Field(default=1.0, gt=0.0, le=1.0, examples=[0.95])
    """Nucleus sampling: tokens are drawn from the likeliest that have this share of the probability together."""

    top_k: int = Field(default=0, ge=0, examples=[50], json_schema_extra={"since": 2})
    """Tokens are drawn from so many of the likeliest; 0 sets no bound."""

    min_p: float = Field(default=0.0, ge=0.0, lt=1.0, examples=[0.05], json_schema_extra={"since": 2})
    """Tokens are drawn from those with at least this share of the likeliest one's probability."""

    repetition_penalty: float = Field(default=1.0, gt=0.0, examples=[1.1], json_schema_extra={"since": 2})
    """What makes tokens that were there already less likely (above 1), prompt included; 1 leaves them alone."""

    stop: tuple[str, ...] = Field(default=(), examples=[["\nif __name__"]], json_schema_extra={"since": 2})
    """An answer ends before the first of these strings in it, beside the tokens by which the model ends it."""

    stop_at_answer: bool = Field(default=False, examples=[True], json_schema_extra={"since": 2})
    """Whether an answer ends where it is whole and the model goes on with something else: behind a complete function
    that stands alone, and at a mark of a chat. What is judged stays the same; explanations are written to their end."""

    seed: Seed = Field(default=0, examples=[1])
    """Seed of sampling. Greedy completions do not depend on it."""

    engine: Literal["transformers", "vllm", "auto"] = Field(
        default="transformers", examples=["vllm"], json_schema_extra={"since": 2}
    )
    """What writes completions: `transformers`, everywhere, or `vllm`, on GPUs (`pip install polytune[vllm]`). Their
    answers differ, so all trials of a study have the same. `auto` is `vllm` where it can write all of the study, and is
    decided once: a study that was run keeps what it was run with."""

    @model_validator(mode="after")
    def _samples_differ(self) -> "GenerationSettings":
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                "generation.samples above 1 needs generation.temperature above 0: greedy samples are equal"
            )
        return self

    @model_validator(mode="after")
    def _stops_are_strings(self) -> "GenerationSettings":
        if "" in self.stop:
            raise ValueError("generation.stop has an empty string, at which every answer would end; remove it")
        return self

    @model_validator(mode="after")
    def _engine_takes_the_temperature(self) -> "GenerationSettings":
        if self.engine == "vllm" and self.too_warm_for_vllm:
            raise ValueError(
                f"generation.temperature is {self.temperature:g}, and vLLM takes at most {_WARMEST_OF_VLLM:g}; lower "
                "it, or use generation.engine: transformers"
            )
        return self

    @property
    def too_warm_for_vllm(self) -> bool:
        """Whether vLLM would refuse the temperature."""
        return self.temperature > _WARMEST_OF_VLLM

    @model_validator(mode="after")
    def _limits_are_of_tracks(self) -> "GenerationSettings":
        wrong = [limit for limit in self.max_tokens_by_track.values() if limit < 1]
        if wrong:
            raise ValueError(f"generation.max_tokens_by_track allows {wrong[0]} tokens; allow 1 or more")
        return self

    def limit(self, problem: Problem) -> int:
        """The most new tokens that a problem's track allows."""
        prose = problem.parsed_track.task is Task.SUMMARIZATION
        return self.max_tokens_by_track.get(problem.track, self.max_summary_tokens if prose else self.max_new_tokens)
