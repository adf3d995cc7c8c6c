"""The built-in suite: small parallel programs that we generate, describe, translate and test."""

from tasks.micro.suite import VERSION, documents, draw_program, examples, problems, size_of

__all__ = ["VERSION", "documents", "draw_program", "examples", "problems", "size_of"]
