"""One clip, from noise to latents."""
