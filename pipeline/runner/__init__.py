"""The chain: which stages run, which come from the store, and what the model is measured to be after each."""
