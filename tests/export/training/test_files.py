"""Folders and states of runs: whole or not at all."""

from export.training.files import make_run_folder


def test_a_run_that_goes_on_is_rid_of_what_was_half_written(tmp_path):
    dead = 2**22 + 1  # above the highest number that Linux gives a process
    (tmp_path / f".latents.{dead}.part").touch()
    (tmp_path / "motion.pt").touch()
    make_run_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["motion.pt"]
