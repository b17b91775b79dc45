"""What frames attend to in the portrait and in the motion frames: watched in the literal program."""
