"""Ways to say how much a channel matters, one file each; torch-pruning adds them up over coupled layers."""
