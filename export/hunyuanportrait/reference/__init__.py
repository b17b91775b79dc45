"""The released algorithm in plain torch, fp32: rows and windows one by one. Slow, and what everything else is held to.

Nothing here uses a simplification: no row is left out, every context is projected as often as the
released program does, and the networks are the published ones (diffusers' where it has them).
"""
