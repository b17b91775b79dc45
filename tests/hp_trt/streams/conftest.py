from tests.hp_trt.live.conftest import live

__all__ = ["live"]  # a whole run, for the sinks that end one
