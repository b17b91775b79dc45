import pytest

from tests.export.hallo2.training.small_training import prepared


@pytest.fixture(scope="session")
def prepared_run(tmp_path_factory):
    """A folder of a run whose clips are seen and heard; to be copied."""
    return prepared(tmp_path_factory.mktemp("talk") / "run")
