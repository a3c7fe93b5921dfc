"""What is chosen by measuring: candidates within a budget, what was tried, and why this one."""
