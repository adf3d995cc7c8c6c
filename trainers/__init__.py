"""How models are adapted: data, mixtures, losses, LoRA and full fine-tuning.

A trainer is a function that runs under any launcher; it knows nothing of studies, Ray or MLflow.
"""
