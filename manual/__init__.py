"""The manual as a site: the pages of `docs/`, the README in front of them, and a reference made from the source.

    python -m manual --out site

Pages are read on GitHub too, so nothing in them is for the site alone: it is staged in a temporary folder, where links
that leave `docs/` are led to copies, and zensical makes HTML of it. Which page stands where says `zensical.toml`.
"""
