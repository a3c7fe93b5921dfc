"""Promises of docs/reliability.md, tried by campaigns of seeded accidents; ``make reliability``."""
