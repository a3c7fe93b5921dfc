"""Measuring what was built: fresh processes, raw samples, and nothing said that too few samples cannot carry."""
