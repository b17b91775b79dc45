"""What comes with the package: weights and graphs, one folder a preset, and the judges, each with its card.

A preset's folder is a bundle too (`export.shipping` writes its graphs), and `shipped:PRESET` names it where a bundle is
asked for: in every command's `--bundle`, and in `hp_trt.Runtime`.
"""

from pathlib import Path

from engines.errors import BundleError, InputError
from engines.manifest import MANIFEST_NAME

_HERE = Path(__file__).parent

POCKET = _HERE / "pocket" / "pocket.safetensors"
POCKET_LIVE = _HERE / "pocket" / "pocket_live.safetensors"  # of live mode
TALK_POCKET = _HERE / "talk_pocket" / "talk_pocket.safetensors"
ENHANCER_POCKET = _HERE / "enhancer_pocket" / "enhancer_pocket.safetensors"
JUDGE = _HERE / "judge" / "judge.onnx"
SYNC_PICTURES, SYNC_SOUND = (_HERE / "sync_judge" / name for name in ("sync_pictures.onnx", "sync_sound.onnx"))

POCKET_BUNDLE, TALK_POCKET_BUNDLE = "shipped:pocket", "shipped:talk_pocket"
ENHANCER_POCKET_BUNDLE = "shipped:enhancer_pocket"
_BUNDLES = {
    POCKET_BUNDLE: POCKET.parent,
    TALK_POCKET_BUNDLE: TALK_POCKET.parent,
    ENHANCER_POCKET_BUNDLE: ENHANCER_POCKET.parent,
}
_PREFIX = "shipped:"


def bundle_folder(name: Path | str) -> Path:
    """The folder of the bundle of this name: of `shipped:PRESET` the package's, of any other the one it names.

    Raises InputError for a preset that none comes of, BundleError for a package that has lost its own.
    """
    text = str(name)
    if not text.startswith(_PREFIX):
        return Path(name)
    if text not in _BUNDLES:
        raise InputError(f"there is no bundle {text[:100]}; with hp-trt comes {', '.join(_BUNDLES)}, or give a folder")
    folder = _BUNDLES[text]
    if not (folder / MANIFEST_NAME).is_file():
        raise BundleError(f"{text} is not in {folder}, where it should be; install hp-trt again")
    return folder
