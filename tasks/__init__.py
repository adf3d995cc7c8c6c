"""What models are asked: examples, problems, prompts, data set readers and the built-in suite.

The lowest room of the house: it imports none of the others.
"""
