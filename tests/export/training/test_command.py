"""What the commands share beyond the errors that their own tests ask for."""

from __future__ import annotations

import json
import subprocess
import sys

from export.training.command import chosen_stages, teller
from hp_trt.console import Reporter


def test_stages_are_all_or_the_named_ones():
    assert chosen_stages(None, ("clips", "latents")) == ("clips", "latents")
    assert chosen_stages(["latents"], ("clips", "latents")) == ("latents",)


def test_the_commands_are_there_before_torch_is():
    code = "import sys, export.train, export.distill; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_losses_are_told_as_numbers_of_five_digits(capfd):
    with Reporter(as_json=True) as report:
        teller(report)("student", 20, 100, {"loss": 0.123456789})
    told = json.loads(capfd.readouterr().out)
    assert (told["done"], told["total"], told["loss"]) == (20, 100, 0.12346)
