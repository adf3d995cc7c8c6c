"""The program to judge, from what a model wrote.

One decision: studies and the evaluators' own commands cut programs out of completions by this one function.
"""

from evaluators.extraction import extract_program
from evaluators.sandbox.records import Program
from tasks.records import Problem


def program_of(problem: Problem, text: str, *, sample: int) -> Program:
    """The program to run: extracted from what a model wrote, empty where it wrote nothing."""
    source = extract_program(text, problem=problem) if text.strip() else ""
    return Program(problem_id=problem.id, sample=sample, source=source)


__all__ = ["program_of"]
