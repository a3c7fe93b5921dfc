"""Which channels a network can do without, and taking them out."""
