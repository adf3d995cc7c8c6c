"""Ask a model: `settings` says how, `protocol` what an engine does, and each engine is a module of its own."""
