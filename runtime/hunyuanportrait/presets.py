"""What is known of the two presets before anything is built, for plans and for exports."""

from __future__ import annotations

MODEL = "hunyuanportrait"  # as a bundle's manifest names the rooms that know its graphs
