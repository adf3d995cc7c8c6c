"""The training loop: what is planned, how far it is, what is logged, judged and kept."""
