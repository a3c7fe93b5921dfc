"""INT8: what ranges the activations have, and Q/DQ written as each runtime fuses it."""
