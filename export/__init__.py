"""From checkpoints to graphs, and from graphs to plans; training too. Absent where bundles are only run."""

from hp_trt.siblings import check_siblings  # with hp_trt itself, which looks at engines and runtime

check_siblings("procedural")
