"""Names in any alphabet: in a font that has their letters, else as something that can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from medswin.figures import fonts, key_image
from medswin.figures.canvas import Canvas, text_width
from medswin.figures.sheet import name_of
from medswin.labels import Label, LabelSet

LIVER = "肝臟"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without fonts of its own."""
    monkeypatch.setattr(fonts, "installed", tuple)
    fonts.font_of.cache_clear()
    yield
    fonts.font_of.cache_clear()


def drawn(text: str) -> np.ndarray:
    canvas = Canvas(200, 20)
    canvas.text(0, 0, text)
    return canvas.pixels()


def test_ascii_is_in_pillows_own_font() -> None:
    assert fonts.runs("a liver, 3 mm") == [("a liver, 3 mm", None)]


@pytest.mark.parametrize("text", ["печень", "ήπαρ", "Größe", "قلب كبير"])
def test_alphabets_that_are_always_there(alone: None, text: str) -> None:
    assert fonts.readable(text)
    assert {path for _, path in fonts.runs(text) if path} == {fonts.always()}
    assert drawn(text).any()
    assert text_width(text) > 20


def test_words_of_an_alphabet_stay_together() -> None:
    """As they may run from right to left."""
    assert fonts.runs("3 قلب كبير") == [("3 ", None), ("قلب كبير", fonts.always())]


def test_a_letter_without_a_font_is_no_box(alone: None) -> None:
    assert not fonts.readable(LIVER)
    assert fonts.runs(f"a {LIVER}") == [("a [U+809D][U+81DF]", None)]
    assert name_of(Label(3, LIVER, (0, 0, 0)), numbered=False) == "structure 3"
    assert name_of(Label(3, "liver", (0, 0, 0)), numbered=True) == "3 liver"
    assert name_of(Label(3, "3 liver", (0, 0, 0)), numbered=True) == "3 liver"
    labels = np.ones((9, 9, 9), dtype=np.uint8)
    names = [LabelSet.from_names([name]) for name in (LIVER, "structure 1")]
    pictures = [key_image(labels, labels, np.eye(4), one, structure=one.names[0]) for one in names]
    assert np.array_equal(pictures[0].pixels, pictures[1].pixels)
    assert pictures[0].words.startswith(LIVER)


def test_a_font_of_the_system_is_taken_that_has_the_letter() -> None:
    if not fonts.readable(LIVER):
        pytest.skip("needs a font with Chinese letters: apt-get install fonts-droid-fallback")
    (shown, path), *more = fonts.runs(LIVER)
    assert (shown, more) == (LIVER, [])
    assert path is not None
    assert {ord(letter) for letter in LIVER} <= fonts.letters(path)
    assert not np.array_equal(drawn("肝"), drawn("臟"))


def test_a_damaged_font_has_no_letters(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert fonts.letters(tmp_path / "broken.ttf") == frozenset()
