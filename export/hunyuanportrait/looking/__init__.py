"""What frames attend to in the image tokens, the motion tokens and each other: watched in the literal program."""
