"""What a step sees: examples as tokens, rows, batches, and the order of several tracks' examples."""
