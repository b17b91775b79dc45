"""How good an animated clip is: the published numbers and ours, plain functions of pictures or of what is read in them.

Pictures are (H, W, 3) uint8 RGB, a clip a sequence of them. Nothing here knows bundles or files but the networks that
a user brings (`networks`) and the one that we bring (`judge`).
"""
