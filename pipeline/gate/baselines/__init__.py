"""What was accepted: runnable bundles with their history, in a folder that can live in the user's repository."""
