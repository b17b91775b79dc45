"""How fast a bundle is on this machine: stage by stage, in a race with the released program, profile beside profile,
and live for minutes. `runtime.bench` is its door.
"""
