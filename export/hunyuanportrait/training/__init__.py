"""How the pocket weights that we ship are made: drawn clips, three networks trained one after the other, one file."""
