"""What every task does: with its networks, in training, with outputs; one protocol each."""
