"""How `talk_pocket` is trained: drawn people, synthetic speech, and what the two presets' networks share."""
