"""From samples to verdicts: pure functions of what was measured."""
