"""Nodes for ComfyUI: portraits that follow a video, or speak, and what makes videos larger.

ComfyUI imports this folder from among its `custom_nodes`, under a name of its own, and asks `comfy_entrypoint` for the
nodes. So the modules in here find each other by relative imports, and know nothing else of `integrations`.
"""

from .extension import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
