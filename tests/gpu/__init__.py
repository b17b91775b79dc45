"""The GPU check: one command that measures, on a machine with a GPU, all that has to be measured there.

`check` is the command, `run` its course: it starts one process a part (`part`), so that a library that dies takes no
other part along, and collects the lines that the parts tell into a report (`report`).
"""
