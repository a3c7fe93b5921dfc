"""edgewright's core: the recipe, the stages, the store and the runner that chains them."""

__version__ = "0.1.0"
