"""Reading foreign weight files: tensors are taken, code is refused unread."""

import argparse

import numpy as np
import pytest
import torch
from foreign_nets import monai, ours

from medswin.errors import WeightsError
from medswin.networks.weights import load_monai_swin_unetr, read_weights


@pytest.fixture(scope="module")
def full():
    return monai().state_dict()


class Malice:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_a_file_that_runs_code_is_refused_unread(full, tmp_path, capsys):
    torch.save({"state_dict": full, "callback": Malice()}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt: it is not read, as it would run code.*print"):
        load_monai_swin_unetr(ours(), tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 0.4, 0.99])
def test_a_file_cut_short_is_damaged(full, tmp_path, kept, zipped):
    path = tmp_path / "half.pt"
    torch.save(full, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept == 1 else kept * len(content))])
    with pytest.raises(WeightsError, match=r"half\.pt: it is damaged"):
        read_weights(path)


def test_what_training_scripts_leave_beside_the_weights_is_passed_over(tmp_path):
    beside = {"args": argparse.Namespace(lr=1e-4, roi=[96]), "best": np.float64(0.8), "n": np.int64(3), "lr": 0.1}
    torch.save({"state_dict": {"a": torch.ones(2), "version": "1"}, **beside}, tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt")
    assert found.state["a"].tolist() == [1, 1]
    assert (found.wrapper, list(found.state)) == ("state_dict", ["a"])


def test_numbers_pickled_before_numpy_2_are_read(tmp_path):
    torch.save({"a": torch.ones(2), "best": np.float32(0.5)}, tmp_path / "new.pt", _use_new_zipfile_serialization=False)
    old = (tmp_path / "new.pt").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    (tmp_path / "old.pt").write_bytes(old)
    assert list(read_weights(tmp_path / "old.pt").state) == ["a"]


def test_files_without_weights_are_refused(tmp_path):
    for content in ({"epoch": 3}, [torch.ones(1)], torch.ones(1), {}):
        torch.save(content, tmp_path / "none.pt")
        with pytest.raises(WeightsError, match=r"none\.pt: it holds no state dict"):
            read_weights(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_weights(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError, match="it is damaged"):
        read_weights(tmp_path / "bad.safetensors")
