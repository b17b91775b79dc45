"""Drawn people in a wide range of renderings: light, skin, hair, cloth, backgrounds and cameras, from a seed.

Domain randomisation: a network that learns from one flat style knows nothing else. Who is where stays exactly known.
Source: Domain Randomization for Transferring Deep Neural Networks (Tobin et al. 2017).
"""

from procedural.variety.picture import draw_varied
from procedural.variety.style import Variety, varied_identity

__all__ = ["Variety", "draw_varied", "varied_identity"]
