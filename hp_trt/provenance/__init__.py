"""What a written file says about itself: its mark, its sidecar, its credentials. It knows media, and no web."""
