"""How fast and how large a clip will be, before anything is built or run: from counts and a device's numbers."""
