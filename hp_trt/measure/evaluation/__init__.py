"""`hp-trt evaluate`: portraits animated by protocol, measured by `hp_trt.measure.metrics`, side by side."""
