"""Measuring what can be run: an engine with real inputs, a bundle alone."""
