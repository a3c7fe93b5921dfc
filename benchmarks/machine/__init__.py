"""What the machine, its kernel and its GPU say of themselves while something is measured."""
