"""What would run and why, with what it would take."""
