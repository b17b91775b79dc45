"""Live: frames of a camera, a file or a stream go in, animated frames leave for a display, a file or a stream.

`session` animates frames with a model's `stream`, with `queues` between its threads. The others stand around it:
`feeder` pushes a source's frames, `playout` says when to show one, `run` joins a source, a session and a sink, and
`live_clip` takes a whole clip through a session. Sources and sinks are in `hp_trt.streams`.
"""
