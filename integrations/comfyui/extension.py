"""What ComfyUI asks for: the list of nodes.

Source: https://docs.comfy.org/custom-nodes/v3_migration, `comfy_api.v0_0_2`.
"""

from __future__ import annotations

from comfy_api.v0_0_2 import ComfyExtension, io

from .encoding import BundleNode, MotionNode, PortraitNode
from .enlarging import EnhanceNode, EnhancerNode, EnhanceVideoNode
from .making import AnimateNode, TalkNode
from .verifying import VerifyNode

NODES: tuple[type[io.ComfyNode], ...] = (
    BundleNode,
    PortraitNode,
    MotionNode,
    AnimateNode,
    TalkNode,
    EnhancerNode,
    EnhanceNode,
    EnhanceVideoNode,
    VerifyNode,
)


class HpTrtExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)


async def comfy_entrypoint() -> HpTrtExtension:
    """ComfyUI calls it once, as it starts."""
    return HpTrtExtension()
