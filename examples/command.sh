#!/bin/sh
# The command line from nothing to a video: people are drawn, one follows another, and the file says where it comes from.
#
#     sh examples/command.sh FOLDER [OPTION ...]        OPTION: of hp-trt animate, as --profile live

set -eu
folder=$1
shift

hp-trt sample --out "$folder/sample" --seed 7 --frames 8
hp-trt animate --bundle shipped:pocket --portrait "$folder/sample/portrait.png" \
    --driving "$folder/sample/driving.mp4" --out "$folder/out.mp4" --sheet "$folder/out.png" "$@"
hp-trt verify "$folder/out.mp4"
