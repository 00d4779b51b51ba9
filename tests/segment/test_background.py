"""The background: the fast fit against plain least squares, and against light that was planted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nanocensus.segment.preparation.background import LEAST_LIGHT, bernstein, fit_background, surface_factors


def film(shape, *, coverage=0.2, transmission=0.6, seed=0, dose=200):
    """Give electrons on film with dark discs, and the uneven light that they came in."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pitch = 14 * np.sqrt(np.pi / coverage)
    discs = np.hypot((y + 9 * seed) % pitch - pitch / 2, (x + 5 * seed) % pitch - pitch / 2) < 14
    expected = np.where(discs | (coverage == 1), transmission, 1.0)
    expected *= 1 + 0.1 * rng.standard_normal(shape)
    v, u = (y + 0.5) / shape[0], (x + 0.5) / shape[1]
    light = 0.7 + 0.5 * u + 0.3 * v**2 - 0.2 * u * v
    return rng.poisson(dose * np.maximum(expected, 0) * light).astype(np.uint16), light


def surface(image, *, xp=np, particles="dark", loss="one-sided"):
    found = fit_background(xp, image, particles=particles, loss=loss)
    rows, columns = surface_factors(xp, found.coefficients, image.shape)
    return np.asarray(rows @ columns), bool(found.is_light)


def unlike(background, light):
    ratio = background / light
    return np.std(ratio / ratio.mean())


def dense(image, loss):
    """Do the same with every block in a loop, all nine functions in one matrix, and numpy's least squares."""
    height, width = (side // 4 for side in image.shape)
    means = np.array(
        [[image[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].mean() for c in range(width)] for r in range(height)]
    )

    def basis(places_y, places_x):
        polynomials = [lambda t: (1 - t) ** 2, lambda t: 2 * t * (1 - t), lambda t: t**2]
        return np.array([[p(y) * q(x) for p in polynomials for q in polynomials] for y in places_y for x in places_x])

    functions = basis(
        [(4 * r + 2) / image.shape[0] for r in range(height)], [(4 * c + 2) / image.shape[1] for c in range(width)]
    )
    values = means.ravel() / means.mean()

    def fit(weights):
        root, stiff = np.sqrt(weights), np.sqrt(1e-6 * values.size) * (np.eye(9) - 1 / 9)
        rows = np.concatenate([root[:, None] * functions, stiff])
        return np.linalg.lstsq(rows, np.concatenate([root * values, np.zeros(9)]), rcond=None)[0]

    found = fit(np.ones(values.size))
    if loss == "paper":
        squared = (values - functions @ found) ** 2
        found = fit(np.exp(-3 * squared / (2 * squared.mean())) ** 2)  # the weights multiply both sides
    scale = np.inf
    for round_ in range(10 if loss == "one-sided" else 0):
        above = values / (functions @ found) - 1
        upper = np.sort(above[above > 0])
        if round_ >= 3:
            scale = min(scale, 1.4826 * upper[upper.size // 2])
        found = fit(np.where(above > 0, 1, 0.02 if round_ < 3 else np.exp(-(above**2) / (2 * scale**2))))
    places = [(np.arange(side) + 0.5) / side for side in image.shape]
    return means.mean() * (basis(*places) @ found).reshape(image.shape)


@settings(max_examples=6)
@given(st.integers(48, 120), st.integers(48, 120), st.integers(0, 999), st.sampled_from(["paper", "one-sided"]))
def test_it_is_the_dense_least_squares_fit(height, width, seed, loss):
    image, _ = film((height, width), seed=seed)
    expected = dense(image, loss)
    assume(expected.min() > LEAST_LIGHT * expected.max())  # or the fast fit takes it for no light, and says so
    # In float32 the median residual may be that of another of a few hundred samples.
    assert abs(surface(image, loss=loss)[0] / expected - 1).max() < 2e-4


@pytest.mark.parametrize(("coverage", "most"), [(0.02, 0.004), (0.3, 0.006), (0.5, 0.01)])
def test_planted_light_is_found_and_nearer_than_by_the_papers_weights(coverage, most):
    errors = np.array([
        [unlike(surface(image, loss=loss)[0], light) for loss in ("one-sided", "paper")]
        for image, light in (film((400, 420), coverage=coverage, seed=seed) for seed in range(3))
    ])  # fmt: skip
    one_sided, paper = errors.mean(axis=0)
    assert one_sided < most
    assert one_sided < paper


def test_bright_particles_are_outliers_on_the_other_side():
    image, light = film((400, 420), transmission=1.6, coverage=0.3)
    right, wrong = (unlike(surface(image, particles=side)[0], light) for side in ("bright", "dark"))
    assert right < 0.002
    assert wrong > 2 * right


@pytest.mark.parametrize(("shape", "loss"), [((203, 150), "one-sided"), ((203, 150), "paper"), ((1, 200), "one-sided")])
def test_numpy_and_jax_find_the_same(shape, loss):
    image = film((400, 300))[0][: shape[0], : shape[1]]
    fit = jax.jit(lambda image: fit_background(jnp, image, particles="dark", loss=loss).coefficients)
    rows, columns = surface_factors(jnp, fit(jnp.asarray(image)), shape)
    assert np.allclose(np.asarray(rows @ columns), surface(image, loss=loss)[0], rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (7, 9), (15, 100)])
def test_short_sides_get_a_stiffer_surface_and_never_a_singular_one(shape):
    image = np.random.default_rng(0).poisson(50, shape).astype(np.uint8)
    found, is_light = surface(image)
    assert is_light
    assert ((found > 25) & (found < 90)).all()
    coefficients = fit_background(np, image, particles="dark", loss="one-sided").coefficients
    assert coefficients.shape == tuple(1 if side < 16 else 2 if side < 32 else 3 for side in shape)


@pytest.mark.parametrize("loss", ["paper", "one-sided"])
def test_an_image_of_one_value_is_its_own_background(loss):
    found, is_light = surface(np.full((50, 60), 7, np.uint8), loss=loss)
    assert is_light
    assert np.allclose(found, 7, rtol=1e-5)


@pytest.mark.parametrize("ratio", [1.01, 2.0, 8.0])
@pytest.mark.parametrize("covered", [False, True])
def test_a_slope_without_noise_is_light_and_no_particle(ratio, covered):
    y, x = np.mgrid[:128, :160]
    light = (100 + 100 * (ratio - 1) * x / 160).astype(np.float32)
    discs = covered & (np.hypot(y % 32 - 16, x % 32 - 16) < 10)
    found, is_light = surface(np.where(discs, 0.7 * light, light).astype(np.float32))
    assert is_light
    assert np.allclose(found, light, rtol=0.002, atol=0.1)  # means of 4 x 4 px, one of them beyond the edge


def test_an_image_all_of_particle_has_the_light_on_it_as_background():
    image, light = film((200, 200), coverage=1.0)
    found, is_light = surface(image)
    assert is_light
    assert unlike(found, light) < 0.02


@pytest.mark.parametrize("dark_columns", [80, 200])
def test_a_support_that_fills_a_part_leaves_the_rest_or_is_no_light(dark_columns):
    image, light = film((200, 250), coverage=0.05)
    image[:, :dark_columns] //= 8
    found, is_light = surface(image)
    assert not is_light or unlike(found[:, dark_columns:], light[:, dark_columns:]) < 0.03


@pytest.mark.parametrize("shift", [-180.0, -400.0])
def test_a_background_that_is_not_positive_is_no_light(shift):
    image = film((200, 250))[0].astype(np.float32) + np.float32(shift)
    found, is_light = surface(image)
    assert not is_light
    assert np.ptp(found) < 1e-5 * found.max()
    assert found.min() > 0


def test_the_basis_is_a_partition_of_unity():
    places = np.linspace(0, 1, 7)
    assert all(np.allclose(bernstein(places, degree).sum(axis=1), 1) for degree in (0, 1, 2))
