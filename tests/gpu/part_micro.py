"""The UNet's parts alone, in PyTorch: how fast each form of each is, beside what the device can do at best."""

from __future__ import annotations

from functools import partial

import torch

from tests.gpu.levers import LEVERS, SIZES, inputs_of, module_of
from tests.gpu.lines import Found, Lines, Step
from tests.gpu.stopwatch import measure

ROWS = 2
LIMIT = {torch.float16: 5e-3, torch.float32: 1e-5}  # relative, of one form against another: one sum in another order


def tell_micro(lines: Lines, device: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    steps = [
        Step(f"{name}, {form}", partial(time_form, name, form, device))
        for name, lever in LEVERS.items()
        for form in lever.forms
    ]
    with torch.no_grad():
        lines.run_all("micro", steps)


def time_form(name: str, form: str, device: str) -> Found:
    """By events, in half precision on a GPU; held against the first form of the lever."""
    lever, dtype = LEVERS[name], torch.float16 if device == "cuda" else torch.float32
    given = [tensor.to(device, dtype) for tensor in inputs_of(lever, device, ROWS).values()]
    module, first = (module_of(lever, one, device).to(device, dtype) for one in (form, next(iter(lever.forms))))
    made, expected = module(*given).float(), first(*given).float()
    apart = float((made - expected).norm() / expected.norm())
    times = measure(lambda: module(*given), device)
    flops = ROWS * lever.flops(SIZES[device])
    moved = sum(t.numel() * t.element_size() for t in given) + made.numel() * given[0].element_size()
    rate, said = flops / times.median_s, f"{moved / times.median_s / 1e9:.4g} GB/s of inputs and outputs"
    if flops:
        said = f"{rate / 1e12:.4g} TFLOP/s, {said}"
    return Found(
        text=f"{times}, {said}, relative L2 to the first form {apart:.1e}",
        facts={**times.facts(), "flops": flops, "bytes": moved, "relative_l2": apart},
        missed="" if apart < LIMIT[dtype] else f"needs less than {LIMIT[dtype]:g}",
    )
