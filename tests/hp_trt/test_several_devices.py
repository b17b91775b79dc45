"""One clip on several devices. There is one CPU here, so the devices are processes: the bytes go the same way."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from engines.errors import EngineMismatch, InputError, InternalError
from engines.gpu import Gpu
from hp_trt import Runtime, RuntimeConfig, Stages
from hp_trt.commands import options

ONE = RuntimeConfig(threads=1)
TWO = RuntimeConfig(threads=1, devices=(0, 1))
STEPS = 3


@pytest.fixture(scope="module")
def two():
    with Runtime("shipped:pocket", TWO) as runtime:
        yield runtime


def frames(runtime, sample, **options):
    portrait, driving = sample
    return np.stack([frame.crop for frame in runtime.frames(portrait, driving, steps=STEPS, **options)])


def others(runtime):
    """The processes that are not this one."""
    return [device._process for device in runtime.backend._others]


def test_two_devices_make_the_bits_of_one_and_both_have_worked(two, sample):
    with Runtime("shipped:pocket", ONE) as one:
        expected = frames(one, sample)
    (there,) = others(two)
    before = _cpu_s(there.pid)
    np.testing.assert_array_equal(frames(two, sample), expected)
    # Windows of 12 padded frames, each a tenth of a second: a process that was never asked has used none of it.
    assert _cpu_s(there.pid) - before > 0.05


def _cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_chunks_of_the_decoder_go_to_both_too(two):
    session = two.graphs.of(two.profile, two.model.roles(two.profile))["decoder"]
    spec, cell = session.spec, session.spec.input("latents").dims[1:]
    given = {"latents": np.random.default_rng(0).normal(size=(4, *map(int, cell))).astype(np.float32)}
    made = []
    for _ in range(2):  # whoever is free is the one that was not asked last
        out = {
            tensor.name: np.empty(tensor.shape_at(spec.check_inputs(given)), tensor.dtype) for tensor in spec.outputs
        }
        made.append(session.run(given, out))
    assert session._free.qsize() == 2
    for name in made[0]:
        np.testing.assert_array_equal(made[0][name], made[1][name])


def test_a_process_that_is_killed_in_the_middle_ends_the_clip_with_a_line_that_says_so(sample):
    portrait, driving = sample
    with Runtime("shipped:pocket", TWO) as runtime:
        (there,) = others(runtime)

        def kill(event):
            if event.stage == "denoise" and event.done == 2:
                os.kill(there.pid, signal.SIGKILL)

        with pytest.raises(InternalError, match=r"the process of device 1 was ended while .* \(signal SIGKILL\)"):
            list(runtime.frames(portrait, driving, steps=STEPS, stages=Stages(kill)))
    assert there.wait(5) == -signal.SIGKILL


def test_the_processes_end_with_the_runtime_and_with_whoever_held_it(sample):
    runtime = Runtime("shipped:pocket", TWO)
    (there,) = others(runtime)
    assert there.poll() is None
    runtime.close()
    assert there.wait(5) == 0
    ours = Runtime("shipped:pocket", TWO)
    (there,) = others(ours)
    ours.backend._others[0]._socket.close()  # as when this process is killed: its files are closed
    assert there.wait(5) == 0
    ours.close()


def test_who_is_interrupted_while_waiting_leaves_no_answer_for_the_next_call():
    from engines.device_process import DeviceProcess

    device = DeviceProcess("cpu", 1, 1)
    recv, device._socket.recv = device._socket.recv, lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        device.run("denoiser", 0, {}, {})
    device._socket.recv = recv
    with pytest.raises(InternalError, match="the process of device 1 was ended while denoiser ran"):
        device.run("denoiser", 0, {}, {})
    device.close()


def test_what_goes_wrong_there_is_raised_here_by_its_own_name(two, tmp_path):
    (other,) = two.backend._others
    spec = two.bundle.spec("vae_decoder")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineMismatch, match=r"broken\.onnx does not load in ONNX Runtime"):
        other.load(spec, tmp_path / "broken.onnx", 1)
    with pytest.raises(InternalError, match="device 1 failed while vae_decoder ran: IndexError"):
        other.run("vae_decoder", 99, {}, {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": (0, 0)}, "device 0 stands in devices twice; name each once"),
        ({"devices": (3,)}, "devices needs at least two, got 3 alone; say device_id"),
        ({"devices": (0, -1)}, "devices .each. must be a whole number of at least 0, got -1"),
        ({"devices": "01"}, "devices needs numbers of devices, as .0, 1., got '01'"),
        ({"devices": tuple(range(65))}, "devices can be at most 64, got 65"),
        ({"devices": (0, 1), "device_id": 1}, "devices 0, 1 and device_id 1 were given; leave one out"),
        ({"devices": (0, 1), "family": "tensorrt"}, "several devices are for ONNX Runtime yet, the family is tensorrt"),
    ],
)
def test_devices_that_cannot_be_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        RuntimeConfig(**options)


def test_where_a_clip_has_nothing_to_spread_devices_are_refused():
    with pytest.raises(InputError, match="each from the one before, which several devices do not help"):
        Runtime("shipped:talk_pocket", TWO)
    with pytest.raises(InputError, match="profile live makes windows one after the other"):
        Runtime("shipped:pocket", RuntimeConfig(devices=(0, 1), profile="live"))


def test_gpus_of_different_kinds_are_refused(monkeypatch):
    from engines import spread_backend

    kinds = {0: ("H100", "9.0"), 1: ("A100", "8.0"), 2: ("H100", "9.0")}

    def gpu(index):
        name, capability = kinds[index]
        return Gpu(index=index, name=name, capability=capability, total_bytes=1, driver_cuda=(13, 0))

    monkeypatch.setattr(spread_backend, "require_gpu", gpu)
    spread_backend.check_kinds((0, 2))
    with pytest.raises(EngineMismatch, match=r"device 0 is H100 of capability 9\.0, device 1 is A100 of 8\.0"):
        spread_backend.check_kinds((0, 1))


@pytest.mark.parametrize("text", ["0,x", "0,,1", "-1,0", "0;1", ""])
def test_the_command_wants_numbers_with_commas(text):
    with pytest.raises(InputError, match="--devices are numbers with commas between, as 0,1, got"):
        options.devices(text)
    assert options.devices("0, 1") == (0, 1) and options.devices(None) == ()
