#!/bin/sh
# How fast this machine is: every stage of a clip timed, as a table, as JSON for programs, and as a picture.
#
#     sh examples/bench.sh BUNDLE FOLDER [OPTION ...]   OPTION: of python -m runtime.bench, as --frames 100, --reference

set -eu
bundle=$1 folder=$2
shift 2

mkdir -p "$folder"
python -m runtime.bench --bundle "$bundle" --json "$folder/bench.json" --timeline "$folder/timeline.png" "$@"
