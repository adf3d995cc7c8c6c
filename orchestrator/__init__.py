"""Studies into answers: study file, plan, ledger, Ray Tune, MLflow, statistics, report, command line."""
