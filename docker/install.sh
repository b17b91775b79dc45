#!/bin/sh
# Everything that an image runs while it is built, and nothing of it needs Docker: tests/docker/ runs it as it is.
#
#   install.sh cpu|cuda WHEEL [PREFIX]
#
# Makes a virtual environment with the wheel and what the service uses in PREFIX (/opt/hp-trt), and an empty state folder
# beside it, PREFIX.state. Python is the one called `python`.
set -eu

if [ "$#" -lt 2 ] || [ "$#" -gt 3 ]; then
    echo "error: got $# words, needed the kind (cpu or cuda), the wheel and, if elsewhere, the prefix" >&2
    exit 2
fi
kind=$1 wheel=$2 prefix=${3:-/opt/hp-trt}
case "$kind" in
    cpu) extras=cpu,otel,provenance,rtc,service,web also='' ;;
    # CUDA and cuDNN come as wheels: of the machine only the driver is used, which the container's runtime brings.
    cuda) extras=cuda,gpu,otel,provenance,rtc,service,web also='onnxruntime-gpu[cuda,cudnn]' ;;
    *) echo "error: there is no image $kind, there are cpu and cuda" >&2; exit 2 ;;
esac
if [ ! -f "$wheel" ]; then
    echo "error: $wheel is no file; build the wheel first: pip wheel --no-deps --wheel-dir dist ." >&2
    exit 2
fi
if [ -e "$prefix" ]; then
    echo "error: $prefix is there already; remove it, or name another prefix" >&2
    exit 2
fi

python -m venv "$prefix"
# Modules are compiled now: the image's root is read-only.
"$prefix/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --compile \
    "$wheel[$extras]" ${also:+"$also"}
# What the page's library writes beside itself when it is first imported.
"$prefix/bin/python" -c 'import gradio.processing_utils'
"$prefix/bin/hp-trt" --version
mkdir -p "$prefix.state"
