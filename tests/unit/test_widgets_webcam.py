"""widgets.Webcam without a browser: each frame gets one answer, a mask or a line."""

import io

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.widgets import Webcam


class Bright:
    """As sure of a person as a pixel is red."""

    classes = ("background", "person")

    def predict(self, photo):
        return photo[..., 0] / np.float32(255)


class Broken(Bright):
    def predict(self, photo):
        raise FloatingPointError("the network answers NaN\nor infinity")


def photo():
    photo = np.zeros((48, 64, 3), np.uint8)
    photo[:, 32:] = 255
    return photo


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def sent(monkeypatch):
    """What a widget sends: [(content, buffers)]."""
    sent = []
    monkeypatch.setattr(Webcam, "send", lambda self, content, buffers=None: sent.append((content, buffers)))
    return sent


def test_a_frame_gets_its_mask(sent):
    Webcam(Bright())._take(None, {"view": "a", "frame": 7}, [memoryview(jpeg(photo()))])
    ((content, (mask,)),) = sent
    assert (content["view"], content["frame"]) == ("a", 7) and content["milliseconds"] > 0
    with Image.open(io.BytesIO(mask)) as picture:
        assert picture.mode == "LA" and picture.size == (64, 48)
        opacity = np.asarray(picture)[..., 1]
    assert (opacity[:, 36:] == 255).all() and (opacity[:, :28] == 0).all()


def test_a_mask_is_small():
    """Jupyter's server cuts the connection at 1 MB per second."""
    rows, columns = np.mgrid[:240, :320]
    soft = 255 / (1 + np.exp((np.hypot(rows - 120, columns - 160) - 90) / 4))
    assert len(Webcam(Bright()).mask(np.dstack([soft.astype(np.uint8)] * 3))) < 30_000


@pytest.mark.parametrize(
    ("segmenter", "file", "words"),
    [(Broken(), jpeg(photo()), "the network answers NaN"), (Bright(), b"no picture", "frame.jpg"), (Bright(), b"", "")],
)
def test_what_goes_wrong_is_one_line_and_an_answer(sent, segmenter, file, words):
    Webcam(segmenter)._take(None, {"view": "a", "frame": 1}, [file])
    ((content, buffers),) = sent
    assert content["frame"] == 1 and buffers is None
    assert content["error"].startswith(words) and content["error"] and "\n" not in content["error"]


def test_many_classes_count_as_person_but_the_first(sent):
    class Three(Bright):
        classes = ("background", "hair", "skin")

        def predict(self, photo):
            red = photo[..., 0] / np.float32(255)
            return np.stack([1 - red, red / 2, red / 2])

    Webcam(Three())._take(None, {"view": "a", "frame": 1}, [jpeg(photo())])
    with Image.open(io.BytesIO(sent[0][1][0])) as picture:
        assert np.asarray(picture)[24, 60, 1] == 255


def test_the_static_figure_comes_first(capsys):
    figure = Webcam(Bright()).figure(photo())
    frame, shown = (axis.images[0].get_array() for axis in figure.axes)
    assert (frame == photo()).all() and (shown[:, 40:] == 255).all() and (shown[:, :20] == 0).all()
    Webcam(Bright()).show(photo(), alt="A frame and its mask.", caption="Half of it.")
    printed = capsys.readouterr().out
    assert printed.index("A frame and its mask.") < printed.index("Webcam")
