"""How one stage is done, here or on Ray: the only room where trainers meet evaluators."""
