"""What models wrote, judged: generation, extraction, execution, similarity, quality and health.

An evaluator is a callable over a batch; it knows nothing of trainers, studies, Ray or MLflow.
"""
