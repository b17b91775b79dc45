"""`hp-trt evaluate`: portraits animated by protocol, measured by `hp_trt.metrics`, side by side."""
