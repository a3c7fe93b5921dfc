"""Processes of their own: how one is started, what it is asked, and what it times."""
