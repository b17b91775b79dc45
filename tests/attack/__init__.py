"""An attack on every door: commands with files, options and disks as hostile as chance makes them, and kills.

`python -m tests.attack --minutes 30` runs it for longer, `--seed` elsewhere. A case is one command with what lies in
its folder; a family makes any number of them from a seed. Wrong is: an exit that is neither success nor one clear line,
a traceback, an input or an older result that is not as it was, a torn or forgotten file, over 1 GB of memory, no end.
"""
