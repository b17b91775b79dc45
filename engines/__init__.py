"""The artefact, and the ways to run it."""
