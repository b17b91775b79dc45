"""Where the networks look: `python -m export.attention_maps` draws it, level by level, from the literal programs."""
