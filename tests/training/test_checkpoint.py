from pathlib import Path

import torch

from har.config import RunConfig
from har.training.trainer import load_checkpoint
from tests.refusal import refused
from tests.training.test_fit import Parts, run


def test_damaged_checkpoints_are_refused(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    with refused("run-missing"):
        load_checkpoint(tmp_path / "none.ckpt")
    path = run(config.with_overrides(training__epochs=1), parts, tmp_path).checkpoint
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"text"):
        path.write_bytes(broken)
        with refused("run-damaged") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, tmp_path / "evil.ckpt")
    with refused("run-damaged"):
        load_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()
