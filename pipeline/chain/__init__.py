"""A recipe made a plan, its stages executed or taken from the store, and what they made measured."""
