"""Motifs stand where they should and stay within their box."""

from __future__ import annotations

import numpy as np
import pytest

from services.media.backends.builtin import motifs
from services.media.backends.builtin.geometry import bounds
from services.media.backends.builtin.languages.bauhaus_motifs import FORMS
from services.media.backends.builtin.palette import NAMED


@pytest.mark.parametrize("name", motifs.MOTIFS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_motif_fills_its_box_and_stands_on_its_foot(name: str, seed: int) -> None:
    motif = motifs.make(name, np.random.default_rng(seed))
    left, top, right, bottom = bounds([o for s in motif.shapes for o in s.outlines])
    assert right - left <= 2.0
    if motif.anchor == "air":
        assert -0.75 <= top < 0 < bottom <= 0.75
    else:
        assert -1.15 <= top <= -0.4
        assert -0.02 <= bottom <= 0.06
    assert motif.colour in {None, *NAMED}


@pytest.mark.parametrize("name", motifs.MOTIFS)
def test_a_motif_is_made_of_true_surfaces(name: str) -> None:
    motif = motifs.make(name, np.random.default_rng(0))
    assert motif.shapes
    for shape in motif.shapes:
        for outline in shape.outlines:
            assert outline.ndim == 2
            assert len(outline) >= 3
            assert np.isfinite(outline).all()


def test_bauhaus_has_a_form_for_every_motif() -> None:
    assert set(FORMS) == set(motifs.MOTIFS)
    for form in FORMS.values():
        for role, outlines in form(np.random.default_rng(1)):
            assert role in {"a", "b", "c", "line", "paper", "green"}
            assert all(np.abs(outline).max() < 1.6 for outline in outlines)
