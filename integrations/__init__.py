"""Other people's tools: nodes for ComfyUI, a model repository for Triton. Doors; nobody imports them, and no wheel has
them: they are taken from a checkout."""
