"""A study under way: its driver, its queue of trainings, its pipelines, its searches and its budget."""
