"""From a mask to labels, 8-connected, and how fast memory itself is."""

import numpy as np
from candidate import Candidate, Found

from nanocensus.measure.label import label_particles


def as_labels(labels):
    return Found(labels=np.array(labels))  # a copy: some packages' arrays do not outlive what made them


def our_labels(scene):
    return lambda: label_particles(scene.mask)[0], as_labels


def opencv_labels(scene):
    import cv2

    image = scene.mask.view(np.uint8)
    return lambda: cv2.connectedComponents(image, connectivity=8, ltype=cv2.CV_32S)[1], as_labels


def simpleitk_labels(scene):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(scene.mask.view(np.uint8))
    return (
        lambda: SimpleITK.ConnectedComponent(image, True),
        lambda labels: Found(SimpleITK.GetArrayFromImage(labels)),
    )


def diplib_labels(scene):
    import diplib

    image = diplib.Image(scene.mask)
    return lambda: diplib.Label(image, connectivity=2), as_labels


def cc3d_labels(scene):
    import cc3d

    return lambda: cc3d.connected_components(scene.mask, connectivity=8), as_labels


def scipy_labels(scene):
    from scipy import ndimage

    return lambda: ndimage.label(scene.mask, np.ones((3, 3)))[0], as_labels


def skimage_labels(scene):
    from skimage.measure import label

    return lambda: label(scene.mask), as_labels


def read_and_write(scene):
    image, target = scene.mask.view(np.uint8), np.ones(scene.mask.shape, np.int32)
    return lambda: np.copyto(target, image), lambda _: Found()


def read_and_allocate(scene):
    image = scene.mask.view(np.uint8)
    return lambda: image.astype(np.int32), lambda _: Found()


def read_alone(scene):
    image = scene.mask.view(np.uint8)
    return lambda: np.bitwise_or.reduce(image, axis=None), lambda _: Found()


OUR_LABELS = "nanocensus label_particles"
LABELLING = (
    Candidate(OUR_LABELS, "nanocensus", our_labels, "int32 labels"),
    Candidate("OpenCV connectedComponents", "opencv-python-headless", opencv_labels, "int32 labels"),
    Candidate("cc3d connected_components", "connected-components-3d", cc3d_labels, "uint16 or uint32 labels"),
    Candidate("scipy.ndimage label", "scipy", scipy_labels, "int32 labels"),
    Candidate("SimpleITK ConnectedComponent", "SimpleITK", simpleitk_labels, "uint32 labels"),
    Candidate("scikit-image label", "scikit-image", skimage_labels, "int32 labels"),
    Candidate("DIPlib Label", "diplib", diplib_labels, "uint32 labels"),
)
FLOOR = "memory: read uint8, write int32"
FLOORS = (
    Candidate(FLOOR, "numpy", read_and_write, "the least that labelling takes"),
    Candidate("memory: read uint8, write new int32", "numpy", read_and_allocate, "memory fresh from the system"),
    Candidate("memory: read uint8", "numpy", read_alone, "the least where no labels are painted"),
)
