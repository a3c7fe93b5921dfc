"""Looking after a store: what is kept in it, whether it is what it was, and making room."""
