"""Two engines side by side, inference by inference."""
