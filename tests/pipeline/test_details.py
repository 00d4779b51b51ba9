import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from nanocensus.measure.detail import detail
from nanocensus.pipeline.run.details import with_details, with_scores
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.micrographs import content_digest, create_store, write_micrograph
from nanocensus.store.images.thumbnails import read_spectrum, write_spectrum


@pytest.fixture(scope="module")
def images():
    """Nine of one texture; the fourth blurred by 2 px."""
    rng = np.random.default_rng(0)
    clear = [ndimage.gaussian_filter(rng.normal(size=(256, 384)), 1.5, mode="wrap") for _ in range(9)]
    clear[3] = ndimage.gaussian_filter(clear[3], 2.0, mode="wrap")
    return [np.rint(1000 + 900 * each + rng.normal(0, 20, each.shape)).astype(np.uint16) for each in clear]


@pytest.fixture
def index(tmp_path, images):
    create_store(tmp_path / STORE_FOLDER)
    rows = []
    for number, pixels in enumerate(images):
        micrograph = content_digest(pixels)[:16]
        write_micrograph(tmp_path / STORE_FOLDER, micrograph, pixels, name=f"{number}.tif", pixel_size_nm=0.1)
        rows.append({"micrograph": micrograph, "sample": "A", "session": None, "pixel_size_nm": 0.1, "status": "done"})
    return pd.DataFrame(rows)


def test_a_spectrum_that_is_missing_or_damaged_is_made_again_from_the_pixels(tmp_path, index, images):
    write_spectrum(tmp_path, index["micrograph"][0], detail(images[0]))
    (path,) = (tmp_path / "thumbnails").iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    assert read_spectrum(tmp_path, index["micrograph"][0]) is None
    made = with_details(index, tmp_path)
    assert made["detail_loss_z"].idxmax() == 3
    assert made["detail_loss_z"][3] > 6
    assert made["detail_loss_z"].drop(3).max() < 4
    np.testing.assert_array_equal(read_spectrum(tmp_path, index["micrograph"][0]), detail(images[0]))
    pd.testing.assert_frame_equal(with_details(index, tmp_path), made)


def test_nothing_is_said_of_failed_ones_or_where_few_are_alike(tmp_path, index, images):
    details = {number: detail(image) for number, image in enumerate(images)}
    assert with_scores(index, details)["detail_loss_z"].notna().all()
    assert with_scores(index[:7], details)["detail_loss_z"].isna().all()
    failed = with_details(index.assign(status=["failed"] + ["done"] * 8), tmp_path)
    assert failed["detail_loss_z"].isna().tolist() == [True] + [False] * 8
    of_two = index.assign(pixel_size_nm=[0.1] * 8 + [0.2])
    assert with_scores(of_two, details)["detail_asymmetry_z"].isna().tolist() == [False] * 8 + [True]
