"""`hp-trt-build` and `hp-trt-bench`: the commands of other storeys, found from any folder.

`python -m export.build_engines` and `python -m runtime.bench` do the same, where no other `export` or `runtime` is
first on Python's path: then Python never comes to our code, and cannot say whose is in the way. These can.
"""

from __future__ import annotations

from hp_trt.siblings import require_siblings


def build() -> None:
    """`hp-trt-build`, the same as `python -m export.build_engines`."""
    require_siblings("export", "procedural")
    from export.build_engines import main

    main()


def bench() -> None:
    """`hp-trt-bench`, the same as `python -m runtime.bench`."""
    require_siblings("procedural")
    from runtime.bench import main

    main()
