"""Whether the service in this container is alive: exit status 0, or 1 with a line that says why not.

It asks `/livez` where the environment says that the service listens, by a name that the service is called by.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

_WAITS_S = 5


def main() -> int:
    port = os.environ.get("HP_TRT_SERVE_PORT", "7860")
    name = os.environ.get("HP_TRT_SERVE_HOSTS", "localhost").split(",")[0].strip()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/livez", headers={"Host": name})
    try:
        with urllib.request.urlopen(asked, timeout=_WAITS_S):
            return 0
    except (urllib.error.URLError, OSError, ValueError) as error:
        print(f"the service at port {port} is not well: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
