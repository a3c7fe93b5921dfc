"""What a network can do without so that it holds what it may cost, decided by measuring on the target."""
