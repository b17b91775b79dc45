"""Live: frames of a camera, a file or a stream go in, animated frames leave for a window, a file or a stream.

`session.py` animates what `sight` finds in the frames; the others are what stands around it: `sources` and `feeder`
bring frames, `sinks` take them, `sound` delays what is heard until its picture comes, `command` joins them.
"""
