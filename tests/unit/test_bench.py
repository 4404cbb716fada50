"""The benchmark measures two loops that learn the same thing; its numbers hang together."""

import time

import pytest
import torch

from faceseg_utils import batches, bench


def test_numbers_hang_together(capsys):
    result = bench.bench("unet", size=(64, 64), batch=2, rounds=1)
    assert result["ratio"] == pytest.approx(result["ours_images_per_second"] / result["plain_images_per_second"])
    assert 0 < result["data_share"] < 1
    assert result["ratio_with_data"] == pytest.approx(1, abs=abs(result["ratio"] - 1) + 1e-9)  # data pulls it towards 1
    assert result["share_of_float32_peak"] == pytest.approx(result["achieved_gflops"] / result["float32_peak_gflops"])
    out = capsys.readouterr().out
    assert "ratio" in out and "batch 2" in out and "share of the bfloat16 peak" in out


def test_slow_photos_are_waited_for(monkeypatch, portraits):
    """The share comes from the loader that trains: photos that take longer to prepare show in it."""
    monkeypatch.setenv("FACESEG_DATASET", str(portraits))
    arguments = ("unet", (64, 64), 2, "cpu", lambda x, y: None)
    quick = bench._waiting_seconds(*arguments)
    prepare = batches.Pipeline.__call__

    def slowly(self, *photo):
        time.sleep(0.05)
        return prepare(self, *photo)

    monkeypatch.setattr(batches.Pipeline, "__call__", slowly)
    slow = bench._waiting_seconds(*arguments)
    assert quick > 0 and slow >= 0.1  # the two photos of a batch sleep for 0.1 s together


@pytest.mark.parametrize("make", [bench._plain_step, bench._our_step])
def test_both_loops_really_learn(make, monkeypatch):
    networks = []
    real = bench.build_model

    def remember(name):
        torch.manual_seed(0)
        networks.append(real(name, width=4, depth=2))
        return networks[-1]

    monkeypatch.setattr(bench, "build_model", remember)
    step = make("unet", "cpu")
    x, y = torch.randn(2, 3, 16, 16), torch.randint(0, 2, (2, 16, 16))
    before = {k: v.clone() for k, v in networks[0].state_dict().items()}
    step(x, y)
    after = networks[0].state_dict()
    assert all(not torch.equal(before[k], after[k]) for k in before if k.endswith("weight"))
