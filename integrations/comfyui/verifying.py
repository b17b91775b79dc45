"""The node that says where a video comes from: Verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io, ui

from hp_trt.commands.verify import lines
from hp_trt.provenance.verify import verify_file

from .encoding import CATEGORY, one_of_them
from .values import file_of_video
from .wires import stamp


class VerifyNode(io.ComfyNode):
    """What a video, or a picture, carries of its origin."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtVerify",
            display_name="Verify (hp-trt)",
            category=CATEGORY,
            description="Look for credentials, the invisible mark and the sidecar, and say whether they fit.",
            inputs=[
                io.Video.Input("video", optional=True),
                io.String.Input("file", default="", optional=True, tooltip="Or a video or a picture, by path."),
                io.String.Input("anchor", default="", optional=True, tooltip="Certificates to trust (PEM), by path."),
            ],
            outputs=[io.String.Output("verdict"), io.String.Output("report")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, file: str = "", anchor: str = "", **_others: Any) -> Any:
        return stamp(file), stamp(anchor)

    @classmethod
    def execute(cls, video: Any = None, file: str = "", anchor: str = "") -> io.NodeOutput:
        one_of_them(video=video, file=file)
        trusted = Path(anchor) if anchor else None
        if video is None:
            report = verify_file(Path(file), trusted)
        else:
            with file_of_video(video) as path:
                report = verify_file(path, trusted)
        return io.NodeOutput(
            report.verdict,
            json.dumps(report.to_json(), ensure_ascii=False),
            ui=ui.PreviewText("\n".join(lines(report))),
        )
