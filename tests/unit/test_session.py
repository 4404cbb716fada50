"""How a notebook begins: the dataset and profile it gets, and the banner."""

import pytest

import faceseg_utils
from faceseg_utils import session
from faceseg_utils.data import catalog


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("FACESEG_DATASET", "FACESEG_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def test_banner_is_one_line_that_says_it_all(capsys, monkeypatch):
    monkeypatch.setenv("FACESEG_DATASET", "fasseg")
    monkeypatch.setenv("FACESEG_PROFILE", "full")
    begun = faceseg_utils.start("03_training")
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for word in ("03_training", "fasseg", "full", begun.device, "torch"):
        assert word in line


def test_a_notebook_begins_with_fassegs_six_classes(named, monkeypatch):
    named("fasseg", count=20)
    monkeypatch.setenv("FACESEG_DATASET", "fasseg")
    begun = session.start("06_face_parsing")
    assert begun.data().classes == begun.data("val").classes == catalog.FACE
    assert (len(begun.data()), len(begun.data("val"))) == (16, 4)
    config = begun.config()
    assert (config.dataset, config.view) == ("fasseg", "face")


def test_unknown_profile_names_the_choices(monkeypatch):
    monkeypatch.setenv("FACESEG_PROFILE", "fast")
    with pytest.raises(ValueError, match="FACESEG_PROFILE='fast': choose one of quick, full"):
        session.start("01")


def test_quick_on_a_cpu_and_full_on_a_gpu(monkeypatch):
    monkeypatch.setattr(session.torch.cuda, "is_available", lambda: False)
    assert session.start("01").profile == "quick"
    monkeypatch.setattr(session.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(session, "device_name", lambda: "a GPU")
    assert session.start("01").profile == "full"


def test_the_sample_is_the_default_where_it_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "location", lambda name: tmp_path)
    assert catalog.default_dataset() == "picsart"
    (tmp_path / "portraits.csv").write_text("id\n")
    assert catalog.default_dataset() == "sample"
    monkeypatch.setenv("FACESEG_DATASET", "fasseg")
    assert catalog.default_dataset() == "fasseg"


def test_configuration_follows_profile_and_changes(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    quick = session.Session(str(tmp_path), "quick", "CPU").config(epochs=2, seed=7)
    full = session.Session(str(tmp_path), "full", "CPU").config()
    assert (quick.dataset, quick.epochs, quick.seed) == (str(tmp_path), 2, 7)
    assert full.size[0] * full.size[1] > quick.size[0] * quick.size[1] and full.epochs > quick.epochs
