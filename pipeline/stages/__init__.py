"""The stages, one file each: what makes an artifact from artifacts, and sees no measurement."""
