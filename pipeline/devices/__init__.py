"""Devices that are reached over SSH: which there are, what is sent there, and how engines are measured on them."""
