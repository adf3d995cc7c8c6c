"""How completions are decoded.

One decision: this module loads no engine, so a study can say how to generate without importing torch.
"""

from pydantic import Field, model_validator

from tasks.records import Problem, Seed, Settings, Task


class GenerationSettings(Settings):
    """How completions are decoded."""

    max_new_tokens: int = Field(default=512, ge=1, examples=[160])
    """Most new tokens of an answer that is code."""

    max_summary_tokens: int = Field(default=128, ge=1, examples=[60])
    """Most new tokens of a summary."""

    samples: int = Field(default=1, ge=1, examples=[10])
    """Completions for each problem. More than one need a `temperature` above 0."""

    temperature: float = Field(default=0.0, ge=0.0, examples=[0.8])
    """Temperature of sampling; 0 takes the likeliest token each time (greedy)."""

    top_p: float = Field(default=1.0, gt=0.0, le=1.0, examples=[0.95])
    """Nucleus sampling: tokens are drawn from the likeliest that have this share of the probability together."""

    seed: Seed = Field(default=0, examples=[1])
    """Seed of sampling. Greedy completions do not depend on it."""

    @model_validator(mode="after")
    def _samples_differ(self) -> "GenerationSettings":
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                "generation.samples above 1 needs generation.temperature above 0: greedy samples are equal"
            )
        return self

    def limit(self, problem: Problem) -> int:
        """The most new tokens that a problem's track allows."""
        prose = problem.parsed_track.task is Task.SUMMARIZATION
        return self.max_summary_tokens if prose else self.max_new_tokens
