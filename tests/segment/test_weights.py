"""Models on disk: what is written is what is read, and nothing else is accepted."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

from nanocensus.errors import ModelError
from nanocensus.segment.networks.architecture import UNetConfig
from nanocensus.segment.networks.parameters import fold, initial_network, named_arrays
from nanocensus.segment.prediction.description import Description
from nanocensus.segment.prediction.domain import Domain
from nanocensus.segment.prediction.weights import load_model, model_names, save_model

CONFIG = UNetConfig(base=2, levels=1)


@pytest.fixture(scope="module")
def parameters():
    return fold(named_arrays(initial_network(CONFIG, np.random.default_rng(0))))


def test_a_model_survives_its_file(tmp_path, parameters):
    saved = save_model(tmp_path / "mine.safetensors", CONFIG, parameters)
    loaded = load_model(tmp_path / "mine.safetensors")
    assert (loaded.name, loaded.config, loaded.digest) == ("mine", CONFIG, saved.digest)
    halves = {name: array.astype(np.float16).astype(np.float32) for name, array in parameters.items()}
    assert all(np.array_equal(loaded.parameters[name], array) for name, array in halves.items())
    assert loaded.parameters.keys() == parameters.keys()


def test_the_digest_names_the_weights_not_the_file(tmp_path, parameters):
    one = save_model(tmp_path / "one.safetensors", CONFIG, parameters)
    other = save_model(tmp_path / "other.safetensors", CONFIG, dict(reversed(parameters.items())))
    assert one.digest == other.digest
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "other.safetensors").read_bytes()
    changed = {**parameters, "head.bias": parameters["head.bias"] + np.float32(0.001)}
    assert save_model(tmp_path / "one.safetensors", CONFIG, changed).digest != one.digest


def test_weights_beyond_half_precision_are_refused(tmp_path, parameters):
    with pytest.raises(ModelError, match="not finite"):
        save_model(tmp_path / "mine.safetensors", CONFIG, {**parameters, "head.bias": np.full(4, 7e4, np.float32)})


def test_a_file_is_read_once(tmp_path, parameters):
    save_model(tmp_path / "mine.safetensors", CONFIG, parameters)
    assert load_model(tmp_path / "mine.safetensors") is load_model(str(tmp_path / "mine.safetensors"))


def test_loaded_weights_cannot_be_changed(tmp_path, parameters):
    with pytest.raises(ValueError, match="read-only"):
        save_model(tmp_path / "mine.safetensors", CONFIG, parameters).parameters["head.bias"][0] = 1


def test_a_model_travels_between_processes(tmp_path, parameters):
    model = save_model(tmp_path / "mine.safetensors", CONFIG, parameters)
    copy = pickle.loads(pickle.dumps(model))
    assert copy == model
    assert np.array_equal(copy.parameters["stem.kernel"], model.parameters["stem.kernel"])


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ModelError, match="default, default-fold0"):
        load_model("defualt")


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\x80\x04pickle"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        load_model(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"nanocensus": "{"},
        {"nanocensus": "[]"},
        {"nanocensus": '{"format": "nanocensus-unet/1"}'},
        {"nanocensus": '{"format": "nanocensus-unet/2", "config": {"base": 2, "levels": 1}}'},
        {"nanocensus": '{"format": "nanocensus-unet/1", "config": {"base": 2}}'},
    ],
)
def test_weights_without_their_architecture_are_refused(tmp_path, parameters, metadata):
    safetensors.numpy.save_file(parameters, tmp_path / "bad.safetensors", metadata)
    with pytest.raises(ModelError, match="expected"):
        load_model(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"head.bias": None}, "no head.bias"),
        ({"extra": np.zeros(1, np.float32)}, "an unknown extra"),
        ({"head.bias": np.zeros(5, np.float32)}, r"head.bias as float32\[5\]"),
        ({"head.bias": np.zeros(4, np.float16)}, r"head.bias as float16\[4\]"),
        ({"head.bias": np.full(4, np.nan, np.float32)}, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_they_are_written(tmp_path, parameters, change, complaint):
    wrong = {name: array for name, array in {**parameters, **change}.items() if array is not None}
    with pytest.raises(ModelError, match=complaint):
        save_model(tmp_path / "bad.safetensors", CONFIG, wrong)
    assert not list(tmp_path.iterdir())


def test_the_shipped_models_are_the_default_and_its_folds_and_one_to_go_on_from():
    assert model_names() == ("default", "default-fold0", "default-fold1", "default-fold2", "simulated")
    digests = {load_model(name).digest for name in model_names()}
    assert len(digests) == 5


def test_a_shipped_model_that_is_not_that_of_its_card_is_refused(tmp_path, parameters, monkeypatch):
    save_model(tmp_path / "mine.safetensors", CONFIG, parameters)
    (tmp_path / "mine.json").write_text('{"digest": "0123456789abcdef"}')
    monkeypatch.setattr("nanocensus.segment.prediction.weights._SHIPPED", tmp_path)
    with pytest.raises(ModelError, match="digest 0123456789abcdef"):
        load_model("mine")


def test_a_model_knows_the_domain_of_its_own_card_alone(tmp_path, parameters):
    path, card = tmp_path / "mine.safetensors", tmp_path / "mine.json"
    model = save_model(path, CONFIG, parameters)
    assert model.domain is None
    plain = Description(50.0, 0.2, 2.3, 0.02, 2.3, 0.2, 0.7, 0.3)
    domain = Domain.of([plain] * 3, pixel_sizes_nm=[0.1])
    card.write_text(json.dumps({"digest": model.digest, "domain": domain.to_dict()}))
    assert load_model(path).domain == domain
    card.write_text(json.dumps({"digest": "another", "domain": domain.to_dict()}))
    assert load_model(path).domain is None
    card.write_text(json.dumps({"digest": model.digest, "domain": {"version": 0}}))
    with pytest.raises(ModelError, match="version 0"):
        load_model(path)


def test_a_link_to_a_model_has_its_own_name_and_the_card_beside_it(tmp_path, parameters):
    (tmp_path / "objects").mkdir()
    kept = save_model(tmp_path / "objects" / "0123.safetensors", CONFIG, parameters)
    link, plain = tmp_path / "mine.safetensors", Description(50.0, 0.2, 2.3, 0.02, 2.3, 0.2, 0.7, 0.3)
    link.symlink_to(tmp_path / "objects" / "0123.safetensors")
    domain = Domain.of([plain] * 3)
    link.with_suffix(".json").write_text(json.dumps({"digest": kept.digest, "domain": domain.to_dict()}))
    model = load_model(link)
    assert (model.name, model.digest, model.domain) == ("mine", kept.digest, domain)


def test_uneven_light_and_bright_particles_make_little_difference_to_the_map():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:192, :192]
    dark = np.hypot(y % 64 - 32, x % 64 - 32) < 14
    transmission = np.where(dark, 90, 140) + rng.normal(0, 6, dark.shape)
    light = np.linspace(1.4, 0.6, 192)
    model = load_model("default")
    even = model.probability(transmission) >= 128
    assert np.count_nonzero(even != dark) < 0.02 * dark.size
    assert np.count_nonzero((model.probability(transmission * light) >= 128) != even) < 0.002 * dark.size
    steep = np.linspace(1.8, 0.2, 192)
    flattened, as_recorded = (
        np.count_nonzero((model.probability(transmission * steep, flat_field=flat) >= 128) != even)
        for flat in (True, False)
    )
    assert flattened < 0.02 * dark.size
    assert as_recorded > 3 * flattened
    bright = model.probability((400 - transmission) * light, contrast="bright") >= 128
    assert np.count_nonzero(bright != even) < 0.01 * dark.size
