"""What runs on the device: Python 3.9 or newer and its standard library, until a worker opens a runtime."""
