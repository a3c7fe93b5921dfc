"""How many channels of each layer stay so that a network holds what it may cost, decided by measuring on the target."""
