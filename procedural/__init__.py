"""Drawn, animated cartoon portraits: nobody's face, every pose and expression known exactly."""
