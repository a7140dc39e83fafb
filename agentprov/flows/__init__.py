"""What a user wants done, end to end; `world` wires the real ports."""
