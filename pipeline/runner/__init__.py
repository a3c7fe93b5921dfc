"""A run from its start to what it leaves: tried beforehand, deployed, explained, published."""
