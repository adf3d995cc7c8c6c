"""The built-in base model: its weights, in `base/`, and the script that makes them."""
