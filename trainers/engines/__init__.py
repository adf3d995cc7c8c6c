"""What computes a training step: one process, or many under ZeRO. Engines know no method."""
