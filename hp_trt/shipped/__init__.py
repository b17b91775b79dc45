"""What comes with the package: pocket's weights, one folder a preset, and the judge, each with its card."""

from pathlib import Path

_HERE = Path(__file__).parent

POCKET = _HERE / "pocket" / "pocket.safetensors"
POCKET_LIVE = _HERE / "pocket" / "pocket_live.safetensors"  # of live mode
JUDGE = _HERE / "judge" / "judge.onnx"
