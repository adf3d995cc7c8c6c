"""How a model is adapted: the table of methods, and for each kind how its model is made ready to train."""
