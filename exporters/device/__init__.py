"""Files that go into every bundle and run on the device, with nothing of this project installed there."""
