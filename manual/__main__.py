"""`python -m manual --out site`: the manual as a folder of HTML, for any server of files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engines.errors import HpTrtError
from manual.site import build_site


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m manual", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the site; one that is there is replaced")
    out = parser.parse_args().out
    try:
        pages = build_site(out)
    except HpTrtError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{out}: {pages} pages; to read them: python -m http.server --directory {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
