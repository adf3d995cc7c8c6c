"""What is asked: the study file, its schema, and the trials, stages and keys that follow from it."""
