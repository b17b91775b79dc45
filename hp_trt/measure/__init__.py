"""How fast, how good, how large: what is measured and predicted, of bundles and of what they make."""

from hp_trt.siblings import check_siblings

check_siblings("procedural")  # people are drawn to measure with
