"""Scenes: what the truth says is what is drawn, and each kind of imaging does what its name says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.outline import Outline, directions
from nanocensus.simulate.scenes import forms
from nanocensus.simulate.scenes.exposure import expose
from nanocensus.simulate.scenes.forms import FORMS, Form, Profile, _stretched, form_maker
from nanocensus.simulate.scenes.imaging import KINDS, Imaging, draw_imaging, unrest, visible
from nanocensus.simulate.scenes.publishing import publish
from nanocensus.simulate.scenes.scene import draw_scene
from nanocensus.simulate.scenes.specimen import ADDED, FIRST, THICKEST, Placed, add_particle, bare
from nanocensus.simulate.shapes import disc, ellipse

SHAPE = (96, 128)


def empty(shape=SHAPE):
    return bare(shape)


def ball(radius, centre, **changes):
    form = Form(disc().scaled(radius * np.pi**0.5), **changes)
    return Placed(form, centre, 0.0, 1.0)


QUIET = Imaging(density=0.8, film=0.0, noise=0.0, blur_px=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_scene(kind):
    one, same, other = (draw_scene(np.random.default_rng(seed), SHAPE, kind=kind) for seed in (5, 5, 6))
    assert np.array_equal(one.pixels, same.pixels)
    assert np.array_equal(one.coverage, same.coverage)
    assert not np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("form", FORMS)
def test_coverage_is_the_union_of_the_planted_outlines(form):
    scene = draw_scene(np.random.default_rng(3), SHAPE, forms=[form], kinds=["plain"])
    expected = np.zeros(SHAPE)
    for particle in scene.particles:
        share, (top, left) = render_area_fraction(particle.form.outline, SHAPE, particle.centre, particle.angle)
        window = slice(top, top + share.shape[0]), slice(left, left + share.shape[1])
        expected[window] = np.maximum(expected[window], share)
    np.testing.assert_allclose(scene.coverage, expected, atol=1e-6)
    assert ((scene.owner > 0) == (scene.coverage > 0)).all()


@pytest.mark.parametrize("form", FORMS)
def test_outlines_are_whole(form):
    rng = np.random.default_rng(11)
    draw = form_maker(form, FORMS, rng)
    for _ in range(20):
        radii = draw(rng).outline.radii
        assert np.isfinite(radii).all()
        assert (radii > 0).all()
        assert np.abs(np.diff(radii, append=radii[0])).max() < radii.mean()


@pytest.mark.parametrize("form", FORMS)
def test_particles_do_not_fade_before_their_outline(form):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        profile = form_maker(form, FORMS, rng)(rng).profile
        height = (1 - 0.98**profile.flatness) ** profile.power
        assert profile.floor + (1 - profile.floor) * min(height, profile.cut) / profile.cut >= 0.3


def test_stretching_makes_ellipses_of_discs():
    circle = Outline(np.ones(720))
    expected = ellipse(3.0)
    np.testing.assert_allclose(_stretched(circle, 3.0).radii, expected.radii / np.sqrt(3.0), rtol=1e-3)


def test_thickness_of_a_ball_is_that_of_a_sphere():
    specimen = empty()
    add_particle(specimen, ball(20.0, (40.0, 50.0)), 1, ADDED)
    assert specimen.thickness[40, 50] == pytest.approx(1.0)
    assert specimen.thickness[40, 62] == pytest.approx(0.8, abs=1e-3)  # 3-4-5
    assert specimen.thickness.sum() == pytest.approx(2 / 3 * np.pi * 20.0**2, rel=2e-3)


def test_a_hollow_ball_is_thinnest_in_its_middle_and_a_core_thickest():
    hollow, core = empty(), empty()
    add_particle(hollow, ball(20.0, (40.0, 50.0), hollow=0.8), 1, ADDED)
    add_particle(core, ball(20.0, (40.0, 50.0), core=0.5, shell=0.4), 1, ADDED)
    assert hollow.thickness[40, 52] < 0.6 * hollow.thickness[40, 66]
    assert core.thickness[40, 52] > 2 * core.thickness[40, 62]


@pytest.mark.parametrize(("overlap", "middle"), [(ADDED, 2.0), (THICKEST, 1.0), (FIRST, 1.0)])
def test_particles_overlap_as_they_are_told(overlap, middle):
    specimen, slab = empty(), Profile(50.0, 1.0)
    for number, column in enumerate((45.0, 55.0), start=1):
        add_particle(specimen, ball(12.0, (40.0, column), profile=slab), number, overlap)
    assert specimen.thickness[40, 50] == pytest.approx(middle, abs=0.02)
    assert specimen.coverage.max() <= 1.0


def test_absorption_is_that_of_the_density():
    specimen = empty()
    add_particle(specimen, ball(20.0, (40.0, 50.0), profile=Profile(50.0, 1.0)), 1, ADDED)
    intensity = expose(specimen, QUIET, 20.0, np.random.default_rng(0))
    assert intensity[0, 0] == pytest.approx(1.0, abs=1e-5)
    density = 0.8 / specimen.thickness[specimen.inside].mean()  # a density of 0.8 is the particles' mean
    assert intensity[40, 50] == pytest.approx(np.exp(-density), rel=1e-3)


@pytest.mark.parametrize("density", [0.3, 1.0, 3.0])
def test_half_the_contrast_lies_on_the_outline(density):
    """What all pixels lack of the support's intensity is the outline's area times what its inside lacks."""
    specimen = empty()
    add_particle(specimen, ball(20.3, (40.2, 50.4), profile=Profile(1e6, 1.0)), 1, ADDED)
    lacking = 1 - expose(specimen, replace(QUIET, density=density, blur_px=1.0), 20.0, np.random.default_rng(0))
    assert lacking.sum() / lacking[40, 50] == pytest.approx(np.pi * 20.3**2, rel=1e-3)


def test_defocus_draws_fringes_round_a_particle():
    """The first one lies at a distance that grows with the root of the defocus."""
    specimen = empty((256, 256))
    add_particle(specimen, ball(20.0, (128.0, 128.0), profile=Profile(50.0, 1.0)), 1, ADDED)
    distances = []
    for defocus in (20.0, 80.0):
        imaging = replace(QUIET, phase=0.5, defocus_px2=defocus, envelope_px=1.0)
        beyond = expose(specimen, imaging, 20.0, np.random.default_rng(0))[128, 149:190] - 1
        distances.append(1 + int(np.abs(beyond).argmax()))
        assert np.abs(beyond).max() > 0.02
    assert distances[1] == pytest.approx(2 * distances[0], abs=1.5)


def test_dark_field_is_dark_on_bright_once_inverted():
    specimen = empty()
    add_particle(specimen, ball(20.0, (40.0, 50.0)), 1, ADDED)
    intensity = expose(specimen, replace(QUIET, dark_field=True), 20.0, np.random.default_rng(0))
    assert intensity[40, 50] < intensity[0, 0]


def test_lattice_fringes_have_their_spacing_and_stay_inside():
    specimen = empty((256, 256))
    add_particle(specimen, ball(90.0, (128.0, 128.0), profile=Profile(50.0, 1.0)), 1, ADDED)
    rng = np.random.default_rng(4)  # a particle that shows fringes
    fringes = expose(specimen, replace(QUIET, lattice=0.3, lattice_px=5.0), 90.0, rng)
    outside = specimen.coverage == 0
    assert np.ptp(fringes[outside]) < 1e-5
    inner = fringes[90:166, 90:166]
    power = np.abs(np.fft.fft2((inner - inner.mean()) * np.outer(np.hanning(76), np.hanning(76)))) ** 2
    peak = np.unravel_index(power.argmax(), power.shape)
    frequency = np.hypot(*(np.fft.fftfreq(76)[place] for place in peak))
    assert 1 / frequency == pytest.approx(5.0, rel=0.35)


@pytest.mark.parametrize("seed", range(6))
def test_every_particle_shows_fringes_which_reach_over_outlines_where_they_are_delocalised(seed):
    specimen = empty((256, 256))
    add_particle(specimen, ball(50.0, (80.0, 80.0), profile=Profile(50.0, 1.0)), 1, ADDED)
    add_particle(specimen, ball(40.0, (190.0, 180.0), profile=Profile(50.0, 1.0)), 2, ADDED)
    imaging = replace(QUIET, lattice=0.3, lattice_px=5.0)
    calm, flat = (
        expose(specimen, each, 50.0, np.random.default_rng(seed)) for each in (imaging, replace(imaging, lattice=0.0))
    )
    for number in (1, 2):
        shown = (calm - flat)[(specimen.owner == number) & (specimen.depth < 0.9)]
        assert 0.5 * 0.3 / np.sqrt(2) * 0.5 < shown.std() < 0.3
    wide = expose(specimen, replace(imaging, delocalised_px=3.0), 50.0, np.random.default_rng(seed))
    distance = ndimage.distance_transform_edt(specimen.coverage == 0)
    assert (wide - flat)[(distance > 0) & (distance < 4)].std() > 0.01
    assert np.abs((wide - flat)[distance > 15]).max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_is_known_for_comes_with_no_other(kind):
    """Else leaving a kind out of training would not leave it out."""
    own = {
        "lattice": lambda i: i.lattice > 0,
        "diffraction": lambda i: i.bend_contours > 0 or i.pores > 0 or i.thickness_fringes > 0,
        "defocus": lambda i: abs(i.defocus_px2) >= 15,
        "low_dose": lambda i: i.noise >= 0.1 and not i.dark_field,
        "faint": lambda i: i.density <= 0.3 and i.lattice == 0 and i.density < 0.3,
        "support": lambda i: i.holes > 0 or i.folds > 0 or i.dirt > 0,
        "shells": lambda i: i.shell > 0,
        "uneven": lambda i: i.vignette > 0 or i.hot_pixels > 0 or i.drift_px > 0,
        "dark_field": lambda i: i.dark_field,
        "printed": lambda i: i.lettering or i.jpeg > 0,
    }
    rng = np.random.default_rng(8)
    for _ in range(40):
        imaging = draw_imaging(kind, [], rng)
        assert [name for name, is_so in own.items() if name not in (kind, "faint") and is_so(imaging)] == []
    if kind in own:
        assert any(own[kind](draw_imaging(kind, [], rng)) for _ in range(40))


def test_what_a_frame_hides_is_no_particle():
    """Opaque boxes are black or white; whatever has the colour of the exposure is not hidden."""
    flat, full = np.full(SHAPE, 0.5, np.float32), np.ones(SHAPE, np.float32)
    hidden = 0
    for seed in range(40):
        image, coverage = publish(flat, full, replace(QUIET, lettering=True), np.random.default_rng(seed))
        tone = int(np.bincount(image[coverage == 1]).argmax())
        assert set(np.unique(coverage)) <= {0.0, 1.0}
        behind = (image == tone) & (coverage == 0)  # the soft edge of a letter may have any grey
        assert tone in (0, 255) or behind.sum() <= 0.01 * (coverage == 0).sum()
        hidden += int((coverage == 0).sum())
    assert hidden > 0


def test_directions_start_along_x():
    outline = form_maker("rods", FORMS, np.random.default_rng(0))(np.random.default_rng(1)).outline
    angles = directions(len(outline.radii))
    assert abs(np.cos(angles[outline.radii.argmax()])) > 0.7  # rods lie along x


@pytest.mark.parametrize("radius", [4.0, 20.0, 120.0])
@pytest.mark.parametrize("kind", KINDS)
def test_particles_can_be_seen_under_every_kind_of_imaging(kind, radius):
    for seed in range(50):
        drawn = draw_imaging(kind, tuple(KINDS), np.random.default_rng(seed))
        seen = visible(drawn, radius)
        by_fringes = seen.lattice > 2 * max(seen.film, seen.noise)
        assert by_fringes or 1 - np.exp(-seen.density) >= 5 * unrest(seen, radius) * (1 - 1e-9)
        assert seen.noise <= drawn.noise
        assert seen.density >= drawn.density * (1 - 1e-9)


def test_imaging_that_shows_particles_stays_but_says_how_faint_some_may_be():
    clear = Imaging(density=1.0, film=0.01, noise=0.02)
    seen = visible(clear, 20.0)
    assert replace(seen, faintest=0.0) == clear
    assert 1 - np.exp(-seen.faintest * seen.density) == pytest.approx(5 * unrest(clear, 20.0))
    assert visible(replace(clear, density=0.01), 20.0).faintest == 1


def test_crystals_whose_fringes_show_need_no_darkness():
    lattice = Imaging(density=0.02, lattice=0.3, lattice_px=5.0, blur_px=0.5, film=0.08, noise=0.05)
    assert visible(lattice, 20.0) is lattice
    for hidden in ({"noise": 0.2}, {"film": 0.2}, {"blur_px": 2.0}, {"lattice": 0.1}):
        assert visible(replace(lattice, **hidden), 20.0).density > 0.02
    assert visible(lattice, 9.0).density > 0.02  # less than four fringes


@pytest.mark.parametrize("faintest", [0.05, 0.4])
def test_no_particle_is_fainter_than_may_be(faintest):
    specimen = empty((400, 400))
    middles = [(20.0 + y, 20.0 + x) for y in range(0, 400, 40) for x in range(0, 400, 40)]
    for number, middle in enumerate(middles, start=1):
        add_particle(specimen, ball(14.0, middle, profile=Profile(50.0, 1.0)), number, ADDED)
    imaging = replace(QUIET, grains=1.0, faintest=faintest)
    density = -np.log(expose(specimen, imaging, 14.0, np.random.default_rng(0)))
    inner = np.where(specimen.depth < 0.8, specimen.owner, 0)
    of_each = ndimage.mean(density, inner, range(1, len(middles) + 1))
    assert of_each.min() / of_each.max() >= faintest / np.exp(1.5) * 0.98
    assert of_each.min() / of_each.max() < 1.5 * faintest


@pytest.mark.parametrize("name", ["film", "clouds", "noise", "lines"])
def test_unrest_is_what_a_look_leaves(name):
    """A sixth of the radius, 3 px."""
    calm = Imaging(density=0.0, film=0.0, noise=0.0, film_px=1.5, clouds_px=12.0, blur_px=0.0)
    rough = replace(calm, **{name: 0.02})
    found = expose(empty((1024, 1024)), rough, 18.0, np.random.default_rng(8))
    assert ndimage.gaussian_filter(found, 3.0, mode="wrap").std() == pytest.approx(unrest(rough, 18.0), rel=0.1)


@pytest.mark.parametrize("form", ["hollow", "core_shell", "mixed"])
def test_a_family_that_is_left_out_comes_with_no_other(form, monkeypatch):
    drawn = []
    for name, maker in forms._SOLID.items():
        monkeypatch.setitem(forms._SOLID, name, lambda rng, name=name, maker=maker: drawn.append(name) or maker(rng))
    known = [name for name in FORMS if name not in ("rods", "cubes")]
    for seed in range(60):
        form_maker(form, known, np.random.default_rng(seed))
    assert set(drawn) == {"discs", "ellipses", "polygons", "crystals", "irregular"}
    form_maker(form, [form], np.random.default_rng(0))  # alone it is of any
