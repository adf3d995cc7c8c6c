"""Anybody's files: what people give to the evaluators alone, and the verdicts that they get."""
