"""One clip or one stream, from noise to frames."""
