#!/bin/sh
# Export a bundle, look at it, animate with it. It needs `pip install '.[cpu,export]'`; what it makes runs without.
#
#     sh examples/own_bundle.sh BUNDLE PORTRAIT VIDEO OUT [OPTION ...]
#
# OPTION: of python -m export.build_engines, as --preset hunyuanportrait --weights DIR; without any it is pocket, with the
# weights that come with hp-trt. --dry-run among them says what would be built, and why, and nothing is.

set -eu
bundle=$1 portrait=$2 video=$3 out=$4
shift 4

[ $# -gt 0 ] || set -- --preset pocket
python -m export.build_engines --bundle "$bundle" "$@"
[ -e "$bundle/manifest.json" ] || exit 0 # a dry run

hp-trt inspect "$bundle"
hp-trt animate --bundle "$bundle" --portrait "$portrait" --driving "$video" --out "$out"
