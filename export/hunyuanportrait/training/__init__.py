"""How this model's own weights are made, each a file: pocket's, in four phases on drawn clips (`training.py`), and
those of live mode, distilled from a bundle's weights on drawn clips or on videos (`distillation.py`)."""
