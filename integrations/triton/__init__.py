"""A bundle as a model repository of Triton Inference Server: its graphs, and a model that runs a `Runtime`."""
