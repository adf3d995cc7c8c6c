"""MLflow as a projection of the ledger."""
