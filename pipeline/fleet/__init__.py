"""Many deploys at once, on Ray: models x data x recipes x targets x devices, each cell of it a deploy."""
